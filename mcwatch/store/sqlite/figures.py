"""The stored figures, read as of one moment."""

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from mcwatch.domain.outbox import DestinationFigures, FeedFigures, SkippedRange, StoreSnapshot
from mcwatch.store.sqlite.backlog import Backlog

_MOST_SKIPPED_RANGES = 10
_OLDEST_MS = (
    "SELECT min((SELECT observed_ms FROM outbox WHERE account_id = p.account_id AND first_offset <= p.position"
    " ORDER BY first_offset DESC LIMIT 1)) FROM position p JOIN account a ON a.id = p.account_id"
    " WHERE p.destination_id = ? AND p.position < a.head"
)


def snapshot(connection: sqlite3.Connection, path: Path, limit_bytes: int, backlog: Backlog) -> StoreSnapshot:
    """Read everything within one read transaction."""
    connection.execute("BEGIN")
    try:
        return StoreSnapshot(
            feeds=_feeds(connection),
            destinations=_destinations(connection),
            undecodable_letters=dict(
                connection.execute(
                    "SELECT a.name, count(d.id) FROM account a LEFT JOIN dead_letter d"
                    " ON d.account_id = a.id AND d.destination_id IS NULL GROUP BY a.id"
                ).fetchall()
            ),
            outbox_bytes=backlog.total_bytes(connection),
            outbox_limit_bytes=limit_bytes,
            store_bytes=store_bytes(path),
            disk_free_bytes=disk_free_bytes(path),
        )
    finally:
        connection.execute("COMMIT")


def backlog_bytes(connection: sqlite3.Connection, backlog: Backlog) -> int:
    """Return the stored bytes that some destination has not received."""
    connection.execute("BEGIN")
    try:
        return backlog.total_bytes(connection)
    finally:
        connection.execute("COMMIT")


def disk_free_bytes(path: Path) -> int | None:
    """Return the room left for us on the file system of the store, None where the system does not say."""
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return None
    return room.f_bavail * room.f_frsize


def store_bytes(path: Path) -> int:
    """Return the size of the file and its log."""
    log = path.with_name(path.name + "-wal")
    return sum(file.stat().st_size for file in (path, log) if file.exists())


def shrink_log(connection: sqlite3.Connection) -> int:
    """Move the log into the file and cut it, so that it gives back its room; return the bytes free inside the file."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    pages, page_bytes = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
    free: int = pages * page_bytes
    return free


def _feeds(connection: sqlite3.Connection) -> list[FeedFigures]:
    rows = connection.execute(
        "SELECT a.name, f.source, f.new, f.duplicate, f.undecodable FROM feed f JOIN account a ON a.id = f.account_id"
        " ORDER BY a.name, f.source"
    )
    return [
        FeedFigures(account, source, new + duplicate + undecodable, new, duplicate, undecodable)
        for account, source, new, duplicate, undecodable in rows
    ]


def _destinations(connection: sqlite3.Connection) -> list[DestinationFigures]:
    found = []
    for destination_id, name in connection.execute(
        "SELECT id, name FROM destination WHERE released_secs IS NULL ORDER BY name"
    ).fetchall():
        offered, waiting, delivered, not_selected, skipped = connection.execute(
            "SELECT coalesce(sum(a.head - p.origin), 0), coalesce(sum(a.head - p.position), 0),"
            " coalesce(sum(p.delivered), 0), coalesce(sum(p.not_selected), 0), coalesce(sum(p.skipped), 0)"
            " FROM position p JOIN account a ON a.id = p.account_id WHERE p.destination_id = ?",
            (destination_id,),
        ).fetchone()
        refused = connection.execute(
            "SELECT reason, count FROM refusal WHERE destination_id = ?", (destination_id,)
        ).fetchall()
        oldest_ms = connection.execute(_OLDEST_MS, (destination_id,)).fetchone()[0]
        letters = connection.execute(
            "SELECT count(*) FROM dead_letter WHERE destination_id = ?", (destination_id,)
        ).fetchone()[0]
        found.append(
            DestinationFigures(
                name,
                offered,
                delivered,
                dict(refused),
                not_selected,
                skipped,
                waiting,
                _time(oldest_ms),
                letters,
                _skipped_ranges(connection, destination_id),
            )
        )
    return found


def _skipped_ranges(connection: sqlite3.Connection, destination_id: int) -> list[SkippedRange]:
    """Return what was passed over, newest first; the accounts of one occasion are one range."""
    rows = connection.execute(
        "SELECT min(from_ms), at_ms + 1, sum(end_offset - start_offset) FROM skip WHERE destination_id = ?"
        " GROUP BY at_ms ORDER BY at_ms DESC LIMIT ?",
        (destination_id, _MOST_SKIPPED_RANGES),
    )
    return [
        SkippedRange(datetime.fromtimestamp(from_ms / 1000, UTC), datetime.fromtimestamp(at_ms / 1000, UTC), events)
        for from_ms, at_ms, events in rows
    ]


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
