"""One page of an API answer on its way into the store, and what the store offers inside the page's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol

from mcwatch.domain.identity import Identity
from mcwatch.domain.passage import KeptPassage, Passage
from mcwatch.domain.record import Record, Unreadable
from mcwatch.domain.window.coverage import Span
from mcwatch.domain.window.ranges import Window


@dataclass(frozen=True, slots=True)
class Feed:
    """One source of one account as the store knows it."""

    id: int
    account_id: int
    account: str
    source: str


@dataclass(frozen=True, slots=True)
class FeedProgress:
    """What the store kept of earlier polls of a feed: cursors by name, the coverage of each search by its name."""

    cursors: Mapping[str, bytes] = field(default_factory=dict)
    coverage: Mapping[str, Sequence[Span]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinderPage:
    """Rows of the message finder. ``cursors`` and ``covered`` count from the transaction that keeps the rows.

    ``covered`` holds what the page completes, by search; it is laid over what the ledger says. ``identity`` is by what
    the rows are known; with ``content`` the page holds a whole window, in any order. ``answered`` is False for a page
    that only puts the ledger in order: nothing was asked of the API for it.
    """

    rows: Sequence[Record]
    unreadable: Sequence[Unreadable] = ()
    cursors: Mapping[str, bytes] = field(default_factory=dict)
    covered: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    identity: Identity = Identity.ID
    answered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """Entries of one processing queue.

    ``present`` holds the fingerprints of every entry the whole poll has shown; it is given with the last page of a
    complete poll and None otherwise, so that an incomplete poll never makes an entry leave. ``gone_after`` is the
    number of complete polls without an entry before it counts as left. Each page is an answer.
    """

    answered: ClassVar[bool] = True

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

    def forget_cursor(self, name: str) -> None:
        """Remove a cursor of this feed."""

    def spans(self, search: str, window: Window) -> list[Span]:
        """Return the coverage of a search that overlaps or touches a window, in order."""

    def replace_spans(self, search: str, window: Window, spans: Sequence[Span]) -> None:
        """Put spans in the place of those that overlap or touch a window."""

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

    def keep_passages(self, stays: Iterable[Passage]) -> None:
        """Keep stays of the account's queue entries for the finder, or say of kept ones how they ended."""

    def has_passages(self, first_place: int, last_place: int) -> bool:
        """Tell whether the account keeps any stay in these places."""

    def passages(self, wanted: Collection[tuple[int, int]]) -> list[KeptPassage]:
        """Return the account's stays of these (place, traits)."""

    def take_passages(self, stays: Iterable[Passage]) -> None:
        """Mark kept stays as taken."""

    def append(self, lines: bytes, count: int, observed_at: datetime) -> int:
        """Append ``count`` events (native JSON, each line ended by LF) to the outbox; return the first one's offset."""

    def quarantine(self, rows: Sequence[Unreadable], observed_at: datetime) -> None:
        """Keep undecodable rows as dead letters of the account."""

    def count(self, counts: PageCounts) -> None:
        """Add to the feed's figures."""
