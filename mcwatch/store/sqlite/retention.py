"""Expiry: what is past its time goes in small pieces, so that no poll waits for it."""

import sqlite3
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from mcwatch.domain.fingerprint import TIMELESS
from mcwatch.domain.outbox import Released
from mcwatch.store.keep import Keep
from mcwatch.store.rows import milliseconds
from mcwatch.store.sqlite import passages
from mcwatch.store.sqlite.coverage import expire_coverage
from mcwatch.store.sqlite.registry import release_destinations
from mcwatch.store.sqlite.transaction import SECOND_MASK, SLOT_BITS

_ROOM = 500
"""What a piece may remove: so many seconds of fingerprints or dead letters, or fewer outbox rows, which are larger."""

_OUTBOX_COST = 10
_VISITS = 200
"""Places a piece looks at, whether or not anything is due there."""

_NOBODY_WAITS = 2**63 - 1

_LEAST_COVERAGE = timedelta(days=31)
"""Coverage stays while it can be owed, which is the API's history of 28 days and a margin.

Without it what was read would be owed again, and catch-up would read it for ever.
"""


class Kind(Enum):
    """What there is to expire."""

    SECONDS = "seconds"
    TOUCHED = "touched"
    OUTBOX = "outbox"
    DEAD_LETTERS = "dead_letters"
    COVERAGE = "coverage"
    PASSAGES = "passages"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sweep looks: a feed's seconds, an account's outbox, or what is found whosever it is."""

    kind: Kind
    id: int = 0


@dataclass(frozen=True, slots=True)
class Expired:
    """What one piece of expiry removed, and the places this sweep has yet to visit."""

    dead_letters: int
    destinations: list[Released]
    rest: tuple[Place, ...]


def expire(connection: sqlite3.Connection, keep: Keep, now: datetime, rest: Sequence[Place] = ()) -> Expired:
    """Remove a bounded amount at a bounded number of places; ``rest`` is where the piece before stopped.

    A place with more than a piece may remove is visited again after all others, so that none keeps them waiting.
    """
    released = release_destinations(connection, int((now - keep.delivered).timestamp()), int(now.timestamp()))
    places = deque(rest or _places(connection))
    room, letters = _ROOM, 0
    for _ in range(min(_VISITS, len(places))):
        place = places.popleft()
        cost = _OUTBOX_COST if place.kind is Kind.OUTBOX else 1
        most = max(room // cost, 1)
        removed = _expire_place(connection, place, keep, now, most)
        letters += removed if place.kind is Kind.DEAD_LETTERS else 0
        if removed >= most:
            places.append(place)
        room -= removed * cost
        if room <= 0:
            break
    return Expired(letters, released, tuple(places))


def _places(connection: sqlite3.Connection) -> list[Place]:
    return [
        *(Place(Kind.SECONDS, feed) for (feed,) in connection.execute("SELECT id FROM feed")),
        *(Place(Kind.OUTBOX, account) for (account,) in connection.execute("SELECT id FROM account")),
        Place(Kind.TOUCHED),
        Place(Kind.DEAD_LETTERS),
        Place(Kind.COVERAGE),
        Place(Kind.PASSAGES),
    ]


def _expire_place(connection: sqlite3.Connection, place: Place, keep: Keep, now: datetime, most: int) -> int:
    if place.kind is Kind.OUTBOX:
        return _expire_outbox(connection, place.id, milliseconds(now - keep.delivered), most)
    if place.kind is Kind.DEAD_LETTERS:
        return _expire_letters(connection, milliseconds(now - keep.dead_letters), most)
    if place.kind is Kind.COVERAGE:
        longest = max(keep.fingerprints, _LEAST_COVERAGE)
        return expire_coverage(connection, int((now - longest).timestamp()), int(longest.total_seconds()), most)
    before_secs = int((now - keep.fingerprints).timestamp())
    if place.kind is Kind.PASSAGES:
        return passages.expire(connection, before_secs, most)
    if place.kind is Kind.SECONDS:
        return _expire_seconds(connection, place.id, before_secs, most)
    return _expire_touched(connection, before_secs, most)


def _expire_seconds(connection: sqlite3.Connection, feed: int, before_secs: int, most: int) -> int:
    base = feed << SLOT_BITS
    return connection.execute(
        "DELETE FROM seen WHERE slot IN"
        " (SELECT slot FROM seen WHERE slot >= ? AND slot < ? AND touched_secs IS NULL LIMIT ?)",
        (base, base | before_secs, most),
    ).rowcount


def _expire_touched(connection: sqlite3.Connection, before_secs: int, most: int) -> int:
    return connection.execute(
        "DELETE FROM seen WHERE slot IN (SELECT slot FROM seen INDEXED BY seen_by_touch WHERE touched_secs < ?1"
        " AND (slot & ?2 < ?1 OR slot & ?2 >= ?3) LIMIT ?4)",
        (before_secs, SECOND_MASK, TIMELESS, most),
    ).rowcount


def _expire_outbox(connection: sqlite3.Connection, account: int, before_ms: int, most: int) -> int:
    """Remove the oldest rows, none before its forerunners: a destination may begin at the oldest and wants no hole."""
    (reached,) = connection.execute(
        "SELECT min(p.position) FROM destination d CROSS JOIN position p ON p.destination_id = d.id"
        " WHERE p.account_id = ?",
        (account,),
    ).fetchone()
    oldest = connection.execute(
        "SELECT id, first_offset + count, observed_ms FROM outbox INDEXED BY outbox_log"
        " WHERE account_id = ? ORDER BY first_offset LIMIT ?",
        (account, most),
    ).fetchall()
    limit = _NOBODY_WAITS if reached is None else reached
    passed = [(row_id, observed_ms) for row_id, end, observed_ms in oldest if end <= limit]
    # A row is older than those behind it, whatever a clock that ran ahead once has written on it.
    due = max((at for at, (_, observed_ms) in enumerate(passed, 1) if observed_ms < before_ms), default=0)
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(row_id,) for row_id, _ in passed[:due]])
    return due


def _expire_letters(connection: sqlite3.Connection, before_ms: int, most: int) -> int:
    # Skipped ranges are few, and remembered as long as what was refused.
    connection.execute("DELETE FROM skip WHERE at_ms < ?", (before_ms,))
    return connection.execute(
        "DELETE FROM dead_letter WHERE id IN"
        " (SELECT id FROM dead_letter INDEXED BY dead_letter_by_age WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
        (before_ms, most),
    ).rowcount
