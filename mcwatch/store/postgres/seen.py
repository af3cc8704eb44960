"""Which fingerprints are known: in partitions of a day, or by touch where the row's time does not say when they may go.

A second of a feed is in one of the two tables (see the comments of the first schema). The partitions are made and
dropped elsewhere; what has none by now is kept by touch.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Literal

import psycopg

from mcwatch.domain.event import QUEUE
from mcwatch.domain.fingerprint import TIMELESS
from mcwatch.domain.page import Feed

DAY_SECS = 86_400
HISTORY_SECS = 27 * DAY_SECS
_DENSE = 4
"""A page whose seconds fill at least one in so many of their span is read as one range."""

# With the range only the partitions that hold it are planned for; the list alone would have all of them read.
_RANGE = "feed_id = %(feed)s AND second BETWEEN %(first)s AND %(last)s"
_LISTED = f"{_RANGE} AND second = ANY(%(seconds)b::bigint[])"

_PLACED = (
    "WITH day AS MATERIALIZED ("  # noqa: S608 - pieces of ours
    "SELECT d.first FROM unnest(%(days)b::bigint[]) AS d (first) JOIN pg_catalog.pg_inherits i"
    " ON i.inhparent = 'seen'::regclass AND i.inhrelid = to_regclass('seen_' || d.first)),"
    " given AS MATERIALIZED ("
    "SELECT g.second, g.marks, g.chains, day.first IS NOT NULL AS placed"
    " FROM unnest(%(seconds)b::bigint[], %(marks)b::bytea[], %(chains)b::bytea[]) AS g (second, marks, chains)"
    f" LEFT JOIN day ON day.first = g.second - g.second %% {DAY_SECS}),"
    " moved AS ("
    "DELETE FROM seen_lasting l USING given g WHERE l.feed_id = %(feed)s AND l.second = g.second"
    " AND l.second BETWEEN %(first)s AND %(last)s AND g.placed),"
    " beyond AS ("
    "INSERT INTO seen_lasting (feed_id, second, marks, chains, touched_secs)"
    " SELECT %(feed)s, second, marks, chains, %(touched)s FROM given WHERE NOT placed ORDER BY second"
    " ON CONFLICT (feed_id, second) DO UPDATE SET"
    " marks = excluded.marks, chains = excluded.chains, touched_secs = excluded.touched_secs)"
    " INSERT INTO seen (feed_id, second, marks, chains)"
    " SELECT %(feed)s, second, marks, chains FROM given WHERE placed ORDER BY second"
    " ON CONFLICT (feed_id, second) DO UPDATE SET marks = excluded.marks, chains = excluded.chains"
)

_LASTING = (
    "INSERT INTO seen_lasting (feed_id, second, marks, chains, touched_secs)"
    " SELECT %(feed)s, second, marks, chains, %(touched)s"
    " FROM unnest(%(seconds)b::bigint[], %(marks)b::bytea[], %(chains)b::bytea[]) AS g (second, marks, chains)"
    " ORDER BY second ON CONFLICT (feed_id, second) DO UPDATE SET"
    " marks = excluded.marks, chains = excluded.chains, touched_secs = excluded.touched_secs"
)

_Row = tuple[int, bytes, bytes]


def day_of(second: int) -> int:
    """Return the first second of the day (UTC) that a second lies in."""
    return second - second % DAY_SECS


def _columns(rows: Collection[_Row]) -> dict[str, Any]:
    seconds = [second for second, _, _ in rows]
    return {
        "seconds": seconds,
        "first": seconds[0],
        "last": seconds[-1],
        "marks": [marks for _, marks, _ in rows],
        "chains": [chains for _, _, chains in rows],
    }


class Seen:
    """The fingerprints of one feed within a page's transaction, which began ``now``."""

    def __init__(self, connection: psycopg.Connection[Any], feed: Feed, now: datetime) -> None:
        self._connection = connection
        self._feed_id = feed.id
        self._touched = int(now.timestamp())
        # What a queue remembers are stays that end now, of mails that may be older than anything is kept: counted from
        # the mail's own time the number of stays would be gone at once, and a return would repeat the first one's ids.
        # So are rows that the API shows although they are as old as its history: it may search by another time.
        self._passing = range(self._touched - HISTORY_SECS, TIMELESS) if feed.source != QUEUE else range(0)
        self._is_queue = feed.source == QUEUE

    def find(self, column: Literal["marks", "chains"], seconds: Collection[int]) -> dict[int, bytes]:
        """Return what a column holds in those of the seconds that have anything."""
        timed = [second for second in seconds if second < TIMELESS]
        timeless = [second for second in seconds if second >= TIMELESS]
        return self._ask(column, timed, by_touch_only=self._is_queue) | self._ask(column, timeless, by_touch_only=True)

    def _ask(self, column: str, seconds: Collection[int], *, by_touch_only: bool) -> dict[int, bytes]:
        if not seconds:
            return {}
        first, last = min(seconds), max(seconds)
        dense = last - first < _DENSE * len(seconds)
        where = _RANGE if dense else _LISTED
        tables = ("seen_lasting",) if by_touch_only else ("seen", "seen_lasting")
        rows = self._connection.execute(
            " UNION ALL ".join(f"SELECT second, {column} FROM {table} WHERE {where}" for table in tables),  # noqa: S608
            {"feed": self._feed_id, "first": first, "last": last, "seconds": () if dense else list(seconds)},
            binary=True,
        )
        if not dense:
            return dict(rows.fetchall())
        asked = set(seconds)
        return {second: body for second, body in rows if second in asked}

    def remember(self, rows: Iterable[_Row]) -> None:
        """Replace (second, fingerprints, lifecycle state)."""
        # In order, so that no two transactions wait for each other; each once, as one statement may touch a row.
        ordered = list({row[0]: row for row in sorted(rows)}.values())
        passing = [row for row in ordered if row[0] in self._passing]
        lasting = [row for row in ordered if row[0] not in self._passing]
        if passing:
            columns = _columns(passing)
            columns["days"] = sorted({day_of(second) for second in columns["seconds"]})
            self._connection.execute(_PLACED, columns | self._stamp())
        if lasting:
            self._keep_by_touch(lasting)

    def _keep_by_touch(self, rows: Collection[_Row]) -> None:
        columns = _columns(rows) | self._stamp()
        timed = [second for second in columns["seconds"] if second < TIMELESS]
        if timed and not self._is_queue:
            # It may have been young enough for a partition when it was seen before.
            where = {"feed": self._feed_id, "first": timed[0], "last": timed[-1], "seconds": timed}
            self._connection.execute(f"DELETE FROM seen WHERE {_LISTED}", where)  # noqa: S608 - a condition of ours
        self._connection.execute(_LASTING, columns)

    def _stamp(self) -> dict[str, int]:
        return {"feed": self._feed_id, "touched": self._touched}
