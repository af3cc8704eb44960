"""Accounts, feeds and destinations as the store knows them, and where each destination stands."""

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid4

from mcwatch.domain.outbox import Released
from mcwatch.domain.page import Feed, FeedProgress
from mcwatch.store.sqlite.coverage import coverage_of


def enrol_feed(connection: sqlite3.Connection, account: str, source: str) -> Feed:
    """Register a feed or find it; every known destination gets the first event of a new account."""
    connection.execute("INSERT INTO account (name) VALUES (?) ON CONFLICT DO NOTHING", (account,))
    account_id: int = connection.execute("SELECT id FROM account WHERE name = ?", (account,)).fetchone()[0]
    connection.execute(
        "INSERT INTO feed (account_id, source) VALUES (?, ?) ON CONFLICT DO NOTHING", (account_id, source)
    )
    feed_id: int = connection.execute(
        "SELECT id FROM feed WHERE account_id = ? AND source = ?", (account_id, source)
    ).fetchone()[0]
    connection.execute(
        "INSERT INTO position (destination_id, account_id, origin, position)"
        " SELECT id, ?1, 0, 0 FROM destination WHERE released_secs IS NULL ON CONFLICT DO NOTHING",
        (account_id,),
    )
    return Feed(feed_id, account_id, account, source)


def enrol_destinations(connection: sqlite3.Connection, starts: Mapping[str, bool], now: datetime) -> list[str]:
    """Register the configured destinations (name: begin at the head) and return the names that are gone.

    A new one begins at the head or at the oldest event kept of the accounts that exist; a gone one is remembered with
    the time, so that expiry can release it.
    """
    for name, at_head in starts.items():
        connection.execute("INSERT INTO destination (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
        # Nothing is written where nothing changes, so that a start needs no room on the disk.
        connection.execute(
            "UPDATE destination SET channel = ? WHERE name = ? AND channel IS NULL", (uuid4().bytes, name)
        )
        connection.execute(
            "UPDATE destination SET gone_secs = NULL, released_secs = NULL WHERE name = ? AND gone_secs IS NOT NULL",
            (name,),
        )
        oldest = (
            "head" if at_head else
            "coalesce((SELECT min(first_offset) FROM outbox WHERE account_id = account.id), head)"
        )  # fmt: skip
        connection.execute(
            "INSERT INTO position (destination_id, account_id, origin, position)"  # noqa: S608 - expressions of ours
            f" SELECT destination.id, account.id, {oldest}, {oldest} FROM destination, account"
            " WHERE destination.name = ? ON CONFLICT DO NOTHING",
            (name,),
        )
    rows = connection.execute("SELECT name FROM destination WHERE released_secs IS NULL").fetchall()
    gone = sorted(name for (name,) in rows if name not in starts)
    connection.executemany(
        "UPDATE destination SET gone_secs = ? WHERE name = ? AND gone_secs IS NULL",
        [(int(now.timestamp()), name) for name in gone],
    )
    return gone


def release_destinations(connection: sqlite3.Connection, gone_before_secs: int, now_secs: int) -> list[Released]:
    """Forget the positions and counts of destinations gone before that time; their dead letters expire by themselves.

    The name is kept for as long as a dead letter has it.
    """
    connection.execute(
        "DELETE FROM destination WHERE released_secs IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM dead_letter WHERE destination_id = destination.id)"
    )
    rows = connection.execute(
        "SELECT id, name FROM destination WHERE gone_secs < ? AND released_secs IS NULL", (gone_before_secs,)
    ).fetchall()
    return [_release(connection, destination_id, name, now_secs) for destination_id, name in rows]


def forget_destination(connection: sqlite3.Connection, name: str, now_secs: int) -> Released | None:
    """Release a destination at once; None when the store does not know it, or has released it before."""
    row = connection.execute("SELECT id FROM destination WHERE name = ? AND released_secs IS NULL", (name,)).fetchone()
    return _release(connection, row[0], name, now_secs) if row else None


def _release(connection: sqlite3.Connection, destination_id: int, name: str, now_secs: int) -> Released:
    (waiting,) = connection.execute(
        "SELECT coalesce(sum(a.head - p.position), 0) FROM position p JOIN account a ON a.id = p.account_id"
        " WHERE p.destination_id = ?",
        (destination_id,),
    ).fetchone()
    (letters,) = connection.execute(
        "SELECT count(*) FROM dead_letter WHERE destination_id = ?", (destination_id,)
    ).fetchone()
    for table in ("position", "refusal", "receipt", "skip"):
        connection.execute(f"DELETE FROM {table} WHERE destination_id = ?", (destination_id,))  # noqa: S608 - ours
    connection.execute(
        "UPDATE destination SET gone_secs = coalesce(gone_secs, ?1), released_secs = ?1 WHERE id = ?2",
        (now_secs, destination_id),
    )
    return Released(name, waiting, letters)


def destinations(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the destinations that are not released."""
    rows = connection.execute("SELECT name FROM destination WHERE released_secs IS NULL ORDER BY name")
    return [name for (name,) in rows]


def channel(connection: sqlite3.Connection, destination: str) -> UUID:
    """Return what a receiver may know the destination by."""
    (value,) = connection.execute("SELECT channel FROM destination WHERE name = ?", (destination,)).fetchone()
    return UUID(bytes=value)


def positions(connection: sqlite3.Connection, destination: str) -> dict[int, int]:
    """Return the position per account id."""
    rows = connection.execute(
        "SELECT account_id, position FROM position WHERE destination_id = (SELECT id FROM destination WHERE name = ?)",
        (destination,),
    )
    return dict(rows.fetchall())


def heads(connection: sqlite3.Connection) -> dict[int, int]:
    """Return the head per account id."""
    return dict(connection.execute("SELECT id, head FROM account").fetchall())


def feed_id_of(connection: sqlite3.Connection, account: str, source: str) -> int | None:
    """Return a feed's id, None for a feed that is not registered."""
    row = connection.execute(
        "SELECT f.id FROM feed f JOIN account a ON a.id = f.account_id WHERE a.name = ? AND f.source = ?",
        (account, source),
    ).fetchone()
    return row[0] if row else None


def progress_of(connection: sqlite3.Connection, feed_id: int) -> FeedProgress:
    """Return how far a feed has been read, cursors and coverage as of one moment."""
    connection.execute("BEGIN")
    try:
        rows = connection.execute("SELECT name, value FROM cursor WHERE feed_id = ?", (feed_id,)).fetchall()
        return FeedProgress(dict(rows), coverage_of(connection, feed_id))
    finally:
        connection.execute("COMMIT")
