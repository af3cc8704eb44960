"""A settlement writes only of accounts that stand where it takes them to stand; reading asks for what is needed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import psycopg
import pytest
import zstandard

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.errors import FailureReason, StoreCorrupt
from mcwatch.domain.event import FINDER
from mcwatch.domain.outbox import LetterChoice, Progress, Receipt, Rejected, Settlement
from mcwatch.domain.record import Unreadable
from mcwatch.store.postgres import letters, outbox, registry
from mcwatch.store.postgres.transaction import PostgresPageTransaction
from tests.contract.postgres_database import emptied_database
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.timeout(15)

_NOW = FakeClock().now()

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Give a store with the accounts acme, 1, and corp, 2, ten events of each, and the destination hook."""
    with psycopg.connect(emptied_database(), autocommit=True) as connection:
        for account in ("acme", "corp"):
            _append(connection, account, 10)
        registry.enrol_destinations(connection, {"hook": False}, _NOW)
        yield connection


def _page(connection: Connection, account: str) -> PostgresPageTransaction:
    feed = registry.enrol_feed(connection, account, FINDER)
    return PostgresPageTransaction(connection, feed, zstandard.ZstdCompressor(), _NOW, 10)


def _append(connection: Connection, account: str, count: int, pad: int = 0) -> None:
    _page(connection, account).append((b"x" * pad + b"\n") * count, count, _NOW)


def _receipt(account_id: int, start: int) -> Receipt:
    return Receipt(account_id, start, start + 1, 1, b"token", _NOW)


def _rejected(account_id: int) -> Rejected:
    return Rejected(account_id, "id", FailureReason.REFUSED, "no", b"{}")


def _rows(connection: Connection, table: str) -> set[int]:
    return {account_id for (account_id,) in connection.execute(f"SELECT account_id FROM {table}".encode())}


def test_nothing_is_written_of_an_account_that_stands_elsewhere(connection: Connection) -> None:
    """Neither position nor receipt, skip or dead letter of it; all of it of the others."""
    assert set() == outbox.settle(connection, Settlement("hook", [Progress(1, 3, 3, 0)]), _NOW)
    settlement = Settlement(
        "hook",
        [Progress(1, 6, 3, 1, 1), Progress(2, 6, 3, 1, 1)],
        [_rejected(1), _rejected(2)],
        [_receipt(1, 7), _receipt(2, 7)],
    )
    assert {1} == outbox.settle(connection, settlement, _NOW)
    assert {1: 3, 2: 6} == registry.positions(connection, "hook")
    for table in ("receipt", "skip", "dead_letter", "refusal"):
        assert {2} == _rows(connection, table)


def test_the_same_settlement_counts_once(connection: Connection) -> None:
    """Written again, because nobody knew whether it was, it changes nothing and says so."""
    settlement = Settlement("hook", [Progress(1, 2, 1, 0)], [_rejected(1)])
    assert set() == outbox.settle(connection, settlement, _NOW)
    assert {1} == outbox.settle(connection, settlement, _NOW)
    assert 1 == len(letters.chosen(connection, LetterChoice(), 0, 10))


def test_nothing_is_written_for_a_destination_that_is_no_more(connection: Connection) -> None:
    """A settlement for one that was released, or never was, is told of every account it speaks of."""
    registry.forget_destination(connection, "hook", 0)
    for name in ("hook", "stranger"):
        settlement = Settlement(name, [Progress(1, 1, 1, 0)], (), [_receipt(2, 3)])
        assert {1, 2} == outbox.settle(connection, settlement, _NOW)
    assert set() == _rows(connection, "receipt")


def test_what_is_settled_is_not_gone(connection: Connection) -> None:
    """A destination that another replica's configuration lacks is not released while this one delivers to it."""
    assert ["hook"] == registry.enrol_destinations(connection, {}, _NOW - timedelta(days=2))
    outbox.settle(connection, Settlement("hook", [Progress(1, 1, 1, 0)]), _NOW)
    assert [] == registry.release_destinations(connection, int(_NOW.timestamp()), 0)
    assert {1: 1, 2: 0} == registry.positions(connection, "hook")


def test_text_that_the_server_cannot_keep(connection: Connection) -> None:
    """A receiver's or a decoder's words with U+0000 in them hold up nothing."""
    bad = Rejected(1, "id\0", FailureReason.REFUSED, "a\0b", b"\0")
    assert set() == outbox.settle(connection, Settlement("hook", [Progress(1, 1, 0, 0)], [bad]), _NOW)
    _page(connection, "acme").quarantine([Unreadable(b"\0", "c\0d")], _NOW)
    letters.retried(connection, [], [(1, Refusal(FailureReason.REFUSED, "e\0f"))])
    assert [("e\ufffdf", b"\0"), ("c\ufffdd", b"\0")] == [
        (one.letter.detail, one.body) for one in letters.chosen(connection, LetterChoice(), 0, 10)
    ]


def test_a_read_asks_again_only_for_more(connection: Connection) -> None:
    """What shrinks as events do is read with one question; what shrinks better with as many as it takes, in order."""
    for _ in range(20):
        _append(connection, "acme", 2, 5000)
    with mock.patch.object(connection, "execute", wraps=connection.execute) as execute:
        rows = outbox.read_rows(connection, 1, 11, 35_000, ())
        assert [10, 12, 14, 16] == [row.first_offset for row in rows]
        assert 1 == execute.call_count
        assert 21 == len(outbox.read_rows(connection, 1, 0, 10_000_000, ()))
        assert 2 == execute.call_count


def test_damaged_row(connection: Connection) -> None:
    """A row that cannot be read ends the process with words that say which."""
    connection.execute("UPDATE outbox SET body = 'x' WHERE account_id = 2")
    with pytest.raises(StoreCorrupt, match="account 2, offset 0"):
        outbox.read_rows(connection, 2, 0, 100, ())
