"""Days of fingerprints come and go as partitions; everything else goes in pieces."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import zstandard

from mcwatch.domain.event import FINDER, QUEUE
from mcwatch.domain.fingerprint import TIMELESS
from mcwatch.domain.page import Feed
from mcwatch.store.keep import Keep
from mcwatch.store.postgres import partitions, registry
from mcwatch.store.postgres.retention import ensure_partitions, expire
from mcwatch.store.postgres.seen import DAY_SECS, HISTORY_SECS, day_of
from mcwatch.store.postgres.transaction import PostgresPageTransaction
from tests.contract.postgres_database import emptied_database
from tests.fakes.clock import FakeClock
from tests.integration.postgres.replicas import account, beat, replica, scalar

pytestmark = pytest.mark.timeout(15)

_KEEP = Keep()
_NOW = FakeClock().now()
_NOW_SECS = int(_NOW.timestamp())
_DAY = timedelta(days=1)
_DAYS = list(range(day_of(_NOW_SECS - HISTORY_SECS), day_of(_NOW_SECS) + 4 * DAY_SECS, DAY_SECS))

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Give an empty store with the days of now."""
    with psycopg.connect(emptied_database(), autocommit=True) as connection:
        if partitions.first_seconds(connection) != _DAYS:
            partitions.drop(connection, TIMELESS)
            ensure_partitions(connection, _NOW, _KEEP)
        yield connection


@pytest.fixture
def feed(connection: Connection) -> Feed:
    """Give a feed of the finder."""
    return registry.enrol_feed(connection, "acme", FINDER)


def _page(connection: Connection, feed: Feed) -> PostgresPageTransaction:
    return PostgresPageTransaction(connection, feed, zstandard.ZstdCompressor(), _NOW, 10)


def _places(connection: Connection) -> dict[int, str]:
    """Return which table each second is in."""
    rows = connection.execute(
        "SELECT second, 'day' FROM seen UNION ALL SELECT second, 'touch' FROM seen_lasting"
    ).fetchall()
    assert len(rows) == len(dict(rows))
    return dict(rows)


def test_days_are_made_ahead(connection: Connection) -> None:
    """There is a day for whatever a page may write now, and three more; asked for again nothing is made."""
    ensure_partitions(connection, _NOW, _KEEP)
    assert _DAYS == partitions.first_seconds(connection)
    ensure_partitions(connection, _NOW + _DAY, _KEEP)
    assert [*_DAYS, _DAYS[-1] + DAY_SECS] == partitions.first_seconds(connection)


def test_days_are_dropped_wholly_past(connection: Connection) -> None:
    """A day goes when all of it is past its time, not an hour before."""
    days = partitions.first_seconds(connection)
    ends = _NOW - timedelta(seconds=_NOW_SECS - days[0]) + _DAY + _KEEP.fingerprints
    assert () == expire(connection, _KEEP, ends - timedelta(hours=1)).rest
    assert days[0] == partitions.first_seconds(connection)[0]
    expire(connection, _KEEP, ends)
    assert days[1] == partitions.first_seconds(connection)[0]


def test_a_held_lock_puts_expiry_off(connection: Connection) -> None:
    """While a page is open no day is dropped, and the sweep goes on all the same; the next one drops it."""
    later = _NOW + 40 * _DAY
    days = partitions.first_seconds(connection)
    with psycopg.connect(emptied_database()) as page:
        page.execute("SELECT FROM seen")
        with connection.transaction():
            assert () == expire(connection, _KEEP, later).rest
            connection.execute("SELECT FROM account")
        assert days[0] == partitions.first_seconds(connection)[0]
        assert later.timestamp() < partitions.first_seconds(connection)[-1]
    usual = connection.execute("SHOW lock_timeout").fetchone()
    expire(connection, _KEEP, later)
    assert int((later - _KEEP.fingerprints).timestamp()) < partitions.first_seconds(connection)[0] + DAY_SECS
    assert usual == connection.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_lock_timeout_is_as_before(connection: Connection) -> None:
    """Whatever else shares the transaction waits for locks as it was told to."""
    with connection.transaction():
        connection.execute("SET lock_timeout = '7s'")
        ensure_partitions(connection, _NOW + 9 * _DAY, _KEEP)
        assert ("7s",) == connection.execute("SHOW lock_timeout").fetchone()


