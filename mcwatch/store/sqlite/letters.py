"""Dead letters: listed, looked at, given up, sent again."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.outbox import DeadLetter, KeptLetter, LetterChoice

_COLUMNS = "d.id, a.name, coalesce(t.name, ''), d.event_id, d.reason, d.detail, d.at_ms, length(d.body)"
_TABLES = " FROM dead_letter d JOIN account a ON a.id = d.account_id LEFT JOIN destination t ON t.id = d.destination_id"
_CHOSEN = (
    " WHERE (?1 IS NULL OR coalesce(t.name, '') = ?1)"
    " AND (?2 = '[]' OR d.id IN (SELECT value FROM json_each(?2))) AND d.id > ?3"
)


def newest(connection: sqlite3.Connection, destination: str | None, limit: int) -> list[DeadLetter]:
    """List dead letters, newest first; ``destination`` empty lists undecodable rows, None everything."""
    chosen = (destination, "[]", 0, limit)
    rows = connection.execute(f"SELECT {_COLUMNS}{_TABLES}{_CHOSEN} ORDER BY d.id DESC LIMIT ?4", chosen)
    return [_letter(row) for row in rows]


def chosen(connection: sqlite3.Connection, choice: LetterChoice, after: int, limit: int) -> list[KeptLetter]:
    """Return the chosen dead letters behind number ``after``, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS}, d.body{_TABLES}{_CHOSEN} ORDER BY d.id LIMIT ?4",
        (choice.destination, json.dumps(list(choice.ids)), after, limit),
    )
    return [KeptLetter(_letter(row[:-1]), row[-1]) for row in rows]


def discard(connection: sqlite3.Connection, choice: LetterChoice, most: int) -> int:
    """Remove up to ``most`` of the chosen dead letters for good; return how many."""
    return connection.execute(
        f"DELETE FROM dead_letter WHERE id IN (SELECT d.id{_TABLES}{_CHOSEN} ORDER BY d.id LIMIT ?4)",  # noqa: S608
        (choice.destination, json.dumps(list(choice.ids)), 0, most),
    ).rowcount


def retried(connection: sqlite3.Connection, delivered: Sequence[int], refused: Iterable[tuple[int, Refusal]]) -> None:
    """Remove the dead letters that were delivered after all, and write the newest refusal to the others."""
    connection.executemany("DELETE FROM dead_letter WHERE id = ?", [(number,) for number in delivered])
    connection.executemany(
        "UPDATE dead_letter SET reason = ?, detail = ? WHERE id = ?",
        [(refusal.reason, refusal.detail, number) for number, refusal in refused],
    )


def count(connection: sqlite3.Connection, destination: str) -> int:
    """Return how many dead letters a destination has."""
    (found,) = connection.execute(
        "SELECT count(*) FROM dead_letter INDEXED BY dead_letter_by_destination"
        " WHERE destination_id = (SELECT id FROM destination WHERE name = ?)",
        (destination,),
    ).fetchone()
    number: int = found
    return number


def _letter(row: Sequence[Any]) -> DeadLetter:
    number, account, name, event_id, reason, detail, at_ms, size = row
    return DeadLetter(number, account, name, event_id, reason, detail, datetime.fromtimestamp(at_ms / 1000, UTC), size)
