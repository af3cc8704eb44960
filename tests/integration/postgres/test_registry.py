"""Several replicas register at once, and none misses what another adds."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from mcwatch.domain.event import FINDER, QUEUE
from mcwatch.domain.outbox import Progress, Released, Settlement
from mcwatch.store.postgres import outbox, registry
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.timeout(15)

_NOW = FakeClock().now()

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """Give a connection to it."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def _at_once(url: str, *works: Callable[[Connection], object]) -> None:
    """Do each work in a transaction of its own: all of them begin before any ends."""
    begun = threading.Barrier(len(works))
    failed: list[BaseException] = []

    def run(work: Callable[[Connection], object]) -> None:
        try:
            with psycopg.connect(url) as connection:
                connection.execute("SELECT 1")
                begun.wait(5)
                work(connection)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failed


def test_the_same_accounts_in_any_order(url: str, connection: Connection) -> None:
    """Two replicas that register accounts in opposite order wait for each other and find the same ids."""
    names = [f"a{number}" for number in range(20)]

    def enrol(connection: Connection, order: list[str]) -> None:
        for name in order:
            registry.enrol_feed(connection, name, FINDER)

    _at_once(url, lambda one: enrol(one, names), lambda one: enrol(one, names[::-1]))
    feeds = [registry.enrol_feed(connection, name, FINDER) for name in names]
    assert 20 == len({feed.id for feed in feeds}) == len({feed.account_id for feed in feeds})
    assert (20,) == connection.execute("SELECT count(*) FROM lease WHERE holder IS NULL AND epoch = 0").fetchone()


def test_a_new_account_meets_a_new_destination(url: str, connection: Connection) -> None:
    """Registered at the same moment by two replicas, the destination has a position for the account."""
    for number in range(5):
        account, destination = f"a{number}", f"d{number}"
        _at_once(
            url,
            partial(registry.enrol_feed, account=account, source=FINDER),
            partial(registry.enrol_destinations, starts={destination: True}, now=_NOW),
        )
    assert (25,) == connection.execute("SELECT count(*) FROM position").fetchone()


def test_nothing_is_locked_for_what_is_known(url: str, connection: Connection) -> None:
    """A feed that is there is found while another replica registers others."""
    feed = registry.enrol_feed(connection, "acme", FINDER)
    with psycopg.connect(url) as other:
        registry.enrol_feed(other, "corp", FINDER)
        connection.execute("SET lock_timeout = '100ms'")
        assert feed == registry.enrol_feed(connection, "acme", FINDER)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            registry.enrol_feed(connection, "acme", QUEUE)


def test_a_settlement_that_comes_first_keeps_its_destination(url: str, connection: Connection) -> None:
    """A release that has to wait for a settlement sees that the destination is in use, and lets it be."""
    account_id = registry.enrol_feed(connection, "acme", FINDER).account_id
    registry.enrol_destinations(connection, {"hook": True}, _NOW)
    registry.enrol_destinations(connection, {}, _NOW)
    released: list[Released] = []
    with psycopg.connect(url) as settling, psycopg.connect(url) as releasing:
        settling.execute("SELECT FROM position WHERE account_id = %s FOR NO KEY UPDATE", (account_id,))
        waiting = releasing.info.backend_pid

        def release() -> None:
            released.extend(registry.release_destinations(releasing, int(_NOW.timestamp()) + 1, 0))
            releasing.commit()

        thread = threading.Thread(target=release)
        thread.start()
        while connection.execute("SELECT pg_blocking_pids(%s) = '{}'", (waiting,)).fetchone() == (True,):
            assert thread.is_alive()
        assert set() == outbox.settle(settling, Settlement("hook", [Progress(account_id, 0, 0, 0)]), _NOW)
        settling.commit()
        thread.join()
    assert [] == released
    assert {account_id: 0} == registry.positions(connection, "hook")


def test_two_configurations_in_turn(connection: Connection) -> None:
    """While replicas with an old and a new configuration start in turn, the last one's says what is gone."""
    registry.enrol_feed(connection, "acme", FINDER)
    assert [] == registry.enrol_destinations(connection, {"a": True}, _NOW)
    assert [] == registry.enrol_destinations(connection, {"a": True, "b": True}, _NOW)
    assert ["b"] == registry.enrol_destinations(connection, {"a": True}, _NOW)
    assert [] == registry.enrol_destinations(connection, {"a": True, "b": True}, _NOW)
    assert (0,) == connection.execute("SELECT count(gone_secs) FROM destination").fetchone()