def test_a_second_is_in_one_place(connection: Connection, feed: Feed) -> None:
    """The finder's recent rows are in days; old ones, those without a time and those of no day's go by touch."""
    ahead, old = _NOW_SECS + 30 * DAY_SECS, _NOW_SECS - HISTORY_SECS - 1
    seconds = [old, old + 1, _NOW_SECS, ahead, TIMELESS, TIMELESS + 7]
    page = _page(connection, feed)
    page.remember([(second, b"m%d" % second, b"") for second in seconds])
    assert {
        old: "touch", old + 1: "day", _NOW_SECS: "day", ahead: "touch", TIMELESS: "touch", TIMELESS + 7: "touch",
    } == _places(connection)  # fmt: skip
    assert {second: b"m%d" % second for second in seconds} == page.marks({*seconds, 5})


def test_a_queue_has_no_days(connection: Connection) -> None:
    """What a queue remembers goes by touch, whatever its time."""
    page = _page(connection, registry.enrol_feed(connection, "acme", QUEUE))
    page.remember([(second, b"", b"c") for second in (5, _NOW_SECS)])
    assert {5: "touch", _NOW_SECS: "touch"} == _places(connection)
    assert {5: b"c", _NOW_SECS: b"c"} == page.chains([5, _NOW_SECS])


def test_a_page_does_without_its_day(connection: Connection, feed: Feed) -> None:
    """Where the day is missing fingerprints go by touch, are found, and move to the day once it is there."""
    partitions.drop(connection, day_of(_NOW_SECS) + DAY_SECS)
    page = _page(connection, feed)
    page.remember([(_NOW_SECS, b"first", b""), (_NOW_SECS + DAY_SECS, b"other", b"")])
    assert {_NOW_SECS: "touch", _NOW_SECS + DAY_SECS: "day"} == _places(connection)
    assert {_NOW_SECS: b"first"} == page.marks([_NOW_SECS])
    ensure_partitions(connection, _NOW, _KEEP)
    page.remember([(_NOW_SECS, b"second", b"")])
    assert {_NOW_SECS: "day", _NOW_SECS + DAY_SECS: "day"} == _places(connection)
    assert {_NOW_SECS: b"second"} == page.marks([_NOW_SECS])


def test_an_aged_row_leaves_its_day(connection: Connection, feed: Feed) -> None:
    """A row that is seen again when it is old goes by touch from then on."""
    aged = _NOW_SECS - HISTORY_SECS + 3600
    _page(connection, feed).remember([(aged, b"young", b"")])
    later = PostgresPageTransaction(connection, feed, zstandard.ZstdCompressor(), _NOW + _DAY, 10)
    later.remember([(aged, b"aged", b"")])
    assert {aged: "touch"} == _places(connection)
    assert {aged: b"aged"} == later.marks([aged])


@pytest.mark.parametrize("step", [1, 60])
def test_reads_plan_for_the_days_they_need(connection: Connection, feed: Feed, step: int) -> None:
    """A page's questions look into the days of its seconds and no others, dense or sparse, prepared or not."""
    days = partitions.first_seconds(connection)
    seconds = [days[5] + at * step for at in range(200)]
    page = _page(connection, feed)
    # The server tries a plan for all values once, then plans for the values asked for.
    for _ in range(12):
        page.marks(seconds)
    with connection.transaction():
        page.marks(seconds)
        locked = connection.execute(
            "SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL"
        ).fetchall()
    assert {f"seen_{days[5]}"} == {name for (name,) in locked if re.fullmatch(r"seen_\d+", name)}


