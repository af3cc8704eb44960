"""Leases: who may write, and what whoever has lost an account cannot do any more."""

import asyncio
from typing import Any

import psycopg
import pytest

from mcwatch.domain.errors import LeaseLost, StoreUnavailable
from mcwatch.domain.leasing import News
from mcwatch.store.postgres import PostgresOptions, PostgresStore
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.integration.postgres.replicas import account, append, beat, delivered, lapse, replica, scalar


async def test_account_is_held_and_delivered_by_whoever_took_it(url: str) -> None:
    """An account's events are delivered by the replica that took it and by no other."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        feed = await account(a)
        await append(a, feed)

        assert {} == await b.leases.take([feed.account_id])
        assert (True, False) == (a.holds(feed.account_id), b.holds(feed.account_id))
        assert ({feed.account_id: 1}, {}) == (dict(a.heads()), dict(b.heads()))


async def test_fenced_replica_writes_no_page(url: str) -> None:
    """A page of a replica whose account was taken over raises LeaseLost and writes nothing."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        feed = await account(a)
        lapse(url, a)
        assert {feed.account_id: {}} == await b.leases.take([feed.account_id])

        with pytest.raises(LeaseLost, match="acme"):
            await append(a, feed)
        assert a.holds(feed.account_id)  # as far as it knows without asking
        assert 0 == scalar(url, "SELECT count(*) FROM outbox")
        assert 0 == scalar(url, "SELECT new FROM feed")


async def test_fenced_replica_settles_nothing(url: str) -> None:
    """A settlement writes what is held and returns the ids of the accounts that are not."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        await a.enrol({"d": False})
        kept, lost = await account(a, "kept"), await account(a, "lost")
        for feed in (kept, lost):
            await append(a, feed)
        lapse(url, a)
        await b.leases.take([lost.account_id])

        assert {lost.account_id} == set(await delivered(a, [kept, lost]))
        assert {kept.account_id: 1, lost.account_id: 0} == await a.positions("d")
        assert set() == set(await delivered(b, [lost]))


async def test_taking_back_brings_a_new_epoch_and_the_others_events(url: str) -> None:
    """A replica that takes an account back sees what was written meanwhile, and writes under a new epoch."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        feed = await account(a)
        await append(a, feed)
        lapse(url, a)
        await b.leases.take([feed.account_id])
        await append(b, feed)
        await b.leases.give_up({feed.account_id: {}})
        await beat(a)
        assert not a.holds(feed.account_id)

        await a.leases.take([feed.account_id])

        assert {feed.account_id: 2} == dict(a.heads())
        assert 2 == await append(a, feed)
        assert 3 == scalar(url, "SELECT epoch FROM lease")


async def test_beat_tells_what_was_lost(url: str) -> None:
    """A beat drops the accounts that another replica has taken, counts them, and wakes who waits for events."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        feed = await account(a)
        lapse(url, a)
        await b.leases.take([feed.account_id])
        seen = await a.wait_for_events(0)

        fleet = await beat(a)

        assert {feed.account_id} == fleet.held_by(b.leases.replica)
        assert not a.holds(feed.account_id)
        assert {} == a.heads()
        assert seen < await a.wait_for_events(seen)


async def test_beat_finds_what_was_taken_without_hearing_of_it(url: str) -> None:
    """A lease that names this replica is held after the next beat, though the answer to its taking was lost."""
    async with replica(url, "a") as a:
        feed = await a.feed("acme", "message_finder")
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE lease SET holder = %s, epoch = epoch + 1", (a.leases.replica,))

        await beat(a)

        assert 0 == await append(a, feed)
        assert {feed.account_id: 1} == dict(a.heads())


async def test_replica_that_cannot_beat_stops_by_itself(url: str) -> None:
    """After 0.7 of the lease's duration without a beat nothing is held; a beat brings it back without a new epoch."""
    clock = FakeClock()
    async with replica(url, "a", clock=clock) as a:
        feed = await account(a)
        clock.advance(20.9)
        assert a.holds(feed.account_id)
        clock.advance(0.2)
        assert not a.holds(feed.account_id)
        assert {} == a.heads()

        await beat(a)

        assert a.holds(feed.account_id)
        assert 1 == scalar(url, "SELECT epoch FROM lease")


