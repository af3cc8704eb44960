"""Accounts, feeds and destinations as the store knows them, and where each destination stands."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from mcwatch.domain.errors import McwatchError, StoreUnavailable
from mcwatch.domain.outbox import Released
from mcwatch.domain.page import Feed, FeedProgress
from mcwatch.store.postgres.coverage import coverage_of
from mcwatch.store.postgres.moment import one_moment

_REGISTRY_LOCK = 0x6D63_7761_0000_0001
"""``mcwa`` and a number. Who comes and goes is written by one replica at a time.

Two that register at once would else each miss what the other is about to add: an account, and a destination that is to
begin with its first event.
"""

_ENROLLED = (
    "SELECT f.id, a.id FROM account a JOIN feed f ON f.account_id = a.id AND f.source = %s"
    " JOIN lease l ON l.account_id = a.id WHERE a.name = %s AND NOT EXISTS (SELECT FROM destination d"
    " WHERE d.released_secs IS NULL AND NOT EXISTS (SELECT FROM position p"
    " WHERE p.destination_id = d.id AND p.account_id = a.id))"
)

_NEW_POSITIONS = (
    "INSERT INTO position (destination_id, account_id, origin, position)"
    " SELECT d.id, a.id, begin.at, begin.at FROM unnest(%b::text[], %b::boolean[]) AS start (name, at_head)"
    " JOIN destination d ON d.name = start.name CROSS JOIN account a CROSS JOIN LATERAL ("
    "SELECT CASE WHEN start.at_head THEN a.head ELSE coalesce("
    "(SELECT min(o.first_offset) FROM outbox o WHERE o.account_id = a.id), a.head) END AS at) AS begin"
    " WHERE NOT EXISTS (SELECT FROM position p WHERE p.destination_id = d.id AND p.account_id = a.id)"
    " ORDER BY d.name, a.id ON CONFLICT DO NOTHING"
)

_LEFT_BY = (
    "SELECT coalesce((SELECT sum(a.head - p.position) FROM position p JOIN account a ON a.id = p.account_id"
    " WHERE p.destination_id = %(id)s), 0)::bigint, (SELECT count(*) FROM dead_letter WHERE destination_id = %(id)s)"
)

_RELEASE = (
    "WITH positions AS (DELETE FROM position WHERE destination_id = %(id)s),"
    " refusals AS (DELETE FROM refusal WHERE destination_id = %(id)s),"
    " receipts AS (DELETE FROM receipt WHERE destination_id = %(id)s),"
    " skips AS (DELETE FROM skip WHERE destination_id = %(id)s)"
    " UPDATE destination SET gone_secs = coalesce(gone_secs, %(now)s), released_secs = %(now)s WHERE id = %(id)s"
)

_LOCK_POSITIONS = "SELECT FROM position WHERE destination_id = %s ORDER BY account_id FOR UPDATE"

_STILL_DUE = (
    "SELECT 1 FROM destination WHERE id = %(id)s AND (%(before)s::bigint IS NULL OR gone_secs < %(before)s)"
    " FOR NO KEY UPDATE"
)

_UNKEPT = "released_secs IS NOT NULL AND NOT EXISTS (SELECT FROM dead_letter l WHERE l.destination_id = destination.id)"
_MISJUDGED = (
    "released_secs IS NULL AND EXISTS (SELECT FROM replica)"
    " AND (gone_secs IS NOT NULL) = (name = ANY(SELECT unnest(destinations) FROM replica))"
)
_DUE = "gone_secs < %s AND released_secs IS NULL"


def _lock(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_REGISTRY_LOCK,))


def enrolled(connection: psycopg.Connection[Any], account: str, source: str) -> Feed | None:
    """Find a feed of which all is registered, None where something is missing; locks and writes nothing."""
    found = connection.execute(_ENROLLED, (source, account)).fetchone()
    return Feed(found[0], found[1], account, source) if found else None


def enrol_feed(connection: psycopg.Connection[Any], account: str, source: str) -> Feed:
    """Register a feed or find it; every known destination gets the first event of a new account."""
    if known := enrolled(connection, account, source):
        return known
    _lock(connection)
    return Feed(*_register(connection, account, source), account, source)


def _register(connection: psycopg.Connection[Any], account: str, source: str) -> tuple[int, int]:
    account_id = _one(
        connection,
        "WITH new AS (INSERT INTO account (name) SELECT %(name)s WHERE NOT EXISTS"
        " (SELECT FROM account WHERE name = %(name)s) ON CONFLICT DO NOTHING RETURNING id)"
        " SELECT id FROM new UNION ALL SELECT id FROM account WHERE name = %(name)s",
        {"name": account},
    )
    feed_id = _one(
        connection,
        "WITH new AS (INSERT INTO feed (account_id, source) SELECT %(account)s, %(source)s WHERE NOT EXISTS"
        " (SELECT FROM feed WHERE account_id = %(account)s AND source = %(source)s) ON CONFLICT DO NOTHING"
        " RETURNING id), leased AS (INSERT INTO lease (account_id) VALUES (%(account)s) ON CONFLICT DO NOTHING)"
        " SELECT id FROM new UNION ALL SELECT id FROM feed WHERE account_id = %(account)s AND source = %(source)s",
        {"account": account_id, "source": source},
    )
    connection.execute(
        "INSERT INTO position (destination_id, account_id, origin, position) SELECT id, %s, 0, 0 FROM destination"
        " WHERE released_secs IS NULL ORDER BY name ON CONFLICT DO NOTHING",
        (account_id,),
    )
    return feed_id, account_id


def _one(connection: psycopg.Connection[Any], query: str, values: Mapping[str, Any]) -> int:
    row = connection.execute(query, values).fetchone()
    if row is None:
        raise McwatchError("what was registered is not there: a defect in mcwatch")
    found: int = row[0]
    return found


def enrol_destinations(connection: psycopg.Connection[Any], starts: Mapping[str, bool], now: datetime) -> list[str]:
    """Register the configured destinations (name: begin at the head) and return the names that are gone.

    A new one begins at the head or at the oldest event kept of the accounts that exist; a gone one is remembered with
    the time, so that expiry can release it.
    """
    _lock(connection)
    names = sorted(starts)
    known = {
        name: (gone_secs, released_secs)
        for name, gone_secs, released_secs in connection.execute(
            "SELECT name, gone_secs, released_secs FROM destination ORDER BY name FOR NO KEY UPDATE"
        )
    }
    new = [name for name in names if name not in known]
    if new:
        connection.execute(
            "INSERT INTO destination (name, channel) SELECT name, channel"
            " FROM unnest(%b::text[], %b::bytea[]) AS new (name, channel) ORDER BY name",
            (new, [uuid4().bytes for _ in new]),
        )
    back = [name for name in names if known.get(name, (None, None)) != (None, None)]
    if back:
        connection.execute(
            "UPDATE destination SET gone_secs = NULL, released_secs = NULL WHERE name = ANY(%b::text[])", (back,)
        )
    connection.execute(_NEW_POSITIONS, (names, [starts[name] for name in names]))
    gone = sorted(name for name, (_, released_secs) in known.items() if released_secs is None and name not in starts)
    if gone:
        connection.execute(
            "UPDATE destination SET gone_secs = %s WHERE name = ANY(%b::text[]) AND gone_secs IS NULL",
            (int(now.timestamp()), gone),
        )
    return gone


def configure(connection: psycopg.Connection[Any], replica: UUID, names: Collection[str]) -> None:
    """Take note of which destinations a replica is configured with, if it has said that it lives."""
    connection.execute("UPDATE replica SET destinations = %s WHERE id = %s", (sorted(names), replica))


def judge_gone(connection: psycopg.Connection[Any], now_secs: int) -> None:
    """Call those destinations gone that no replica is configured with, and no others.

    Whoever started or reloaded last could only speak for itself. What a lost replica was configured with counts until
    it is forgotten; where no replica is known, nobody can tell.
    """
    wrong = connection.execute(f"SELECT 1 FROM destination WHERE {_MISJUDGED} LIMIT 1").fetchone()  # noqa: S608 - conditions of ours
    if wrong:
        _lock(connection)
        connection.execute(
            f"UPDATE destination SET gone_secs = CASE WHEN gone_secs IS NULL THEN %s END WHERE {_MISJUDGED}",  # noqa: S608 - a condition of ours
            (now_secs,),
        )


def release_destinations(connection: psycopg.Connection[Any], gone_before_secs: int, now_secs: int) -> list[Released]:
    """Forget the positions and counts of destinations gone before that time; their dead letters expire by themselves.

    The name is kept for as long as a dead letter has it.
    """
    due = connection.execute(
        f"SELECT 1 FROM destination WHERE ({_DUE}) OR ({_UNKEPT}) LIMIT 1",  # noqa: S608 - conditions of ours
        (gone_before_secs,),
    ).fetchone()
    if due is None:
        return []
    _lock(connection)
    connection.execute(f"DELETE FROM destination WHERE {_UNKEPT}")  # noqa: S608 - conditions of ours
    rows = connection.execute(
        f"SELECT id, name FROM destination WHERE {_DUE} ORDER BY name",  # noqa: S608 - conditions of ours
        (gone_before_secs,),
    ).fetchall()
    released = [_release(connection, found, now_secs, gone_before_secs) for found in rows]
    return [one for one in released if one is not None]


def forget_destination(connection: psycopg.Connection[Any], name: str, now_secs: int) -> Released | None:
    """Release a destination at once; None when the store does not know it, or has released it before."""
    _lock(connection)
    row = connection.execute(
        "SELECT id, name FROM destination WHERE name = %s AND released_secs IS NULL", (name,)
    ).fetchone()
    return _release(connection, row, now_secs, None) if row else None


def _release(
    connection: psycopg.Connection[Any], found: tuple[int, str], now_secs: int, gone_before_secs: int | None
) -> Released | None:
    """Release a destination, where a time is given only if it is gone since before that."""
    destination_id, name = found
    # Positions first, as every settlement locks them: none is half counted here, and the last one's word counts.
    connection.execute(_LOCK_POSITIONS, (destination_id,))
    due = connection.execute(_STILL_DUE, {"id": destination_id, "before": gone_before_secs}).fetchone()
    if due is None:
        return None
    left = connection.execute(_LEFT_BY, {"id": destination_id}).fetchone() or (0, 0)
    connection.execute(_RELEASE, {"id": destination_id, "now": now_secs})
    return Released(name, left[0], left[1])


def destinations(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the names of the destinations that are not released."""
    rows = connection.execute("SELECT name FROM destination WHERE released_secs IS NULL ORDER BY name")
    return [name for (name,) in rows]


