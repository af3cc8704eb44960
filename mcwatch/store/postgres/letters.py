"""Dead letters: listed, looked at, given up, sent again."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.outbox import DeadLetter, KeptLetter, LetterChoice
from mcwatch.store.postgres.transaction import kept_text

_COLUMNS = "d.id, a.name, coalesce(t.name, ''), d.event_id, d.reason, d.detail, d.at_ms, length(d.body)"
_TABLES = " FROM dead_letter d JOIN account a ON a.id = d.account_id LEFT JOIN destination t ON t.id = d.destination_id"
_CHOSEN = (
    " WHERE (%(destination)s::text IS NULL OR coalesce(t.name, '') = %(destination)s)"
    " AND (cardinality(%(ids)b::bigint[]) = 0 OR d.id = ANY(%(ids)b)) AND d.id > %(after)s"
)

_NEWEST = f"SELECT {_COLUMNS}{_TABLES}{_CHOSEN} ORDER BY d.id DESC LIMIT %(limit)s"
_OLDEST = f"SELECT {_COLUMNS}, d.body{_TABLES}{_CHOSEN} ORDER BY d.id LIMIT %(limit)s"
_DISCARD = (
    f"DELETE FROM dead_letter WHERE id = ANY(ARRAY(SELECT d.id{_TABLES}{_CHOSEN}"  # noqa: S608 - pieces of ours
    " ORDER BY d.id LIMIT %(limit)s))"
)

_LOCK = "SELECT FROM dead_letter WHERE id = ANY(%b::bigint[]) ORDER BY id FOR UPDATE"
_RETRIED = (
    "WITH delivered AS (DELETE FROM dead_letter WHERE id = ANY(%b::bigint[]))"
    " UPDATE dead_letter d SET reason = given.reason, detail = given.detail"
    " FROM unnest(%b::bigint[], %b::text[], %b::text[]) AS given (id, reason, detail) WHERE d.id = given.id"
)


def _asked(choice: LetterChoice, after: int, limit: int) -> dict[str, Any]:
    return {"destination": choice.destination, "ids": list(choice.ids), "after": after, "limit": limit}


def newest(connection: psycopg.Connection[Any], destination: str | None, limit: int) -> list[DeadLetter]:
    """List dead letters, newest first; ``destination`` empty lists undecodable rows, None everything."""
    rows = connection.execute(_NEWEST, _asked(LetterChoice(destination=destination), 0, limit))
    return [_letter(row) for row in rows]


def chosen(connection: psycopg.Connection[Any], choice: LetterChoice, after: int, limit: int) -> list[KeptLetter]:
    """Return the chosen dead letters behind number ``after``, oldest first."""
    rows = connection.execute(_OLDEST, _asked(choice, after, limit), binary=True)
    return [KeptLetter(_letter(row[:-1]), row[-1]) for row in rows]


def discard(connection: psycopg.Connection[Any], choice: LetterChoice, most: int) -> int:
    """Remove up to ``most`` of the chosen dead letters for good; return how many."""
    return connection.execute(_DISCARD, _asked(choice, 0, most)).rowcount


def retried(
    connection: psycopg.Connection[Any], delivered: Sequence[int], refused: Iterable[tuple[int, Refusal]]
) -> None:
    """Remove the dead letters that were delivered after all, and write the newest refusal to the others."""
    again = dict(refused)
    if not delivered and not again:
        return
    connection.execute(_LOCK, ([*delivered, *again],))
    connection.execute(
        _RETRIED,
        (
            list(delivered),
            list(again),
            [str(refusal.reason) for refusal in again.values()],
            [kept_text(refusal.detail) for refusal in again.values()],
        ),
    )


def count(connection: psycopg.Connection[Any], destination: str) -> int:
    """Return how many dead letters a destination has."""
    row = connection.execute(
        "SELECT count(*) FROM dead_letter WHERE destination_id = (SELECT id FROM destination WHERE name = %s)",
        (destination,),
    ).fetchone()
    return row[0] if row else 0


def _letter(row: Sequence[Any]) -> DeadLetter:
    number, account, name, event_id, reason, detail, at_ms, size = row
    return DeadLetter(number, account, name, event_id, reason, detail, datetime.fromtimestamp(at_ms / 1000, UTC), size)