async def test_budget_goes_with_the_account(url: str) -> None:
    """Whoever takes an account gets its budget, less the time that has passed since it was told."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        given, lapsed = await account(a, "given"), await account(a, "lapsed")
        await a.leases.give_up({given.account_id: {"hmac": 90.0, "over": 5.0}})
        await a.leases.beat(News([], {lapsed.account_id: {"quota": 50.0}}))
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE lease SET budget_at = budget_at - interval '10 s'")
        lapse(url, a)

        budgets = await b.leases.take([given.account_id, lapsed.account_id])

    assert {"hmac": pytest.approx(80, abs=5)} == budgets[given.account_id]
    assert {"quota": pytest.approx(40, abs=5)} == budgets[lapsed.account_id]


async def test_retired_account_is_settled_but_not_delivered(url: str) -> None:
    """A retired account leaves the heads, while what is under way can be committed and settled."""
    async with replica(url, "a") as a:
        await a.enrol({"d": False})
        feed = await account(a)
        await append(a, feed)

        a.leases.retire([feed.account_id])

        assert {} == a.heads()
        assert 1 == await append(a, feed)
        assert {} == a.heads()
        assert set() == set(await delivered(a, [feed]))
        await a.leases.give_up({feed.account_id: {}})
        assert not a.holds(feed.account_id)


async def test_account_that_could_not_be_given_up_is_held_as_before(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When giving up fails the account stays held, and the next beat has it delivered again from where it stands."""

    async def fail(*_: object) -> None:
        raise StoreUnavailable("away")

    async with replica(url, "a") as a:
        feed = await account(a)
        await append(a, feed)
        a.leases.retire([feed.account_id])
        with monkeypatch.context() as patch:
            patch.setattr(a.leases, "_ask", fail)
            with pytest.raises(StoreUnavailable):
                await a.leases.give_up({feed.account_id: {}})
        assert a.holds(feed.account_id)
        assert {} == a.heads()

        await beat(a)

        assert {feed.account_id: 1} == dict(a.heads())


async def test_leaving_frees_everything_at_once(url: str) -> None:
    """A replica that leaves is gone from the fleet, and its accounts can be taken without waiting."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        feed = await account(a)
        await a.leases.leave()

        fleet = await beat(b)

        assert ["b"] == [one.name for one in fleet.replicas]
        assert [feed.account_id] == list(await b.leases.take([feed.account_id]))


async def test_fleet_says_who_lives_and_since_when_an_account_is_free(url: str) -> None:
    """A lapsed replica is shown as such, its accounts as free since it lapsed; it is forgotten after a day."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        await account(a)
        await a.leases.beat(News([7], report=b"{}"))
        lapse(url, a)
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE lease SET since = since - interval '2 hours'")

        fleet = await beat(b, [1, 2])

        assert {"a": False, "b": True} == {one.name: one.is_live for one in fleet.replicas}
        assert {"a": ({7}, b"{}"), "b": ({1, 2}, b"")} == {
            one.name: (set(one.accounts), one.report) for one in fleet.replicas
        }
        (lease,) = fleet.leases
        assert lease.holder is None
        assert 3600 - 21 == pytest.approx(lease.for_secs, abs=5)

        with psycopg.connect(url) as connection:
            connection.execute("UPDATE replica SET seen_at = seen_at - interval '2 days' WHERE name = 'a'")
        assert ["b"] == [one.name for one in (await beat(b)).replicas]


async def test_locks_of_a_stopped_replica_end_by_themselves(url: str) -> None:
    """A transaction that was stopped while it locks a lease is ended by the server, and the account can be taken."""
    async with replica(url, "a", lease_secs=1.0) as a, replica(url, "b", lease_secs=30.0) as b:
        feed = await account(a)
        stopped = a._threads._writers[0].link.connection()  # what a SIGSTOP leaves behind
        stopped.execute("BEGIN")
        assert [feed.account_id] == list(a.leases.fence(stopped, [feed.account_id]))
        lapse(url, a)
        assert {} == await b.leases.take([feed.account_id])

        with psycopg.connect(url, autocommit=True) as connection:
            # Waits for the lock, which the stopped transaction has until the server ends it.
            connection.execute("SET lock_timeout = '1500ms'; SELECT FROM lease FOR UPDATE")

        assert [feed.account_id] == list(await b.leases.take([feed.account_id]))
        assert stopped.closed or _is_ended(stopped)


