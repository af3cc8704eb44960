"""What a piece of expiry costs: bounded by what it removes and where it looks, not by what is kept."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mcwatch.domain.fingerprint import TIMELESS
from mcwatch.store.keep import Keep
from mcwatch.store.rows import milliseconds
from mcwatch.store.sqlite.connection import open_writer
from mcwatch.store.sqlite.retention import expire
from mcwatch.store.sqlite.transaction import SLOT_BITS
from tests.fakes.clock import FakeClock

_KEEP = Keep(timedelta(days=31), timedelta(hours=24), timedelta(days=90))
_NOW = FakeClock().now()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Give an open store."""
    connection = open_writer(tmp_path / "mcwatch.db")
    connection.execute("BEGIN")
    yield connection
    connection.execute("ROLLBACK")
    connection.close()


def _accounts(connection: sqlite3.Connection, count: int) -> None:
    rows = [(number, f"a{number}") for number in range(1, count + 1)]
    connection.executemany("INSERT INTO account (id, name) VALUES (?, ?)", rows)
    connection.executemany(
        "INSERT INTO feed (id, account_id, source) VALUES (?, ?, 'x')", [(number, number) for number, _ in rows]
    )


def _steps(connection: sqlite3.Connection) -> int:
    """Return how many hundreds of SQLite's instructions a whole sweep takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 100)
    rest = expire(connection, _KEEP, _NOW).rest
    while rest:
        rest = expire(connection, _KEEP, _NOW, rest).rest
    connection.set_progress_handler(None, 0)
    return steps


def test_nothing_due_costs_nothing(connection: sqlite3.Connection) -> None:
    """Rows that are too young, still needed or touched lately are not read one by one."""
    _accounts(connection, 2)
    connection.execute("INSERT INTO destination (id, name) VALUES (1, 'hook')")
    connection.execute("INSERT INTO position (destination_id, account_id, origin, position) VALUES (1, 2, 0, 0)")
    connection.executemany(
        "INSERT INTO outbox (account_id, first_offset, count, observed_ms, stored_bytes, body)"
        " VALUES (?, ?, 1, ?, 1, x'')",
        [(account, at, milliseconds(_NOW) if account == 1 else 0) for account in (1, 2) for at in range(5000)],
    )
    touched = int(_NOW.timestamp())
    connection.executemany(
        "INSERT INTO seen (slot, marks, chains, touched_secs) VALUES (?, x'', x'', ?)",
        [((1 << SLOT_BITS) | (TIMELESS + at), touched) for at in range(5000)],
    )
    connection.executemany(
        "INSERT INTO passage (account_id, place, traits, entry, visit, queue, created_ms, ended, touched_secs)"
        " VALUES (1, 0, ?, x'', 0, 'x', 0, x'', ?)",
        [(traits, touched) for traits in range(5000)],
    )
    assert _steps(connection) < 50
    assert (10_000,) == connection.execute("SELECT count(*) FROM outbox").fetchone()


def test_piece_looks_at_a_bounded_number_of_accounts(connection: sqlite3.Connection) -> None:
    """With more accounts than a piece looks at, the next one goes on where it stopped, and a sweep ends."""
    _accounts(connection, 500)
    rest = expire(connection, _KEEP, _NOW).rest
    visited = [len(rest)]
    while rest:
        rest = expire(connection, _KEEP, _NOW, rest).rest
        visited.append(len(rest))
    assert [804, 604, 404, 204, 4, 0] == visited
