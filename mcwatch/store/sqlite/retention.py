"""Expiry: what is past its time goes in small pieces, so that no poll waits for it."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcwatch.domain.fingerprint import TIMELESS
from mcwatch.store.sqlite.registry import release_destinations
from mcwatch.store.sqlite.transaction import SLOT_BITS, milliseconds

_SECONDS_AT_ONCE = 500
_ROWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept."""

    fingerprints: timedelta
    delivered: timedelta
    dead_letters: timedelta


@dataclass(frozen=True, slots=True)
class Expired:
    """What one piece of expiry removed, and whether there may be more."""

    fingerprints: int
    batches: int
    dead_letters: int
    destinations: list[str]
    more: bool


def expire(connection: sqlite3.Connection, keep: Keep, now: datetime) -> Expired:
    """Remove a bounded amount."""
    feeds = [row[0] for row in connection.execute("SELECT id FROM feed")]
    accounts = [row[0] for row in connection.execute("SELECT id FROM account")]
    destinations = release_destinations(connection, int((now - keep.delivered).timestamp()))
    seconds = batches = 0
    for feed in feeds:
        room = _SECONDS_AT_ONCE - seconds
        seconds += _expire_seen(connection, feed, int((now - keep.fingerprints).timestamp()), room) if room else 0
    for account in accounts:
        room = _ROWS_AT_ONCE - batches
        batches += _expire_outbox(connection, account, milliseconds(now - keep.delivered), room) if room else 0
    letters = connection.execute(
        "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter WHERE at_ms < ? LIMIT ?)",
        (milliseconds(now - keep.dead_letters), _SECONDS_AT_ONCE),
    ).rowcount
    more = seconds >= _SECONDS_AT_ONCE or batches >= _ROWS_AT_ONCE or letters >= _SECONDS_AT_ONCE
    return Expired(seconds, batches, letters, destinations, more)


def _expire_seen(connection: sqlite3.Connection, feed: int, before_secs: int, most: int) -> int:
    base = feed << SLOT_BITS
    timed = connection.execute(
        "DELETE FROM seen WHERE slot IN (SELECT slot FROM seen WHERE slot >= ? AND slot < ? LIMIT ?)",
        (base, base | before_secs, most),
    ).rowcount
    untimed = connection.execute(
        "DELETE FROM seen WHERE slot IN"
        " (SELECT slot FROM seen WHERE slot >= ? AND slot < ? AND touched_secs < ? LIMIT ?)",
        (base | TIMELESS, (feed + 1) << SLOT_BITS, before_secs, most - timed),
    ).rowcount
    return timed + untimed


def _expire_outbox(connection: sqlite3.Connection, account: int, before_ms: int, most: int) -> int:
    return connection.execute(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE account_id = ?1 AND observed_ms < ?2"
        " AND first_offset + count <="
        " coalesce((SELECT min(position) FROM position WHERE account_id = ?1), 9223372036854775807)"
        " ORDER BY first_offset LIMIT ?3)",
        (account, before_ms, most),
    ).rowcount
