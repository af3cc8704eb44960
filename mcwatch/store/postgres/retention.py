"""Expiry: what is past its time goes in small pieces, days of fingerprints at once."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import psycopg

from mcwatch.domain.fingerprint import TIMELESS
from mcwatch.domain.outbox import Released
from mcwatch.store.keep import Keep
from mcwatch.store.postgres import partitions, passages
from mcwatch.store.postgres.coverage import expire_coverage
from mcwatch.store.postgres.registry import release_destinations
from mcwatch.store.postgres.seen import DAY_SECS, HISTORY_SECS, day_of
from mcwatch.store.rows import milliseconds

_ROOM = 500
"""What a piece may remove, give or take a place's worth: it has a writer to itself meanwhile."""

_OUTBOX_ROWS = 50
"""Of one account at a time, so that none waits for another that has much to remove."""

_ACCOUNTS = 100
_LOOK_COST = 50
"""What it takes of the room to look at the outbox of so many accounts, whether or not anything is due there."""

_NOBODY_WAITS = 2**63 - 1
_AHEAD_SECS = 3 * DAY_SECS

_LEAST_COVERAGE = timedelta(days=31)
"""Coverage stays while it can be owed, which is the API's history of 28 days and a margin.

Without it what was read would be owed again, and catch-up would read it for ever.
"""

# Of each account its oldest rows, as many as may go at a time and no more than every destination has passed. A row is
# older than those behind it, whatever a clock that ran ahead once has written on it: so the last one due counts, and
# none goes before its forerunners, for a destination may begin at the oldest and wants no hole.
_OUTBOX_DUE = (
    "SELECT asked.account_id, due.stop, due.count FROM unnest(%(accounts)b::bigint[]) AS asked (account_id)"
    " CROSS JOIN LATERAL (SELECT coalesce(min(p.position), %(nobody)s) AS reached FROM position p"
    " WHERE p.account_id = asked.account_id) AS passed"
    " CROSS JOIN LATERAL (SELECT max(oldest.stop) AS stop, max(oldest.number) AS count FROM ("
    "SELECT o.first_offset + o.count AS stop, o.observed_ms, row_number() OVER (ORDER BY o.first_offset) AS number"
    " FROM outbox o WHERE o.account_id = asked.account_id ORDER BY o.first_offset LIMIT %(most)s) AS oldest"
    " WHERE oldest.stop <= passed.reached AND oldest.observed_ms < %(before_ms)s) AS due WHERE due.count > 0"
)
_OUTBOX_DELETE = (
    "DELETE FROM outbox o USING unnest(%b::bigint[], %b::bigint[]) AS due (account_id, stop)"
    " WHERE o.account_id = due.account_id AND o.first_offset < due.stop"
)

# A row that a page has touched meanwhile, or touches now, is left to the next piece.
_TOUCHED = (
    "DELETE FROM seen_lasting WHERE ctid = ANY(ARRAY(SELECT ctid FROM seen_lasting WHERE touched_secs < %(before)s"
    " AND (second < %(before)s OR second >= %(timeless)s) LIMIT %(most)s FOR UPDATE SKIP LOCKED))"
)
_LETTERS = (
    "DELETE FROM dead_letter WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM dead_letter WHERE at_ms < %s ORDER BY at_ms LIMIT %s FOR UPDATE SKIP LOCKED))"
)


class Kind(Enum):
    """What there is to expire."""

    TOUCHED = "touched"
    OUTBOX = "outbox"
    DEAD_LETTERS = "dead_letters"
    COVERAGE = "coverage"
    PASSAGES = "passages"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sweep looks: some accounts' outbox, or what is found whosever it is."""

    kind: Kind
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Expired:
    """What one piece of expiry removed, and the places this sweep has yet to visit."""

    dead_letters: int
    destinations: list[Released]
    rest: tuple[Place, ...]


def ensure_partitions(connection: psycopg.Connection[Any], now: datetime, keep: Keep) -> None:
    """Make the days of fingerprints that are missing, of all that a page may write to and some ahead.

    A page does without those that are missing all the same: it keeps its fingerprints by touch then.
    """
    now_secs = int(now.timestamp())
    oldest = now_secs - min(int(keep.fingerprints.total_seconds()) + DAY_SECS, HISTORY_SECS)
    partitions.make(connection, day_of(oldest), day_of(now_secs + _AHEAD_SECS))


