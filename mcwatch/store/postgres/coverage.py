"""The coverage ledger as rows: one per span."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import Window

_TOUCHING = "feed_id = %(feed)s AND search = %(search)s AND start_secs <= %(end)s AND end_secs >= %(start)s"

# What begins where a new span does is replaced, not removed: one statement may touch a row only once.
_REPLACE = (
    f"WITH gone AS (DELETE FROM coverage WHERE {_TOUCHING} AND start_secs <> ALL(%(starts)b::bigint[]))"  # noqa: S608
    " INSERT INTO coverage (feed_id, search, start_secs, end_secs, cover, at_secs)"
    " SELECT %(feed)s, %(search)s, start_secs, end_secs, cover, at_secs"
    " FROM unnest(%(starts)b::bigint[], %(ends)b::bigint[], %(covers)b::text[], %(ats)b::bigint[])"
    " AS new (start_secs, end_secs, cover, at_secs) ORDER BY start_secs"
    " ON CONFLICT (feed_id, search, start_secs) DO UPDATE SET"
    " end_secs = excluded.end_secs, cover = excluded.cover, at_secs = excluded.at_secs"
)

_EXPIRE = (
    "DELETE FROM coverage WHERE ctid = ANY(ARRAY("
    "SELECT c.ctid FROM coverage c WHERE c.end_secs < %(before)s AND (c.end_secs < %(before)s - %(keep)s"
    " OR c.end_secs < (SELECT max(n.start_secs) FROM coverage n WHERE n.feed_id = c.feed_id"
    " AND n.search = c.search) - %(keep)s) LIMIT %(most)s FOR UPDATE SKIP LOCKED))"
)


def _secs(at: datetime) -> int:
    return int(at.timestamp())


def _at(secs: int) -> datetime:
    return datetime.fromtimestamp(secs, UTC)


def _span(row: tuple[int, int, str, int]) -> Span:
    start, end, cover, at = row
    return Span(_at(start), _at(end), Cover(cover), _at(at))


def _place(feed_id: int, search: str, window: Window) -> dict[str, Any]:
    return {"feed": feed_id, "search": search, "start": _secs(window.start), "end": _secs(window.end)}


def spans(connection: psycopg.Connection[Any], feed_id: int, search: str, window: Window) -> list[Span]:
    """Return the spans that overlap or touch a window, in order."""
    rows = connection.execute(
        f"SELECT start_secs, end_secs, cover, at_secs FROM coverage WHERE {_TOUCHING} ORDER BY start_secs",  # noqa: S608
        _place(feed_id, search, window),
    )
    return [_span(row) for row in rows]


def replace_spans(
    connection: psycopg.Connection[Any], feed_id: int, search: str, window: Window, new: Sequence[Span]
) -> None:
    """Put spans in the place of those that overlap or touch a window."""
    columns = {
        "starts": [_secs(one.start) for one in new],
        "ends": [_secs(one.end) for one in new],
        "covers": [str(one.cover) for one in new],
        "ats": [_secs(one.at) for one in new],
    }
    connection.execute(_REPLACE, _place(feed_id, search, window) | columns)


def coverage_of(connection: psycopg.Connection[Any], feed_id: int) -> dict[str, list[Span]]:
    """Return the ledger of a feed, by search, each in order."""
    found: dict[str, list[Span]] = {}
    rows = connection.execute(
        "SELECT search, start_secs, end_secs, cover, at_secs FROM coverage WHERE feed_id = %s"
        " ORDER BY search, start_secs",
        (feed_id,),
    )
    for search, *row in rows:
        found.setdefault(search, []).append(_span((row[0], row[1], row[2], row[3])))
    return found


def expire_coverage(connection: psycopg.Connection[Any], before_secs: int, keep_secs: int, most: int) -> int:
    """Remove spans that ended ``keep_secs`` before their search's newest one.

    A search that stands still keeps its spans for as long again, so that what it has missed meanwhile can be told from
    what it had read. ``before_secs`` is now less ``keep_secs``.
    """
    return connection.execute(_EXPIRE, {"before": before_secs, "keep": keep_secs, "most": most}).rowcount
