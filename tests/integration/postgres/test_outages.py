"""What a store does when its server goes away, and when the wire is cut at the worst moment."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.store.postgres.errors import OutcomeUnknown, StoreReadOnly
from tests.acceptance.waiting import eventually
from tests.fakes.postgres import PostgresServer
from tests.integration.postgres.replicas import account, append, beat, replica, scalar
from tests.integration.postgres.wire import CommitWire, Cut


@pytest.fixture(scope="module")
def lasting() -> Iterator[PostgresServer]:
    """Give a server that nobody stops."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def own() -> Iterator[PostgresServer]:
    """Give a server of the test's own, which waits for the disk."""
    with PostgresServer(durable=True) as server:
        yield server


@pytest.fixture
async def wire(lasting: PostgresServer) -> AsyncIterator[CommitWire]:
    """Give a wire to a server without any table of ours."""
    with psycopg.connect(lasting.url(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    async with CommitWire(lasting.port) as wire:
        yield wire


def _through(wire: CommitWire) -> str:
    return f"postgresql://postgres@127.0.0.1:{wire.port}/postgres"


async def test_store_outlives_a_restart_of_the_server(own: PostgresServer) -> None:
    """While the server is away work fails after some seconds; once it is back everything goes on by itself."""
    async with replica(own.url()) as store:
        feed = await account(store)
        await append(store, feed)
        own.stop("QUIT")

        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await append(store, feed)
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await store.backlog_bytes()
        async with asyncio.timeout(10):
            await store.ping()

        own.start()
        assert 1 == await append(store, feed)
        await beat(store)
        assert {feed.account_id: 2} == dict(store.heads())
        assert [0, 1] == [row.first_offset for row in await store.read(feed.account_id, 0, 1000)]


async def test_short_restart_costs_nothing_but_time(own: PostgresServer) -> None:
    """Work that meets a server which is back within seconds succeeds as if nothing had happened."""
    async with replica(own.url()) as store:
        feed = await account(store)
        own.stop("INT")
        waiting = asyncio.ensure_future(append(store, feed))
        await asyncio.to_thread(own.start)

        assert 0 == await waiting


async def test_commit_whose_answer_was_lost_is_found(lasting: PostgresServer, wire: CommitWire) -> None:
    """When the wire breaks after the server has committed, the page counts as committed, once."""
    async with replica(_through(wire)) as store:
        feed = await account(store)
        wire.cut = Cut.AFTER

        assert 0 == await append(store, feed)

        assert {feed.account_id: 1} == dict(store.heads())
        assert 1 == await append(store, feed)
    assert 2 == scalar(lasting.url(), "SELECT new FROM feed")


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.SILENTLY])
async def test_commit_that_never_arrived_was_not_made(lasting: PostgresServer, wire: CommitWire, cut: Cut) -> None:
    """When the wire breaks before the commit arrives, nothing is written and that is known, though it may take time."""
    async with replica(_through(wire), lease_secs=10) as store:
        feed = await account(store)
        wire.cut = cut

        with pytest.raises(StoreUnavailable, match="was not made") as caught:
            await append(store, feed)

        assert not isinstance(caught.value, OutcomeUnknown)
        assert {feed.account_id: 0} == dict(store.heads())
        assert 0 == scalar(lasting.url(), "SELECT new FROM feed")
        assert 0 == await append(store, feed)


async def test_nobody_to_ask_means_that_nothing_is_assumed(own: PostgresServer) -> None:
    """When the server dies with a commit, the outcome is told as unknown; what the store holds is read again."""
    async with CommitWire(own.port) as wire, replica(_through(wire)) as store:
        feed = await account(store)
        wire.cut = Cut.AFTER
        page = asyncio.ensure_future(append(store, feed))
        await wire.was_cut.wait()
        own.stop("QUIT")

        with pytest.raises(OutcomeUnknown, match="not known"):
            await page

        own.start()
        await beat(store)
        assert {feed.account_id: 1} == dict(store.heads())


async def test_standby_that_took_over_is_found() -> None:
    """With every server named in the URL, work goes on at the standby that was promoted."""
    settings = {"wal_level": "replica", "max_wal_senders": "4"}
    access = "host replication all 127.0.0.1/32 trust"
    with (
        PostgresServer(durable=True, settings=settings, access=access) as primary,
        PostgresServer(durable=True, standby_of=primary) as standby,
    ):
        with pytest.raises(StoreReadOnly, match="standby"):
            async with replica(standby.url()):
                pass
        servers = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        async with replica(f"postgresql://postgres@{servers}/postgres?target_session_attrs=read-write") as store:
            feed = await account(store)
            await append(store, feed)
            await eventually(
                lambda: _position(primary, "pg_current_wal_lsn()") == _position(standby, "pg_last_wal_replay_lsn()")
            )
            primary.stop("QUIT")
            with pytest.raises(StoreUnavailable):
                await append(store, feed)

            with psycopg.connect(standby.url(), autocommit=True) as connection:
                connection.execute("SELECT pg_promote()")

            assert 1 == await append(store, feed)
            await beat(store)
            assert {feed.account_id: 2} == dict(store.heads())


def _position(server: PostgresServer, function: str) -> object:
    return scalar(server.url(), f"SELECT {function}::text")
