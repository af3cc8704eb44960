"""A store as it is after a month: millions of fingerprints in time order, four a second."""

import asyncio
import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from mcwatch.app.clock import SystemClock
from mcwatch.domain.event import FINDER, message_of
from mcwatch.domain.lifecycle.queue import EndedStay
from mcwatch.domain.passage import Passage, passage_of
from mcwatch.domain.record import Record
from mcwatch.store.sqlite import SqliteStore, StoreOptions, passages
from mcwatch.telemetry.metrics import Metrics

ACCOUNT = "bench"
_PER_SECOND = 4
_CHAIN_BYTES = 480
_SLOT_BITS = 34
_DELAY = timedelta(seconds=20)
_OF_A_RUN = (
    "outbox", "cursor", "coverage", "passage", "receipt", "skip", "position", "refusal", "dead_letter", "destination",
)  # fmt: skip


def prefill(path: Path, fingerprints: int, before: datetime) -> None:
    """Write that many fingerprints with chains of realistic size, all of them older than ``before``."""
    asyncio.run(_enrol(path))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    (feed,) = connection.execute("SELECT id FROM feed").fetchone()
    seconds = fingerprints // _PER_SECOND
    first = (feed << _SLOT_BITS) + int(before.timestamp()) - seconds
    connection.execute("BEGIN")
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)"
        " INSERT INTO seen (slot, marks, chains) SELECT ? + i, randomblob(?), randomblob(?) FROM n",
        (seconds, first, 16 * _PER_SECOND, _CHAIN_BYTES * _PER_SECOND),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def stays_of(rows: Iterable[Record]) -> list[Passage]:
    """Return a stay that has ended for each of these rows of the finder, as if their mail had been in the queue."""
    stays = []
    for number, row in enumerate(rows):
        assert row.received_at is not None
        created = row.received_at - _DELAY
        ended = msgspec.msgpack.encode(EndedStay(created, row.received_at, 1))
        message = message_of(row, "")
        message.created_at = created
        stay = passage_of(message, number.to_bytes(16), 0, "processing", ended)
        assert stay is not None
        stays.append(stay)
    return stays


def lay(path: Path, stays: Iterable[Passage], now: datetime) -> None:
    """Keep stays in a prefilled store, beside what the finder will read."""
    connection = sqlite3.connect(path)
    (account,) = connection.execute("SELECT account_id FROM feed").fetchone()
    passages.keep(connection, account, stays, now)
    connection.commit()
    connection.close()


def linked_total(path: Path) -> int:
    """Return how many of the stays laid a run has linked to their mail."""
    connection = sqlite3.connect(path)
    (count,) = connection.execute("SELECT count(*) FROM passage WHERE taken").fetchone()
    connection.close()
    return int(count)


def reset(path: Path, since: datetime) -> None:
    """Take back what a run has added to a prefilled store."""
    connection = sqlite3.connect(path, isolation_level=None)
    (feed,) = connection.execute("SELECT id FROM feed").fetchone()
    connection.execute("DELETE FROM seen WHERE slot >= ?", ((feed << _SLOT_BITS) + int(since.timestamp()),))
    for table in _OF_A_RUN:
        connection.execute(f"DELETE FROM {table}")
    connection.execute("UPDATE feed SET new = 0, duplicate = 0, undecodable = 0")
    connection.execute("UPDATE account SET head = 0")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def _enrol(path: Path) -> None:
    async with SqliteStore(StoreOptions(path, reserve_bytes=0), clock=SystemClock(), metrics=Metrics()) as store:
        await store.feed(ACCOUNT, FINDER)
