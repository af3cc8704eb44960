"""A store as it is after a month: millions of fingerprints in time order, four a second."""

import asyncio
import sqlite3
from datetime import datetime
from pathlib import Path

from mcwatch.app.clock import SystemClock
from mcwatch.domain.event import FINDER
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics

ACCOUNT = "bench"
_PER_SECOND = 4
_CHAIN_BYTES = 480
_SLOT_BITS = 34


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


def reset(path: Path, since: datetime) -> None:
    """Take back what a run has added to a prefilled store."""
    connection = sqlite3.connect(path, isolation_level=None)
    (feed,) = connection.execute("SELECT id FROM feed").fetchone()
    connection.execute("DELETE FROM seen WHERE slot >= ?", ((feed << _SLOT_BITS) + int(since.timestamp()),))
    for table in ("outbox", "cursor", "coverage", "passage", "position", "refusal", "dead_letter", "destination"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("UPDATE feed SET new = 0, duplicate = 0, undecodable = 0")
    connection.execute("UPDATE account SET head = 0")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def _enrol(path: Path) -> None:
    async with SqliteStore(StoreOptions(path, reserve_bytes=0), clock=SystemClock(), metrics=Metrics()) as store:
        await store.feed(ACCOUNT, FINDER)
