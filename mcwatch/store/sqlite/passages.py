"""Stays of queue entries as the finder's pages find them: written by one feed of an account, read by another."""

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime

from mcwatch.domain.event import QUEUE
from mcwatch.domain.lifecycle.queue import snapshot_name
from mcwatch.domain.passage import KeptPassage, Passage

_KEY = "account_id = ? AND place = ? AND traits = ? AND entry = ? AND visit = ?"

_KEEP = (
    "INSERT INTO passage (account_id, place, traits, entry, visit, queue, created_ms, ended, touched_secs)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (account_id, place, traits, entry, visit) DO UPDATE SET"
    " created_ms = excluded.created_ms, ended = excluded.ended, touched_secs = excluded.touched_secs"
)

_FIND = (
    "SELECT p.place, p.traits, p.entry, p.visit, p.queue, p.created_ms, p.ended, p.taken, s.body FROM passage p"
    " LEFT JOIN stay s ON p.ended = x'' AND s.feed_id = ? AND s.queue = p.queue AND s.key = p.entry"
    " WHERE p.account_id = ? AND p.place = ? AND p.traits IN (SELECT value FROM json_each(?))"
)


def _key(account_id: int, stay: Passage) -> tuple[int, int, int, bytes, int]:
    return account_id, stay.place, stay.traits, stay.entry, stay.visit


def keep(connection: sqlite3.Connection, account_id: int, stays: Iterable[Passage], now: datetime) -> None:
    """Insert stays, or replace all of them but whether they are taken."""
    touched = int(now.timestamp())
    connection.executemany(
        _KEEP,
        [(*_key(account_id, stay), stay.queue, stay.created_ms, stay.ended, touched) for stay in stays],
    )


def any_in(connection: sqlite3.Connection, account_id: int, first_place: int, last_place: int) -> bool:
    """Tell whether there is a stay in these places."""
    row = connection.execute(
        "SELECT 1 FROM passage WHERE account_id = ? AND place BETWEEN ? AND ? LIMIT 1",
        (account_id, first_place, last_place),
    ).fetchone()
    return row is not None


def find(connection: sqlite3.Connection, account_id: int, wanted: Iterable[tuple[int, int]]) -> list[KeptPassage]:
    """Return the stays of these (place, traits), with what the queue's feed of the account knows of the live ones."""
    feed = connection.execute("SELECT id FROM feed WHERE account_id = ? AND source = ?", (account_id, QUEUE)).fetchone()
    feed_id = feed[0] if feed else None
    # Asked by place, of which a page of fresh mail has one or two: so the traits are plain numbers to SQLite.
    by_place: dict[int, list[int]] = {}
    for place, traits in wanted:
        by_place.setdefault(place, []).append(traits)
    rows = [
        row
        for place, traits in by_place.items()
        for row in connection.execute(_FIND, (feed_id, account_id, place, json.dumps(traits)))
    ]
    if not rows:
        return []
    snapshots = dict(connection.execute("SELECT name, value FROM cursor WHERE feed_id = ?", (feed_id,)).fetchall())
    return [
        KeptPassage(Passage(*row), bool(taken), live, snapshots.get(snapshot_name(row[4])))
        for *row, taken, live in rows
    ]


def take(connection: sqlite3.Connection, account_id: int, stays: Iterable[Passage], now: datetime) -> None:
    """Mark stays as taken."""
    touched = int(now.timestamp())
    connection.executemany(
        f"UPDATE passage SET taken = 1, touched_secs = ? WHERE {_KEY}",  # noqa: S608 - a condition of ours
        [(touched, *_key(account_id, stay)) for stay in stays],
    )


def expire(connection: sqlite3.Connection, before_secs: int, most: int) -> int:
    """Remove stays that nothing has touched since a time."""
    return connection.execute(
        "DELETE FROM passage WHERE (account_id, place, traits, entry, visit) IN (SELECT account_id, place, traits,"
        " entry, visit FROM passage INDEXED BY passage_by_touch WHERE touched_secs < ? LIMIT ?)",
        (before_secs, most),
    ).rowcount
