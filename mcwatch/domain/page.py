"""One page of an API answer on its way into the store, and what the store offers inside the page's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from mcwatch.domain.record import Record, Unreadable


@dataclass(frozen=True, slots=True)
class Feed:
    """One source of one account as the store knows it."""

    id: int
    account_id: int
    account: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FinderPage:
    """Rows of the message finder. ``cursors`` move in the transaction that keeps the rows."""

    rows: Sequence[Record]
    unreadable: Sequence[Unreadable] = ()
    cursors: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """Entries of one processing queue.

    ``present`` holds the fingerprints of every entry the whole poll has shown; it is given with the last page of a
    complete poll and None otherwise, so that an incomplete poll never makes an entry leave. ``gone_after`` is the
    number of complete polls without an entry before it counts as left.
    """

    queue: str
    gone_after: int
    rows: Sequence[Record]
    unreadable: Sequence[Unreadable] = ()
    present: frozenset[bytes] | None = None


Page = FinderPage | QueuePage


@dataclass(frozen=True, slots=True)
class PageCounts:
    """What became of a page's rows: received = new + duplicate + undecodable."""

    new: int = 0
    duplicate: int = 0
    undecodable: int = 0

    @property
    def received(self) -> int:
        """Every row the answer held."""
        return self.new + self.duplicate + self.undecodable


class PageTransaction(Protocol):
    """The store inside the transaction of one page of one feed; lives on the store's thread, only during the work."""

    def cursor(self, name: str) -> bytes | None:
        """Return a cursor of this feed."""

    def set_cursor(self, name: str, value: bytes) -> None:
        """Set a cursor of this feed."""

    def marks(self, seconds: Collection[int]) -> dict[int, bytes]:
        """Return, for the seconds that have any, the fingerprints known (16 bytes each, one after the other)."""

    def chains(self, seconds: Collection[int]) -> dict[int, bytes]:
        """Return the lifecycle state kept beside the fingerprints of these seconds."""

    def remember(self, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Replace (second, fingerprints, lifecycle state)."""

    def stays(self, queue: str, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the live queue entries among ``keys``."""

    def absent_stays(self, queue: str, present: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the live queue entries that are not in ``present``."""

    def keep_stays(self, queue: str, stays: Mapping[bytes, bytes]) -> None:
        """Insert or replace live queue entries."""

    def drop_stays(self, queue: str, keys: Collection[bytes]) -> None:
        """Remove live queue entries."""

    def append(self, lines: bytes, count: int, observed_at: datetime) -> int:
        """Append ``count`` events (native JSON, each line ended by LF) to the outbox; return the first one's offset."""

    def quarantine(self, rows: Sequence[Unreadable], observed_at: datetime) -> None:
        """Keep undecodable rows as dead letters of the account."""

    def count(self, counts: PageCounts) -> None:
        """Add to the feed's figures."""
