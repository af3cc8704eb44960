"""The coverage ledger as rows: one per span."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import Window

_TOUCHING = "feed_id = ? AND search = ? AND start_secs <= ? AND end_secs >= ?"


def _secs(at: datetime) -> int:
    return int(at.timestamp())


def _at(secs: int) -> datetime:
    return datetime.fromtimestamp(secs, UTC)


def _span(row: tuple[int, int, str, int]) -> Span:
    start, end, cover, at = row
    return Span(_at(start), _at(end), Cover(cover), _at(at))


def spans(connection: sqlite3.Connection, feed_id: int, search: str, window: Window) -> list[Span]:
    """Return the spans that overlap or touch a window, in order."""
    rows = connection.execute(
        f"SELECT start_secs, end_secs, cover, at_secs FROM coverage WHERE {_TOUCHING} ORDER BY start_secs",  # noqa: S608
        (feed_id, search, _secs(window.end), _secs(window.start)),
    )
    return [_span(row) for row in rows]


def replace_spans(
    connection: sqlite3.Connection, feed_id: int, search: str, window: Window, new: Sequence[Span]
) -> None:
    """Put spans in the place of those that overlap or touch a window."""
    connection.execute(
        f"DELETE FROM coverage WHERE {_TOUCHING}",  # noqa: S608 - a condition of ours
        (feed_id, search, _secs(window.end), _secs(window.start)),
    )
    connection.executemany(
        "INSERT INTO coverage (feed_id, search, start_secs, end_secs, cover, at_secs) VALUES (?, ?, ?, ?, ?, ?)",
        [(feed_id, search, _secs(one.start), _secs(one.end), str(one.cover), _secs(one.at)) for one in new],
    )


def coverage_of(connection: sqlite3.Connection, feed_id: int) -> dict[str, list[Span]]:
    """Return the ledger of a feed, by search, each in order."""
    found: dict[str, list[Span]] = {}
    rows = connection.execute(
        "SELECT search, start_secs, end_secs, cover, at_secs FROM coverage WHERE feed_id = ?"
        " ORDER BY search, start_secs",
        (feed_id,),
    )
    for search, *row in rows:
        found.setdefault(search, []).append(_span((row[0], row[1], row[2], row[3])))
    return found


def expire_coverage(connection: sqlite3.Connection, before_secs: int, keep_secs: int, most: int) -> int:
    """Remove spans that ended ``keep_secs`` before their search's newest one.

    A search that stands still keeps its spans for as long again, so that what it has missed meanwhile can be told from
    what it had read. ``before_secs`` is now less ``keep_secs``.
    """
    return connection.execute(
        "DELETE FROM coverage WHERE (feed_id, search, start_secs) IN"
        " (SELECT c.feed_id, c.search, c.start_secs FROM coverage c WHERE c.end_secs < ?1 AND (c.end_secs < ?1 - ?2"
        " OR c.end_secs < (SELECT max(n.start_secs) FROM coverage n WHERE n.feed_id = c.feed_id"
        " AND n.search = c.search) - ?2) LIMIT ?3)",
        (before_secs, keep_secs, most),
    ).rowcount
