"""The whole contract between the pipeline and what is plugged into it, on one page.

Adapters (sources, formats, sinks, stores, the clock) implement these; the pipeline knows nothing else of them.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, TypeVar
from uuid import UUID

from mcwatch.domain.delivery import Batch, Refusal, Verdicts
from mcwatch.domain.leasing import Budget, Fleet, News
from mcwatch.domain.outbox import (
    DeadLetter,
    KeptLetter,
    LetterChoice,
    OutboxRow,
    Receipt,
    Released,
    Settlement,
    Standing,
    StoreSnapshot,
)
from mcwatch.domain.page import Feed, FeedProgress, Page, PageTransaction
from mcwatch.domain.status import SourceReading

T = TypeVar("T")


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never jumps."""

    async def sleep(self, secs: float) -> None:
        """Wait ``secs`` seconds; cancellable."""


class Source(Protocol):
    """One feed of an account."""

    name: str
    interval_secs: float

    @property
    def requests_per_minute(self) -> float:
        """How many requests it needs while mail is quiet."""

    def poll(self, progress: FeedProgress) -> AsyncIterator[Page]:
        """Read the feed once, page by page.

        ``progress`` is what the store kept of earlier polls; a page brings what is to move with it, and is committed
        when the next one is asked for. Raises TransientError, AuthError or PermanentError; the pages yielded before
        stay good.
        """

    def reading(self) -> SourceReading:
        """Return what has been read so far, for people to look at."""


class Format(Protocol):
    """A payload: bytes of one event out of its native form. Pure."""

    content_type: str

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        """Render events given as native JSON lines, in order, each without a line end."""


class Acknowledgements(Protocol):
    """How a receiver that answers at once and stores later says what it has stored."""

    @property
    def timeout_secs(self) -> float:
        """How long a receipt may stay unconfirmed before its events are sent again."""

    async def confirmed(self, receipts: Collection[bytes]) -> Collection[bytes]:
        """Ask for receipts, also those of an earlier process, and return those whose events are stored for good.

        Raises TransientError, AuthError or MisconfiguredError; nothing is known of any receipt then.
        """


class Sink(Protocol):
    """Where bytes go. Entered once before the first batch and left after the last; survives failed deliveries."""

    @property
    def most_at_once(self) -> int:
        """How many deliveries it can have under way side by side."""

    @property
    def acknowledgements(self) -> Acknowledgements | None:
        """Who confirms receipts; None where what :meth:`deliver` returns is the last word."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def deliver(self, batch: Batch) -> Verdicts:
        """Send the batch and return once its fate is known.

        Raises TransientError or ThrottledError (send it again later), AuthError or MisconfiguredError (the destination
        is down), PermanentError (some event of the batch is refused, unknown which). Nothing of it counts as accepted
        then. Cancellation leaves the sink usable. A sink with acknowledgements gives a receipt for what it handed over.
        """

    async def check(self) -> str:
        """Try the destination without sending an event; return what answered in a few words, or raise as above."""


class Leases(Protocol):
    """Who of several replicas watches which account. Time is the database's; a lease is proved inside each write."""

    @property
    def replica(self) -> UUID:
        """What this process is called among the replicas: another one at each start."""

    @property
    def duration_secs(self) -> float:
        """How long after its loss a replica's accounts are polled by another one at the latest."""

    async def beat(self, news: News) -> Fleet:
        """Say that this replica lives, which renews all it holds, and return who lives and who holds what.

        What another replica has taken meanwhile is lost from then on: see :meth:`Store.holds`. Raises StoreUnavailable.
        """

    async def take(self, account_ids: Collection[int]) -> dict[int, Budget]:
        """Take the leases of these accounts that nobody holds.

        Return those got, each with what the last holder kept of its request budget. Their events can be read and
        delivered from now on. Raises StoreUnavailable with nothing taken, or when that is not known: the next beat
        tells.
        """

    def retire(self, account_ids: Collection[int]) -> None:
        """Have no further event of these accounts delivered; what is under way can still be settled."""

    async def give_up(self, budgets: Mapping[int, Budget]) -> None:
        """Give these accounts up, for another replica to take; raises StoreUnavailable."""

    async def leave(self) -> None:
        """Give up everything and be forgotten, at the end; raises StoreUnavailable."""


