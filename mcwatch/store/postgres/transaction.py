"""A page's transaction: what a decision reads and everything that commits with it, one statement for each."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
import zstandard

from mcwatch.domain.errors import FailureReason, McwatchError
from mcwatch.domain.page import Feed, PageCounts
from mcwatch.domain.passage import KeptPassage, Passage
from mcwatch.domain.record import Unreadable
from mcwatch.domain.window.coverage import Span
from mcwatch.domain.window.ranges import Window
from mcwatch.store.postgres import coverage, entries, passages
from mcwatch.store.postgres.seen import Seen
from mcwatch.store.rows import KEPT_BYTES, milliseconds, problem_text

_APPEND = (
    "WITH moved AS (UPDATE account SET head = head + %(count)s WHERE id = %(account)s RETURNING head)"
    " INSERT INTO outbox (account_id, first_offset, count, observed_ms, stored_bytes, body)"
    " SELECT %(account)s, head - %(count)s, %(count)s, %(observed_ms)s, %(stored_bytes)s, %(body)s FROM moved"
    " RETURNING first_offset"
)

_QUARANTINE = (
    "INSERT INTO dead_letter (destination_id, account_id, event_id, reason, detail, body, at_ms)"
    " SELECT NULL, %s, '', %s, detail, body, %s FROM unnest(%b::text[], %b::bytea[]) WITH ORDINALITY"
    " AS row (detail, body, number) ORDER BY number"
)


def kept_text(text: str) -> str:
    """Return a text as the server can keep it, which has no room for U+0000."""
    return text.replace("\0", "\ufffd")


class PostgresPageTransaction:
    """``interfaces`` calls it PageTransaction. Lives on a store thread, for one piece of work."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
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
        self._seen = Seen(connection, feed, now)
        self.head: int | None = None
        """The account's head after what was appended; None when nothing was."""

    def cursor(self, name: str) -> bytes | None:
        """Return a cursor of this feed."""
        row = self._connection.execute(
            "SELECT value FROM cursor WHERE feed_id = %s AND name = %s", (self._feed.id, name), binary=True
        ).fetchone()
        return row[0] if row else None

    def set_cursor(self, name: str, value: bytes) -> None:
        """Set a cursor of this feed."""
        self._connection.execute(
            "INSERT INTO cursor (feed_id, name, value) VALUES (%s, %s, %s)"
            " ON CONFLICT (feed_id, name) DO UPDATE SET value = excluded.value",
            (self._feed.id, name, value),
        )

    def forget_cursor(self, name: str) -> None:
        """Remove a cursor of this feed."""
        self._connection.execute("DELETE FROM cursor WHERE feed_id = %s AND name = %s", (self._feed.id, name))

    def spans(self, search: str, window: Window) -> list[Span]:
        """Return the coverage of a search that overlaps or touches a window."""
        return coverage.spans(self._connection, self._feed.id, search, window)

    def replace_spans(self, search: str, window: Window, spans: Sequence[Span]) -> None:
        """Put spans in the place of those that overlap or touch a window."""
        coverage.replace_spans(self._connection, self._feed.id, search, window, spans)

    def marks(self, seconds: Collection[int]) -> dict[int, bytes]:
        """Return the fingerprints known in these seconds."""
        return self._seen.find("marks", seconds)

    def chains(self, seconds: Collection[int]) -> dict[int, bytes]:
        """Return the lifecycle state kept in these seconds."""
        return self._seen.find("chains", seconds)

    def remember(self, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Replace (second, fingerprints, lifecycle state)."""
        self._seen.remember(rows)

    def stays(self, queue: str, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the live queue entries among ``keys``."""
        return entries.among(self._connection, self._feed.id, queue, keys)

    def absent_stays(self, queue: str, present: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the live queue entries that are not in ``present``."""
        return entries.absent(self._connection, self._feed.id, queue, present)

    def keep_stays(self, queue: str, stays: Mapping[bytes, bytes]) -> None:
        """Insert or replace live queue entries."""
        entries.keep(self._connection, self._feed.id, queue, stays)

    def drop_stays(self, queue: str, keys: Collection[bytes]) -> None:
        """Remove live queue entries."""
        entries.drop(self._connection, self._feed.id, queue, keys)

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
        body = self._compressor.compress(lines)
        row = self._connection.execute(
            _APPEND,
            {
                "account": self._feed.account_id,
                "count": count,
                "observed_ms": milliseconds(observed_at),
                "stored_bytes": len(body),
                "body": body,
            },
        ).fetchone()
        if row is None:
            raise McwatchError(f"the store does not know the account {self._feed.account!r}: a defect in mcwatch")
        first: int = row[0]
        self.head = first + count
        return first

    def quarantine(self, rows: Sequence[Unreadable], observed_at: datetime) -> None:
        """Keep undecodable rows as dead letters of the account."""
        if not rows:
            return
        account_id = self._feed.account_id
        before = self._connection.execute(
            "SELECT count(*) FROM (SELECT FROM dead_letter WHERE destination_id IS NULL AND account_id = %s LIMIT %s)"
            " AS kept",
            (account_id, self._most_letters),
        ).fetchone()
        room = self._most_letters - (before[0] if before else 0)
        sizes = [KEPT_BYTES if at < room else 0 for at in range(len(rows))]
        details = [kept_text(problem_text(row, kept_bytes)) for row, kept_bytes in zip(rows, sizes, strict=True)]
        bodies = [row.raw[:kept_bytes] for row, kept_bytes in zip(rows, sizes, strict=True)]
        self._connection.execute(
            _QUARANTINE, (account_id, FailureReason.UNDECODABLE, milliseconds(observed_at), details, bodies)
        )

    def count(self, counts: PageCounts) -> None:
        """Add to the feed's figures."""
        self._connection.execute(
            "UPDATE feed SET new = new + %s, duplicate = duplicate + %s, undecodable = undecodable + %s WHERE id = %s",
            (counts.new, counts.duplicate, counts.undecodable, self._feed.id),
        )
