"""Dead letters and skipped ranges as SQLite keeps them: what it costs to ask, and what is remembered."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.errors import FailureReason
from mcwatch.domain.outbox import LetterChoice, Progress, Settlement
from mcwatch.store.keep import Keep
from mcwatch.store.sqlite import letters, outbox, registry
from mcwatch.store.sqlite.connection import open_writer
from mcwatch.store.sqlite.retention import expire
from tests.fakes.clock import FakeClock

_NOW = FakeClock().now()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Give an open store with the account acme, 1, and the destination hook."""
    connection = open_writer(tmp_path / "mcwatch.db")
    connection.execute("BEGIN")
    registry.enrol_feed(connection, "acme", "x")
    registry.enrol_destinations(connection, {"hook": False}, _NOW)
    yield connection
    connection.execute("ROLLBACK")
    connection.close()


def _keep(connection: sqlite3.Connection, count: int) -> None:
    connection.executemany(
        "INSERT INTO dead_letter (destination_id, account_id, event_id, reason, detail, body, at_ms)"
        " VALUES (1, 1, '', 'refused', '', ?, 0)",
        [(b"x" * 100,)] * count,
    )


def _steps(connection: sqlite3.Connection, question: str) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 100)
    if question == "some":
        assert 3 == len(letters.chosen(connection, LetterChoice((1, 2, 3)), 0, 10))
    elif question == "behind":
        assert 10 == len(letters.chosen(connection, LetterChoice(), 100, 10))
    else:
        letters.retried(connection, [4], [(5, Refusal(FailureReason.REFUSED, "no"))])
    connection.set_progress_handler(None, 0)
    return steps


@pytest.mark.parametrize("question", ["behind", "retried"])
def test_a_step_costs_the_same_however_many_there_are(connection: sqlite3.Connection, question: str) -> None:
    """Going through them piece by piece is not quadratic."""
    _keep(connection, 200)
    few = _steps(connection, question)
    _keep(connection, 20_000)
    assert _steps(connection, question) <= 2 * few + 2


def test_thousands_of_numbers_can_be_chosen(connection: sqlite3.Connection) -> None:
    """No limit of SQLite's on parameters stands in the way."""
    _keep(connection, 40_000)
    choice = LetterChoice(tuple(range(1, 40_001)))
    assert 40_000 == letters.discard(connection, choice, 50_000)


def test_what_was_skipped_is_remembered(connection: sqlite3.Connection) -> None:
    """The range with its time, told from what was delivered before it, as long as what was refused."""
    recorded = "INSERT INTO outbox (account_id, first_offset, count, stored_bytes, observed_ms, body) VALUES"
    began, skipped_at = (int(_NOW.timestamp() * 1000) + ms for ms in (-5000, 0))
    connection.execute(f"{recorded} (1, 0, 3, 0, {began - 9}, x''), (1, 3, 6, 0, {began}, x'')")
    outbox.settle(connection, Settlement("hook", [Progress(1, 4, 4, 0)]), _NOW)
    outbox.settle(connection, Settlement("hook", [Progress(1, 9, 0, 0, 5)]), _NOW)
    rows = connection.execute("SELECT account_id, start_offset, end_offset, from_ms, at_ms FROM skip").fetchall()
    assert [(1, 4, 9, began, skipped_at)] == rows
    keep = Keep(timedelta(days=31), timedelta(hours=24), timedelta(days=90))
    expire(connection, keep, _NOW + timedelta(days=89))
    assert 1 == connection.execute("SELECT count(*) FROM skip").fetchone()[0]
    expire(connection, keep, _NOW + timedelta(days=91))
    assert 0 == connection.execute("SELECT count(*) FROM skip").fetchone()[0]


def test_migrated_destination_gets_a_channel(connection: sqlite3.Connection) -> None:
    """One that an earlier version knew has none until it is enrolled again."""
    connection.execute("UPDATE destination SET channel = NULL")
    registry.enrol_destinations(connection, {"hook": False}, _NOW)
    assert 4 == registry.channel(connection, "hook").version