class Store(Protocol):
    """Everything that survives a restart. Durable before any call here returns."""

    @property
    def leases(self) -> Leases | None:
        """How accounts are spread over replicas; None for a store that serves one process, which holds them all."""

    def holds(self, account_id: int) -> bool:
        """Tell whether this process may poll this account now, as far as it knows without asking."""

    async def feed(self, account: str, source: str) -> Feed:
        """Register a feed, or find it again."""

    async def progress(self, feed: Feed) -> FeedProgress:
        """Return how far a feed has been read, as committed."""

    async def commit_page(self, feed: Feed, work: Callable[[PageTransaction], T]) -> T:
        """Run ``work`` on the store's thread inside one transaction and commit it with full durability.

        Raises LeaseLost or StoreUnavailable, with nothing written, and whatever ``work`` raises. Where the outcome of a
        commit cannot be found out, StoreUnavailable says so: what the store holds is to be asked, never assumed.
        """

    async def read_page(self, feed: Feed, work: Callable[[PageTransaction], T]) -> T:
        """Run ``work``, which only reads, on what is committed as of one moment; also when the disk is full.

        Raises StoreUnavailable, also for an attempt to write, and whatever ``work`` raises.
        """

    async def enrol(self, starts: Mapping[str, bool]) -> list[str]:
        """Register the configured destinations and return the names of those that are gone from the configuration.

        A destination new to the store starts at the head (True) or at the oldest event kept (False) of the accounts
        that exist; accounts added later start at their first event.
        """

    async def positions(self, destination: str) -> dict[int, int]:
        """Return the destination's position per account id."""

    def heads(self) -> Mapping[int, int]:
        """Return the offset behind the newest committed event per account id, of the accounts to be delivered here.

        An account that another replica holds is not among them.
        """

    async def wait_for_events(self, seen: int) -> int:
        """Wait until the sequence of commits, and of accounts that came or went, has passed ``seen``; return it."""

    async def read(self, account_id: int, position: int, max_bytes: int, have: Collection[int] = ()) -> list[OutboxRow]:
        """Return outbox rows from the one that holds ``position``; at least one where there is one.

        A row whose first offset is in ``have`` comes without its lines.
        """

    async def settle(self, settlement: Settlement) -> Collection[int]:
        """Move a destination's positions, count what became of the events, keep its dead letters: one transaction.

        Return the ids of the accounts of which nothing was written: another replica holds them, or the position stood
        elsewhere than the settlement knew. Where they stand is to be asked again.
        """

    async def expire(self, now: datetime) -> bool:
        """Remove a bounded amount of what is past its time; return whether more is left."""

    async def snapshot(self) -> StoreSnapshot:
        """Return all stored figures as of one moment."""

    async def backlog_bytes(self) -> int:
        """Return the stored bytes that some destination has not received."""

    async def backlog_of(self, destination: str) -> int:
        """Return the stored bytes that one destination has not received."""

    async def channel(self, destination: str) -> UUID:
        """Return what a receiver may know an enrolled destination by, the same across restarts."""

    async def receipts(self, destination: str) -> list[Receipt]:
        """Return what was handed over and is not settled, by account and offset."""

    async def standings(self, destination: str) -> list[Standing]:
        """Return where each account stands for a destination; nothing for one that is not known."""

    async def offset_at(self, account_id: int, moment: datetime) -> int | None:
        """Return the offset of the account's first kept event recorded at ``moment`` or later, None without any."""

    async def offset_before(self, account_id: int, moment: datetime) -> int | None:
        """Return the offset behind the account's last kept event recorded before ``moment``, None without any."""

    async def destinations(self) -> list[str]:
        """Return the names of the destinations that are not released."""

    async def forget(self, destination: str) -> Released | None:
        """Release a destination at once; None when there is none of that name."""

    async def dead_letters(self, destination: str | None, limit: int) -> list[DeadLetter]:
        """List dead letters, newest first; ``destination`` empty lists undecodable rows, None lists everything."""

    async def dead_letter_count(self, destination: str) -> int:
        """Return how many dead letters a destination has."""

    async def letters(self, choice: LetterChoice, after: int, limit: int) -> list[KeptLetter]:
        """Return the chosen dead letters behind number ``after``, oldest first."""

    async def discard(self, choice: LetterChoice, most: int) -> int:
        """Remove up to ``most`` of the chosen dead letters for good; return how many."""

    async def retried(self, delivered: Sequence[int], refused: Mapping[int, Refusal]) -> None:
        """Remove the dead letters that were delivered after all, and write the newest refusal to the others."""

    async def ping(self) -> None:
        """Return when the thread that writes has answered, whatever it can write."""

    async def recover(self) -> bool:
        """Try to leave the state of a full disk; return whether pages can be committed.

        Raises StoreUnavailable when they cannot for another reason than want of room, such as a read-only file system.
        """
