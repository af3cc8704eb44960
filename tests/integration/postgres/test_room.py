"""A server without room, and one that takes no writes for a while."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from mcwatch.domain.page import Feed
from mcwatch.store.postgres import PostgresStore
from mcwatch.store.postgres.errors import StoreFull, StoreReadOnly
from tests.acceptance.waiting import eventually
from tests.fakes.postgres import PostgresServer
from tests.fakes.small_disk import small_disk
from tests.integration.postgres.replicas import account, append, delivered, replica


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Give a server of the test's own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Give a directory that the server's user can reach, which tmp_path is not."""
    directory = Path(tempfile.mkdtemp(prefix="mcwatch-room-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def _order(server: PostgresServer, *statements: str) -> None:
    with psycopg.connect(server.url(), autocommit=True, options="-c default_transaction_read_only=off") as connection:
        for statement in statements:
            connection.execute(statement.encode())


async def test_full_disk_pauses_pages_and_goes_on_by_itself(server: PostgresServer, open_directory: Path) -> None:
    """Without room a page is refused and says so, positions still move, and once there is room pages are taken."""
    with small_disk(open_directory / "disk", 48 << 20) as disk:
        shutil.chown(disk, server.data.owner(), server.data.group())
        _order(server, f"CREATE TABLESPACE small LOCATION '{disk}'")
        _order(server, "CREATE DATABASE small TEMPLATE template0 TABLESPACE small")
        async with replica(server.url("small")) as store:
            await store.enrol({"d": False})
            feed = await account(store)
            await append(store, feed)
            ballast = disk / "ballast"
            with suppress(OSError):
                ballast.write_bytes(os.urandom(shutil.disk_usage(disk).total))

            # What fits into the pages that the tables have is still taken: a large page does not.
            with pytest.raises(StoreFull, match="is full"):
                await append(store, feed, b'{"n":"' + os.urandom(1 << 19).hex().encode() + b'"}\n')
            assert (True, False) == (store.full, await store.recover())
            with pytest.raises(StoreFull, match="is full"):
                await append(store, feed)
            assert set() == set(await delivered(store, [feed]))

            ballast.unlink()
            assert (True, False) == (await store.recover(), store.full)
            assert 1 == await append(store, feed)


async def test_server_that_takes_no_writes_is_waited_for(server: PostgresServer) -> None:
    """While the server is read only pages are refused with that reason, and reading goes on."""
    async with replica(server.url()) as store:
        feed = await account(store)
        await append(store, feed)
        _order(server, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        # The server's processes hear of it one after the other.
        await eventually(lambda: _is_refused(store, feed))
        assert store.full
        with pytest.raises(StoreReadOnly):
            await store.recover()
        assert await store.read(feed.account_id, 0, 1000)

        _order(server, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
        await eventually(lambda: _is_over(store))
        await append(store, feed)


async def _is_refused(store: PostgresStore, feed: Feed) -> bool:
    try:
        await append(store, feed)
    except StoreReadOnly as error:
        return "takes no writes" in str(error)
    return False


async def _is_over(store: PostgresStore) -> bool:
    with suppress(StoreReadOnly):
        return await store.recover()
    return False
