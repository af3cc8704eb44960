"""Accounts, feeds and destinations as the store knows them, and where each destination stands."""

import sqlite3
from collections.abc import Mapping
from datetime import datetime

from mcwatch.domain.page import Feed


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
        " SELECT id, ?1, 0, 0 FROM destination WHERE true ON CONFLICT DO NOTHING",
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
        connection.execute("UPDATE destination SET gone_secs = NULL WHERE name = ?", (name,))
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
    rows = connection.execute("SELECT name FROM destination").fetchall()
    gone = sorted(name for (name,) in rows if name not in starts)
    connection.executemany(
        "UPDATE destination SET gone_secs = ? WHERE name = ? AND gone_secs IS NULL",
        [(int(now.timestamp()), name) for name in gone],
    )
    return gone


def release_destinations(connection: sqlite3.Connection, gone_before_secs: int) -> list[str]:
    """Forget destinations gone before that time, with their positions and counts; return their names."""
    rows = connection.execute("SELECT id, name FROM destination WHERE gone_secs < ?", (gone_before_secs,)).fetchall()
    for destination_id, _ in rows:
        for table in ("position", "refusal", "dead_letter"):
            connection.execute(f"DELETE FROM {table} WHERE destination_id = ?", (destination_id,))  # noqa: S608
        connection.execute("DELETE FROM destination WHERE id = ?", (destination_id,))
    return [name for _, name in rows]


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