def _is_ended(connection: psycopg.Connection[object]) -> bool:
    with pytest.raises(psycopg.Error):
        connection.execute("SELECT 1")
    return connection.closed


async def test_two_take_what_one_gets(url: str) -> None:
    """Of two replicas that take the same accounts at once each account goes to one."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        ids = [(await a.feed(f"account-{number}", "message_finder")).account_id for number in range(20)]
        async with asyncio.TaskGroup() as group:
            takers = [group.create_task(one.leases.take(ids)) for one in (a, b)]

        assert sorted(ids) == sorted(account_id for taker in takers for account_id in taker.result())


async def test_process_that_never_beats_holds_nothing(url: str) -> None:
    """A store opened for a command knows no heads and is no replica, and can read and command."""
    options = PostgresOptions(url=lambda: url, replica_name="command")
    async with PostgresStore(options, clock=FakeClock(), metrics=Metrics()) as store:
        feed = await store.feed("acme", "message_finder")

        assert {} == store.heads()
        assert not store.holds(feed.account_id)
        assert [] == await store.dead_letters(None, 10)
        assert 0 == scalar(url, "SELECT count(*) FROM replica")
        with pytest.raises(LeaseLost):
            await append(store, feed)


async def test_page_from_before_the_account_was_lost_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that waited while the account went to another replica and came back knows less than the store."""
    async with replica(url) as a, replica(url, "b") as b:
        feed = await account(a)
        submit, release = a._threads.submit, asyncio.Event()

        async def busy(*args: Any) -> Any:  # noqa: ANN401 - passed on as it is
            await release.wait()
            return await submit(*args)

        with monkeypatch.context() as patch:
            patch.setattr(a._threads, "submit", busy)
            late = asyncio.ensure_future(append(a, feed))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        lapse(url, a)
        await b.leases.take([feed.account_id])
        await append(b, feed)
        await b.leases.give_up({feed.account_id: {}})
        await beat(a)
        await a.leases.take([feed.account_id])
        release.set()
        with pytest.raises(LeaseLost):
            await late
        assert 1 == await append(a, feed)


async def test_finding_a_feed_writes_nothing(url: str) -> None:
    """What is registered is found without a transaction's number: a start asks for thousands."""
    question = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
    async with replica(url) as store:
        feed = await account(store)
        before = scalar(url, question)
        assert feed == await store.feed("acme", feed.source)
        assert before == scalar(url, question)


async def test_reports_are_fetched_as_often_as_they_are_published(url: str) -> None:
    """They are large: between its own a replica goes by what it fetched with the last one."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        await b.leases.beat(News((), report=b"first"))
        assert [b"", b"first"] == [one.report for one in (await beat(a)).replicas]
        await b.leases.beat(News((), report=b"second"))
        assert [b"", b"first"] == [one.report for one in (await beat(a)).replicas]
        fleet = await a.leases.beat(News((), report=b"own"))
        assert [b"own", b"second"] == [one.report for one in fleet.replicas]
        assert [b"own", b"second"] == [one.report for one in (await beat(a)).replicas]


async def test_account_lost_while_it_was_to_be_handed_over_is_delivered_once_it_is_back(url: str) -> None:
    """It was retired, and lost before it was given up; a taking of which the end was not heard brings it back."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        feed = await account(a)
        await append(a, feed)
        a.leases.retire([feed.account_id])
        lapse(url, a)
        await b.leases.take([feed.account_id])
        await beat(a)
        await a.leases.give_up({feed.account_id: {}})
        await b.leases.leave()
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE lease SET holder = %s, epoch = epoch + 1", (a.leases.replica,))
        await beat(a)
        assert {feed.account_id: 1} == dict(a.heads())


async def test_server_that_takes_no_writes_is_noticed_by_the_beats(url: str) -> None:
    """With nothing to poll or to settle a replica says all the same that the store takes no writes."""
    async with replica(url) as store:
        with psycopg.connect(url, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mcwatch a'"
            )
        try:
            with pytest.raises(StoreUnavailable):
                await beat(store)
            assert store.full
        finally:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("SET default_transaction_read_only = off")
                connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await beat(store)
