"""The bytes that wait, kept up to date: always what counting everything would give, at the price of what moved."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcwatch.store.sqlite.backlog import Backlog
from mcwatch.store.sqlite.connection import open_writer

_EVERYTHING = (
    "SELECT coalesce(sum(o.stored_bytes), 0) FROM outbox o"
    " WHERE o.first_offset + o.count > (SELECT min(position) FROM position WHERE account_id = o.account_id)"
)
_ACCOUNTS, _DESTINATIONS = range(1, 4), range(1, 4)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Give an open store with three accounts and two of three destinations."""
    connection = open_writer(tmp_path / "mcwatch.db")
    connection.execute("PRAGMA synchronous=OFF")
    for number in _ACCOUNTS:
        connection.execute("INSERT INTO account (id, name) VALUES (?, ?)", (number, f"a{number}"))
    for number in _DESTINATIONS:
        connection.execute("INSERT INTO destination (id, name) VALUES (?, ?)", (number, f"d{number}"))
    connection.execute(
        "INSERT INTO position (destination_id, account_id, origin, position)"
        " SELECT d.id, a.id, 0, 0 FROM destination d, account a WHERE d.id < 3"
    )
    yield connection
    connection.close()


def _append(connection: sqlite3.Connection, account: int, count: int, stored_bytes: int) -> None:
    head = connection.execute("SELECT head FROM account WHERE id = ?", (account,)).fetchone()[0]
    connection.execute("UPDATE account SET head = ? WHERE id = ?", (head + count, account))
    connection.execute(
        "INSERT INTO outbox (account_id, first_offset, count, observed_ms, stored_bytes, body)"
        " VALUES (?, ?, ?, 0, ?, x'')",
        (account, head, count, stored_bytes),
    )


def _pass(connection: sqlite3.Connection, rng: random.Random) -> None:
    connection.execute(
        "UPDATE position SET position ="
        " min(position + ?, (SELECT head FROM account WHERE id = position.account_id))"
        " WHERE destination_id = ? AND account_id = ?",
        (rng.randrange(12), rng.choice(_DESTINATIONS), rng.choice(_ACCOUNTS)),
    )


def _expire(connection: sqlite3.Connection, rng: random.Random) -> None:
    connection.execute(
        "DELETE FROM outbox WHERE account_id = ?1 AND first_offset + count <="
        " (SELECT min(position) FROM position WHERE account_id = ?1)",
        (rng.choice(_ACCOUNTS),),
    )


def _come_or_go(connection: sqlite3.Connection, rng: random.Random) -> None:
    if rng.random() < 0.5:
        connection.execute("DELETE FROM position WHERE destination_id = 3")
    else:
        connection.execute(
            "INSERT INTO position (destination_id, account_id, origin, position)"
            " SELECT 3, a.id, 0, coalesce((SELECT min(first_offset) FROM outbox WHERE account_id = a.id), a.head)"
            " FROM account a WHERE true ON CONFLICT DO NOTHING"
        )


@pytest.mark.parametrize("seed", range(5))
def test_kept_figure_is_the_counted_one(connection: sqlite3.Connection, seed: int) -> None:
    """Whatever is appended, passed, expired, enrolled or released between two questions, the figure is exact."""
    rng = random.Random(seed)
    backlog = Backlog()
    for _ in range(250):
        for _ in range(rng.randrange(4)):
            kind = rng.random()
            if kind < 0.45:
                _append(connection, rng.choice(_ACCOUNTS), rng.randint(1, 4), rng.randint(1, 1000))
            elif kind < 0.85:
                _pass(connection, rng)
            elif kind < 0.95:
                _expire(connection, rng)
            else:
                _come_or_go(connection, rng)
        expected = connection.execute(_EVERYTHING).fetchone()[0]
        assert expected == backlog.total_bytes(connection)
        assert expected == Backlog().total_bytes(connection), "as after a restart"


def _steps(connection: sqlite3.Connection, backlog: Backlog) -> int:
    """Return how many hundreds of SQLite's instructions a question takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 100)
    backlog.total_bytes(connection)
    connection.set_progress_handler(None, 0)
    return steps


def test_question_costs_what_moved(connection: sqlite3.Connection) -> None:
    """With a long backlog only the first question counts it; later ones read what was appended and passed."""
    backlog = Backlog()
    connection.execute("BEGIN")
    for _ in range(5000):
        _append(connection, 1, 1, 10)
    connection.execute("COMMIT")
    assert _steps(connection, backlog) > 200
    assert _steps(connection, backlog) < 10
    _append(connection, 1, 1, 10)
    connection.execute("UPDATE position SET position = position + 7 WHERE account_id = 1")
    assert _steps(connection, backlog) < 10
    assert 4994 * 10 == backlog.total_bytes(connection)