def expire(connection: psycopg.Connection[Any], keep: Keep, now: datetime, rest: Sequence[Place] = ()) -> Expired:
    """Remove a bounded amount at a bounded number of places; ``rest`` is where the piece before stopped.

    A place with more than a piece may remove is visited again after all others, so that none keeps them waiting. The
    last piece of a sweep drops the days that are past and makes those to come.
    """
    released = release_destinations(connection, int((now - keep.delivered).timestamp()), int(now.timestamp()))
    places = deque(rest or _places(connection))
    room, letters = _ROOM, 0
    for _ in range(len(places)):
        place = places.popleft()
        if place.kind is Kind.OUTBOX:
            removed, more = _expire_outbox(connection, place.ids, milliseconds(now - keep.delivered))
            room -= _LOOK_COST + removed
            if more:
                places.append(Place(Kind.OUTBOX, more))
        else:
            removed = _expire_place(connection, place.kind, keep, now)
            room -= removed
            letters += removed if place.kind is Kind.DEAD_LETTERS else 0
            if removed >= _ROOM:
                places.append(place)
        if room <= 0:
            break
    if not places:
        now_secs = int(now.timestamp())
        # Days before were made when they were ahead, or at the start.
        partitions.make(connection, day_of(now_secs), day_of(now_secs + _AHEAD_SECS))
        partitions.drop(connection, int((now - keep.fingerprints).timestamp()))
    return Expired(letters, released, tuple(places))


def _places(connection: psycopg.Connection[Any]) -> list[Place]:
    accounts = [account for (account,) in connection.execute("SELECT id FROM account ORDER BY id")]
    return [
        *(Place(kind) for kind in (Kind.TOUCHED, Kind.DEAD_LETTERS, Kind.COVERAGE, Kind.PASSAGES)),
        *(Place(Kind.OUTBOX, tuple(accounts[at : at + _ACCOUNTS])) for at in range(0, len(accounts), _ACCOUNTS)),
    ]


def _expire_place(connection: psycopg.Connection[Any], kind: Kind, keep: Keep, now: datetime) -> int:
    if kind is Kind.DEAD_LETTERS:
        return _expire_letters(connection, milliseconds(now - keep.dead_letters))
    if kind is Kind.COVERAGE:
        longest = max(keep.fingerprints, _LEAST_COVERAGE)
        return expire_coverage(connection, int((now - longest).timestamp()), int(longest.total_seconds()), _ROOM)
    before_secs = int((now - keep.fingerprints).timestamp())
    if kind is Kind.PASSAGES:
        return passages.expire(connection, before_secs, _ROOM)
    return connection.execute(_TOUCHED, {"before": before_secs, "timeless": TIMELESS, "most": _ROOM}).rowcount


def _expire_outbox(
    connection: psycopg.Connection[Any], accounts: Sequence[int], before_ms: int
) -> tuple[int, tuple[int, ...]]:
    """Remove the oldest rows that are due; return how many, and the accounts that may have more of them."""
    asked = {"accounts": list(accounts), "nobody": _NOBODY_WAITS, "before_ms": before_ms, "most": _OUTBOX_ROWS}
    due = connection.execute(_OUTBOX_DUE, asked).fetchall()
    chosen = removed = 0
    while chosen < len(due) and removed < _ROOM:
        removed += due[chosen][2]
        chosen += 1
    now, later = due[:chosen], due[chosen:]
    if now:
        connection.execute(_OUTBOX_DELETE, ([account for account, _, _ in now], [stop for _, stop, _ in now]))
    more = later + [one for one in now if one[2] >= _OUTBOX_ROWS]
    return removed, tuple(account for account, _, _ in more)


def _expire_letters(connection: psycopg.Connection[Any], before_ms: int) -> int:
    # Skipped ranges are few, and remembered as long as what was refused.
    connection.execute("DELETE FROM skip WHERE at_ms < %s", (before_ms,))
    return connection.execute(_LETTERS, (before_ms, _ROOM)).rowcount
