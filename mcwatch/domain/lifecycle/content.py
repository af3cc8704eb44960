"""The message finder's rule where Mimecast ids change from poll to poll: rows are known by what they say.

A row is known by its message key, its state and its number among the rows of one complete answer that are alike in
both, so n alike rows stay n events however often they are read. Its id is shown, and plays no other part. All rows of a
key speak of the same second, so an answer that holds a second completely holds all of them.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mcwatch.domain.event import (
    FINDER,
    SCHEMA,
    Event,
    EventKind,
    content_name,
    finder_state,
    fingerprint,
    message_key,
    message_of,
    timestamp,
)
from mcwatch.domain.fingerprint import join_marks, second_of
from mcwatch.domain.lifecycle.finder import Chain, Second, Seconds
from mcwatch.domain.record import Record


class NumberedRow(NamedTuple):
    """A row of a complete answer: the second it is kept in, its number among its like, its fingerprint and key."""

    second: int
    number: int
    mark: bytes
    key: str
    row: Record


def number_rows(feed: str, rows: Iterable[Record]) -> list[NumberedRow]:
    """Name the rows of one complete answer, in their order."""
    alike: dict[tuple[str, str], int] = {}
    numbered = []
    for row in rows:
        key, state = message_key(row), finder_state(row)
        number = alike.get((key, state), 0)
        alike[key, state] = number + 1
        mark = fingerprint(feed, content_name(key), state, number)
        # By its key, so that all states of a mail that names no time are kept in one place.
        numbered.append(NumberedRow(second_of(row, bytes.fromhex(key)), number, mark, key, row))
    return numbered


def unknown_rows(rows: Iterable[NumberedRow], marks: Iterable[bytes]) -> list[NumberedRow]:
    """Return the rows whose fingerprint is not among the marks, in an order that the answer's own has no part in."""
    known = join_marks(marks)
    return sorted((row for row in rows if row.mark not in known), key=lambda row: row[:3])


def decide_by_content(
    fresh: Sequence[NumberedRow], seconds: Seconds, account: str, observed_at: datetime
) -> list[Event]:
    """Turn new rows into events, in the order of :func:`unknown_rows`, and bring the lifecycle state up to date."""
    observed = timestamp(observed_at)
    events = []
    for place, number, mark, key, row in fresh:
        second = seconds.at(place)
        kind, previous = _extend(second, content_name(key), number, row)
        second.new_marks.append(mark)
        message = message_of(row, key)
        occurred = message.received_at if kind is EventKind.SEEN and message.received_at is not None else observed
        events.append(Event(SCHEMA, mark.hex(), kind, account, FINDER, occurred, observed, message, previous, None))
    return events


def _extend(second: Second, name: str, number: int, row: Record) -> tuple[EventKind, dict[str, Any] | None]:
    """Bring the chain of a new row up to date, or begin one; return (kind, previous).

    The chains of rows known by content have names of their own: those of ids that did not last would be mails too many.
    ``previous`` is what the only chain had shown before this answer, within which nothing is earlier or later.
    """
    chains = second.by_key.get(name, [])
    if number >= len(chains):
        second.start(Chain(name, row.id or None, row.status, row.info, []))
        return EventKind.SEEN, None
    chain = chains[number]
    chain.id, chain.status, chain.info = row.id or None, row.status, row.info
    before = second.before.get(name)
    if before is None or len(chains) > 1:
        return EventKind.CHANGED, None
    [(row_id, status, info)] = before
    return EventKind.CHANGED, {"id": row_id, "status": status, "info": info}
