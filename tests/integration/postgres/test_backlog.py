"""The bytes that wait, kept up to date: always what counting everything would give, at the price of what moved."""

import random
from collections.abc import Iterator
from typing import Any
from unittest import mock

import psycopg
import pytest

from mcwatch.store.postgres.backlog import Backlog
from tests.contract.postgres_database import emptied_database

pytestmark = pytest.mark.timeout(15)

_EVERYTHING = (
    "SELECT coalesce(sum(o.stored_bytes), 0)::bigint FROM outbox o"
    " WHERE o.first_offset + o.count > (SELECT min(position) FROM position WHERE account_id = o.account_id)"
)
_ACCOUNTS, _DESTINATIONS = range(1, 4), range(1, 4)

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Give a store with three accounts and two of three destinations."""
    with psycopg.connect(emptied_database(), autocommit=True) as connection:
        connection.execute("INSERT INTO account (name) SELECT 'a' || n FROM generate_series(1, 3) AS n")
        connection.execute(
            "INSERT INTO destination (name, channel) SELECT 'd' || n, '' FROM generate_series(1, 3) AS n"
        )
        connection.execute(
            "INSERT INTO position (destination_id, account_id, origin, position)"
            " SELECT d.id, a.id, 0, 0 FROM destination d, account a WHERE d.id < 3"
        )
        yield connection


def _append(connection: Connection, account: int, count: int, stored_bytes: int) -> None:
    connection.execute(
        "WITH moved AS (UPDATE account SET head = head + %(count)s WHERE id = %(account)s RETURNING head)"
        " INSERT INTO outbox (account_id, first_offset, count, observed_ms, stored_bytes, body)"
        " SELECT %(account)s, head - %(count)s, %(count)s, 0, %(bytes)s, '' FROM moved",
        {"account": account, "count": count, "bytes": stored_bytes},
    )


def _pass(connection: Connection, rng: random.Random) -> None:
    connection.execute(
        "UPDATE position p SET position = least(p.position + %s, a.head) FROM account a"
        " WHERE a.id = p.account_id AND p.destination_id = %s AND p.account_id = %s",
        (rng.randrange(12), rng.choice(_DESTINATIONS), rng.choice(_ACCOUNTS)),
    )


def _expire(connection: Connection, rng: random.Random) -> None:
    connection.execute(
        "DELETE FROM outbox WHERE account_id = %(account)s AND first_offset + count <="
        " (SELECT min(position) FROM position WHERE account_id = %(account)s)",
        {"account": rng.choice(_ACCOUNTS)},
    )


def _come_or_go(connection: Connection, rng: random.Random) -> None:
    if rng.random() < 0.5:
        connection.execute("DELETE FROM position WHERE destination_id = 3")
    else:
        connection.execute(
            "INSERT INTO position (destination_id, account_id, origin, position)"
            " SELECT 3, a.id, 0, coalesce((SELECT min(first_offset) FROM outbox WHERE account_id = a.id), a.head)"
            " FROM account a ON CONFLICT DO NOTHING"
        )


@pytest.mark.parametrize("seed", range(2))
def test_kept_figure_is_the_counted_one(connection: Connection, seed: int) -> None:
    """Whatever is appended, passed, expired, enrolled or released between two questions, the figure is exact."""
    rng = random.Random(seed)
    backlog = Backlog()
    for _ in range(60):
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
        row = connection.execute(_EVERYTHING).fetchone()
        assert row == (backlog.total_bytes(connection),)
        assert row == (Backlog().total_bytes(connection),), "as after a restart"


def _questions(connection: Connection, backlog: Backlog) -> int:
    """Return how often the server is asked for one figure."""
    with mock.patch.object(connection, "execute", wraps=connection.execute) as execute:
        backlog.total_bytes(connection)
    return execute.call_count


def test_question_costs_what_moved(connection: Connection) -> None:
    """However many accounts moved, four questions are asked at most, and one where nothing has."""
    backlog = Backlog()
    for account in _ACCOUNTS:
        for _ in range(5):
            _append(connection, account, 2, 10)
    assert 3 * 5 * 10 == backlog.total_bytes(connection)
    assert 1 == _questions(connection, backlog)
    for account in _ACCOUNTS:
        _append(connection, account, 1, 10)
    connection.execute("UPDATE position SET position = position + 3")
    assert 4 == _questions(connection, backlog)
    assert 3 * 5 * 10 == backlog.total_bytes(connection)
