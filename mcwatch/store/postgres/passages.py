"""Stays of queue entries as the finder's pages find them: written by one feed of an account, read by another."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import psycopg

from mcwatch.domain.event import QUEUE
from mcwatch.domain.lifecycle.queue import snapshot_name
from mcwatch.domain.passage import KeptPassage, Passage

_GIVEN = "unnest(%(places)b::bigint[], %(traits)b::bigint[], %(entries)b::bytea[], %(visits)b::bigint[]"

_KEEP = (
    "INSERT INTO passage (account_id, place, traits, entry, visit, queue, created_ms, ended, touched_secs)"  # noqa: S608
    " SELECT %(account)s, place, traits, entry, visit, queue, created_ms, ended, %(touched)s"
    f" FROM {_GIVEN}, %(queues)b::text[], %(created)b::bigint[], %(ended)b::bytea[])"
    " AS given (place, traits, entry, visit, queue, created_ms, ended) ORDER BY place, traits, entry, visit"
    " ON CONFLICT (account_id, place, traits, entry, visit) DO UPDATE SET"
    " created_ms = excluded.created_ms, ended = excluded.ended, touched_secs = excluded.touched_secs"
)

_TAKE = (
    "UPDATE passage p SET taken = true, touched_secs = %(touched)s"  # noqa: S608 - pieces of ours
    f" FROM {_GIVEN}) AS given (place, traits, entry, visit)"
    " WHERE p.account_id = %(account)s AND p.place = given.place AND p.traits = given.traits"
    " AND p.entry = given.entry AND p.visit = given.visit"
)

_FIND = (
    "SELECT p.place, p.traits, p.entry, p.visit, p.queue, p.created_ms, p.ended, p.taken, s.body, f.id"
    " FROM unnest(%(places)b::bigint[], %(traits)b::bigint[]) AS wanted (place, traits)"
    " JOIN passage p ON p.account_id = %(account)s AND p.place = wanted.place AND p.traits = wanted.traits"
    " LEFT JOIN feed f ON f.account_id = p.account_id AND f.source = %(source)s"
    " LEFT JOIN stay s ON p.ended = '' AND s.feed_id = f.id AND s.queue = p.queue AND s.key = p.entry"
)

_EXPIRE = (
    "DELETE FROM passage WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM passage WHERE touched_secs < %s LIMIT %s FOR UPDATE SKIP LOCKED))"
)


def _columns(account_id: int, stays: Iterable[Passage], now: datetime) -> dict[str, Any] | None:
    # In order of the key, of one stay the last: one statement may touch a row only once.
    given = {(stay.place, stay.traits, stay.entry, stay.visit): stay for stay in stays}
    if not given:
        return None
    ordered = [given[key] for key in sorted(given)]
    return {
        "account": account_id,
        "touched": int(now.timestamp()),
        "places": [stay.place for stay in ordered],
        "traits": [stay.traits for stay in ordered],
        "entries": [stay.entry for stay in ordered],
        "visits": [stay.visit for stay in ordered],
        "queues": [stay.queue for stay in ordered],
        "created": [stay.created_ms for stay in ordered],
        "ended": [stay.ended for stay in ordered],
    }


def keep(connection: psycopg.Connection[Any], account_id: int, stays: Iterable[Passage], now: datetime) -> None:
    """Insert stays, or replace all of them but whether they are taken."""
    if columns := _columns(account_id, stays, now):
        connection.execute(_KEEP, columns)


def any_in(connection: psycopg.Connection[Any], account_id: int, first_place: int, last_place: int) -> bool:
    """Tell whether there is a stay in these places."""
    row = connection.execute(
        "SELECT 1 FROM passage WHERE account_id = %s AND place BETWEEN %s AND %s LIMIT 1",
        (account_id, first_place, last_place),
    ).fetchone()
    return row is not None


def find(
    connection: psycopg.Connection[Any], account_id: int, wanted: Collection[tuple[int, int]]
) -> list[KeptPassage]:
    """Return the stays of these (place, traits), with what the queue's feed of the account knows of the live ones."""
    if not wanted:
        return []
    asked = {
        "account": account_id,
        "source": QUEUE,
        "places": [place for place, _ in wanted],
        "traits": [traits for _, traits in wanted],
    }
    rows = connection.execute(_FIND, asked, binary=True).fetchall()
    if not rows:
        return []
    names = sorted({snapshot_name(row[4]) for row in rows})
    snapshots = dict(
        connection.execute(
            "SELECT name, value FROM cursor WHERE feed_id = %s AND name = ANY(%b::text[])",
            (rows[0][-1], names),
            binary=True,
        ).fetchall()
    )
    return [
        KeptPassage(Passage(*row), taken, live, snapshots.get(snapshot_name(row[4]))) for *row, taken, live, _ in rows
    ]


def take(connection: psycopg.Connection[Any], account_id: int, stays: Iterable[Passage], now: datetime) -> None:
    """Mark stays as taken."""
    if columns := _columns(account_id, stays, now):
        connection.execute(_TAKE, columns)


def expire(connection: psycopg.Connection[Any], before_secs: int, most: int) -> int:
    """Remove stays that nothing has touched since a time."""
    return connection.execute(_EXPIRE, (before_secs, most)).rowcount