def test_nothing_due_is_not_read(connection: Connection, feed: Feed) -> None:
    """A sweep reads no row one by one that is too young, still needed or touched lately."""
    connection.execute(
        "INSERT INTO outbox SELECT %s, n, 1, %s, 1, '' FROM generate_series(0, 4999) AS n",
        (feed.account_id, _NOW_SECS * 1000),
    )
    connection.execute(
        "INSERT INTO seen_lasting SELECT %s, %s + n, '', '', %s FROM generate_series(0, 4999) AS n",
        (feed.id, TIMELESS, _NOW_SECS),
    )
    connection.execute("VACUUM ANALYZE outbox, seen_lasting")
    rows = connection.execute("SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_xact_user_tables").fetchone()
    assert rows is not None
    with connection.transaction():
        assert () == expire(connection, _KEEP, _NOW).rest
        row = connection.execute(
            "SELECT sum(idx_tup_fetch + seq_tup_read)::bigint FROM pg_stat_xact_user_tables"
            " WHERE relname IN ('outbox', 'seen_lasting')"
        ).fetchone()
    assert row is not None
    assert row[0] < 100


def test_many_accounts_are_swept_in_pieces(connection: Connection) -> None:
    """With more accounts than a piece looks at the next one goes on where it stopped, and all are visited."""
    connection.execute("INSERT INTO account (name) SELECT 'a' || n FROM generate_series(1, 1200) AS n")
    connection.execute("INSERT INTO outbox SELECT id, 0, 1, 0, 1, '' FROM account")
    left, rest = [1200], expire(connection, _KEEP, _NOW).rest
    while rest:
        row = connection.execute("SELECT count(*) FROM outbox").fetchone()
        assert row is not None
        left.append(row[0])
        rest = expire(connection, _KEEP, _NOW, rest).rest
    assert left == sorted(set(left), reverse=True)
    assert len(left) > 2
    assert (0,) == connection.execute("SELECT count(*) FROM outbox").fetchone()


async def test_a_clock_that_runs_ahead_removes_nothing_early() -> None:
    """What expires goes by the database's time where a replica's own is later."""
    url, clock = emptied_database(), FakeClock()
    async with replica(url, clock=clock) as store:
        await store.enrol({"d": False})
        feed = await account(store)
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO dead_letter (account_id, event_id, reason, detail, body, at_ms)"
                " SELECT %s, '', '', '', '', extract(epoch FROM clock_timestamp()) * 1000",
                (feed.account_id,),
            )
        ahead = datetime.now(UTC) + timedelta(days=3650)
        while await store.expire(ahead):
            pass
        assert 1 == scalar(url, "SELECT count(*) FROM dead_letter")
        assert 0 == scalar(
            url, f"SELECT count(*) FROM pg_class WHERE relname = 'seen_{day_of(int(ahead.timestamp()))}'"
        )


async def test_a_destination_that_another_replica_is_configured_with_is_kept() -> None:
    """While configurations differ the newest does not decide: gone is what nobody has, from when nobody has it."""
    url, clock = emptied_database(), FakeClock()
    async with replica(url, "a", clock=clock) as old:
        await old.enrol({"d": False, "e": False})
        async with replica(url, "b", clock=clock) as new:
            assert ["e"] == await new.enrol({"d": False})
            with psycopg.connect(url) as connection:
                connection.execute("UPDATE destination SET gone_secs = 1 WHERE name = 'e'")
            await new.expire(clock.now())
            assert ["d", "e"] == await new.destinations()
            assert 0 == scalar(url, "SELECT count(*) FROM destination WHERE gone_secs IS NOT NULL")
            await beat(old)
            await beat(new)
            await old.leases.leave()
            await new.expire(clock.now())
            assert ["d", "e"] == await new.destinations()
            assert "e" == scalar(url, "SELECT name FROM destination WHERE gone_secs > 1")
