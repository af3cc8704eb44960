"""A page's transaction: what a decision reads and everything that commits with it."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import zstandard

from mcwatch.domain.errors import FailureReason
from mcwatch.domain.event import QUEUE
from mcwatch.domain.fingerprint import TIMELESS
from mcwatch.domain.page import Feed, PageCounts
from mcwatch.domain.passage import KeptPassage, Passage
from mcwatch.domain.record import Unreadable
from mcwatch.domain.window.coverage import Span
from mcwatch.domain.window.ranges import Window
from mcwatch.store.rows import KEPT_BYTES, milliseconds, problem_text
from mcwatch.store.sqlite import coverage, passages

SLOT_BITS = 34
SECOND_MASK = (1 << SLOT_BITS) - 1
_DENSE = 4
"""A page whose seconds fill at least one in so many of their span is read as one range, which costs a third."""
_HISTORY_SECS = 27 * 86_400

_REMEMBER = (
    "INSERT INTO seen (slot, marks, chains, touched_secs) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (slot) DO UPDATE SET marks = excluded.marks, chains = excluded.chains,"
    " touched_secs = excluded.touched_secs"
)


class SqlitePageTransaction:
    """``interfaces`` calls it PageTransaction. Lives on the writer thread, for one piece of work."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        feed: Feed,
        compressor: zstandard.ZstdCompressor,
        now: datetime,
        most_letters: int,
    ) -> None:
        """Begin; of unreadable rows beyond ``most_letters`` kept for the account no bytes are kept any more."""
        self._connection = connection
        self._most_letters = most_letters
        self._feed = feed
        self._compressor = compressor
        self._now = now
        self._base = feed.id << SLOT_BITS
        self.head: int | None = None
        """The account's head after what was appended; None when nothing was."""

    def cursor(self, name: str) -> bytes | None:
        """Return a cursor of this feed."""
        row = self._connection.execute(
            "SELECT value FROM cursor WHERE feed_id = ? AND name = ?", (self._feed.id, name)
        ).fetchone()
        return row[0] if row else None

    def set_cursor(self, name: str, value: bytes) -> None:
        """Set a cursor of this feed."""
        self._connection.execute(
            "INSERT INTO cursor (feed_id, name, value) VALUES (?, ?, ?)"
            " ON CONFLICT (feed_id, name) DO UPDATE SET value = excluded.value",
            (self._feed.id, name, value),
        )

    def forget_cursor(self, name: str) -> None:
        """Remove a cursor of this feed."""
        self._connection.execute("DELETE FROM cursor WHERE feed_id = ? AND name = ?", (self._feed.id, name))

    def spans(self, search: str, window: Window) -> list[Span]:
        """Return the coverage of a search that overlaps or touches a window."""
        return coverage.spans(self._connection, self._feed.id, search, window)

    def replace_spans(self, search: str, window: Window, spans: Sequence[Span]) -> None:
        """Put spans in the place of those that overlap or touch a window."""
        coverage.replace_spans(self._connection, self._feed.id, search, window, spans)

    def marks(self, seconds: Collection[int]) -> dict[int, bytes]:
        """Return the fingerprints known in these seconds."""
        return self._seen("marks", seconds)

    def chains(self, seconds: Collection[int]) -> dict[int, bytes]:
        """Return the lifecycle state kept in these seconds."""
        return self._seen("chains", seconds)

    def _seen(self, column: str, seconds: Collection[int]) -> dict[int, bytes]:
        if not seconds:
            return {}
        first, last = min(seconds), max(seconds)
        base = self._base
        if last - first < _DENSE * len(seconds):
            rows = self._connection.execute(
                f"SELECT slot, {column} FROM seen WHERE slot BETWEEN ? AND ?",  # noqa: S608 - a column of ours
                (base | first, base | last),
            )
            return {slot & SECOND_MASK: body for slot, body in rows if slot & SECOND_MASK in seconds}
        slots = json.dumps([base | second for second in seconds])
        rows = self._connection.execute(
            f"SELECT slot, {column} FROM seen WHERE slot IN (SELECT value FROM json_each(?))",  # noqa: S608
            (slots,),
        )
        return {slot & SECOND_MASK: body for slot, body in rows}

    def remember(self, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Replace (second, fingerprints, lifecycle state)."""
        base, touched = self._base, int(self._now.timestamp())
        # What a queue remembers are stays that end now, of mails that may be older than anything is kept: counted from
        # the mail's own time the number of stays would be gone at once, and a return would repeat the first one's ids.
        # So are rows that the API shows although they are as old as its history: it may search by another time.
        lasting = range(touched - _HISTORY_SECS, TIMELESS) if self._feed.source != QUEUE else range(0)
        # In order: SQLite appends ascending keys but splits pages for descending ones, at three times the cost.
        self._connection.executemany(
            _REMEMBER,
            [
                (base | second, marks, chains, None if second in lasting else touched)
                for second, marks, chains in sorted(rows)
            ],
        )

    def stays(self, queue: str, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the live queue entries among ``keys``."""
        select = "SELECT body FROM stay WHERE feed_id = ? AND queue = ? AND key = ?"
        found = {}
        for key in keys:
            row = self._connection.execute(select, (self._feed.id, queue, key)).fetchone()
            if row:
                found[key] = row[0]
        return found

    def absent_stays(self, queue: str, present: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the live queue entries that are not in ``present``."""
        rows = self._connection.execute("SELECT key FROM stay WHERE feed_id = ? AND queue = ?", (self._feed.id, queue))
        absent = [key for (key,) in rows if key not in present]
        return self.stays(queue, absent)

    def keep_stays(self, queue: str, stays: Mapping[bytes, bytes]) -> None:
        """Insert or replace live queue entries."""
        self._connection.executemany(
            "INSERT INTO stay (feed_id, queue, key, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (feed_id, queue, key) DO UPDATE SET body = excluded.body",
            [(self._feed.id, queue, key, body) for key, body in stays.items()],
        )

    def drop_stays(self, queue: str, keys: Collection[bytes]) -> None:
        """Remove live queue entries."""
        self._connection.executemany(
            "DELETE FROM stay WHERE feed_id = ? AND queue = ? AND key = ?",
            [(self._feed.id, queue, key) for key in keys],
        )

    def keep_passages(self, stays: Iterable[Passage]) -> None:
        """Keep stays of the account's queue entries, or say of kept ones how they ended."""
        passages.keep(self._connection, self._feed.account_id, stays, self._now)

    def has_passages(self, first_place: int, last_place: int) -> bool:
        """Tell whether the account keeps any stay in these places."""
        return passages.any_in(self._connection, self._feed.account_id, first_place, last_place)

    def passages(self, wanted: Collection[tuple[int, int]]) -> list[KeptPassage]:
        """Return the account's stays of these (place, traits)."""
        return passages.find(self._connection, self._feed.account_id, wanted)

    def take_passages(self, stays: Iterable[Passage]) -> None:
        """Mark kept stays as taken."""
        passages.take(self._connection, self._feed.account_id, stays, self._now)

    def append(self, lines: bytes, count: int, observed_at: datetime) -> int:
        """Append events to the account's outbox; return the first one's offset."""
        head: int = self._connection.execute(
            "UPDATE account SET head = head + ? WHERE id = ? RETURNING head", (count, self._feed.account_id)
        ).fetchone()[0]
        body = self._compressor.compress(lines)
        self._connection.execute(
            "INSERT INTO outbox (account_id, first_offset, count, observed_ms, stored_bytes, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (self._feed.account_id, head - count, count, milliseconds(observed_at), len(body), body),
        )
        self.head = head
        return head - count

    def quarantine(self, rows: Sequence[Unreadable], observed_at: datetime) -> None:
        """Keep undecodable rows as dead letters of the account."""
        if not rows:
            return
        (before,) = self._connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM dead_letter INDEXED BY dead_letter_by_destination"
            " WHERE destination_id IS NULL AND account_id = ? LIMIT ?)",
            (self._feed.account_id, self._most_letters),
        ).fetchone()
        room = [KEPT_BYTES if before + at < self._most_letters else 0 for at in range(len(rows))]
        self._connection.executemany(
            "INSERT INTO dead_letter (destination_id, account_id, event_id, reason, detail, body, at_ms)"
            " VALUES (NULL, ?, '', ?, ?, ?, ?)",
            [
                (
                    self._feed.account_id,
                    FailureReason.UNDECODABLE,
                    problem_text(row, kept_bytes),
                    row.raw[:kept_bytes],
                    milliseconds(observed_at),
                )
                for row, kept_bytes in zip(rows, room, strict=True)
            ],
        )

    def count(self, counts: PageCounts) -> None:
        """Add to the feed's figures."""
        self._connection.execute(
            "UPDATE feed SET new = new + ?, duplicate = duplicate + ?, undecodable = undecodable + ? WHERE id = ?",
            (counts.new, counts.duplicate, counts.undecodable, self._feed.id),
        )