def channel(connection: psycopg.Connection[Any], destination: str) -> UUID:
    """Return what a receiver may know the destination by."""
    row = connection.execute("SELECT channel FROM destination WHERE name = %s", (destination,)).fetchone()
    if row is None:
        raise StoreUnavailable(
            f"the store does not know the destination {destination!r} any more",
            remedy="another replica's configuration may lack it: start all replicas with the same one",
        )
    return UUID(bytes=row[0])


def positions(connection: psycopg.Connection[Any], destination: str) -> dict[int, int]:
    """Return the position per account id."""
    rows = connection.execute(
        "SELECT account_id, position FROM position WHERE destination_id = (SELECT id FROM destination WHERE name = %s)",
        (destination,),
    )
    return dict(rows.fetchall())


def heads(connection: psycopg.Connection[Any]) -> dict[int, int]:
    """Return the head per account id."""
    return dict(connection.execute("SELECT id, head FROM account").fetchall())


def feed_id_of(connection: psycopg.Connection[Any], account: str, source: str) -> int | None:
    """Return a feed's id, None for a feed that is not registered."""
    row = connection.execute(
        "SELECT f.id FROM feed f JOIN account a ON a.id = f.account_id WHERE a.name = %s AND f.source = %s",
        (account, source),
    ).fetchone()
    return row[0] if row else None


def progress_of(connection: psycopg.Connection[Any], feed_id: int) -> FeedProgress:
    """Return how far a feed has been read, cursors and coverage as of one moment."""
    with one_moment(connection):
        rows = connection.execute(
            "SELECT name, value FROM cursor WHERE feed_id = %s", (feed_id,), binary=True
        ).fetchall()
        return FeedProgress(dict(rows), coverage_of(connection, feed_id))
