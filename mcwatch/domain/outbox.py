"""What passes between the store and the delivering half: rows out, settlements back, figures for whoever asks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mcwatch.domain.errors import FailureReason


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One page of events of one account. ``lines`` is native JSON, each event ended by LF; None when not asked for."""

    first_offset: int
    count: int
    observed_at: datetime
    lines: bytes | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that becomes a dead letter."""

    account_id: int
    event_id: str
    reason: FailureReason
    detail: str
    native: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one account's position moves, and what became of the events it passes.

    ``position`` is the new one; the events passed are delivered + not_selected + skipped + those in the settlement's
    ``rejected`` for this account.
    """

    account_id: int
    position: int
    delivered: int
    not_selected: int
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Events of one account, from ``start`` up to ``end``, that were handed over at ``at`` and are not confirmed yet.

    ``delivered`` of them were sent, the others not selected. Several accounts' events may have gone in one request and
    have the same ``token``.
    """

    account_id: int
    start: int
    end: int
    delivered: int
    token: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Settlement:
    """The outcome of a batch for one destination; applied in one transaction."""

    destination: str
    progress: Sequence[Progress]
    rejected: Sequence[Rejected] = ()
    handed: Sequence[Receipt] = ()

    def without(self, accounts: Collection[int]) -> "Settlement":
        """Return what it says of all other accounts."""
        if not accounts:
            return self
        return Settlement(
            self.destination,
            [one for one in self.progress if one.account_id not in accounts],
            [one for one in self.rejected if one.account_id not in accounts],
            [one for one in self.handed if one.account_id not in accounts],
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it is listed. ``destination`` is empty for a row that could not be decoded."""

    id: int
    account: str
    destination: str
    event_id: str
    reason: str
    detail: str
    at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A dead letter with what it holds: the native event, or the bytes of a row that could not be decoded."""

    letter: DeadLetter
    body: bytes


@dataclass(frozen=True, slots=True)
class LetterChoice:
    """Which dead letters are meant: all that fit, ``ids`` in any order; every part left empty fits all.

    ``destination`` empty means undecodable rows, None whatever destination.
    """

    ids: Sequence[int] = ()
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """A destination that was given up, the events it had not received and the dead letters that stay for now."""

    name: str
    waiting: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one account stands for a destination: its name, the oldest offset kept, the position, the head."""

    account_id: int
    account: str
    oldest: int
    position: int
    head: int


@dataclass(frozen=True, slots=True)
class FeedFigures:
    """Stored counters of one source."""

    account: str
    source: str
    received: int
    new: int
    duplicate: int
    undecodable: int


@dataclass(frozen=True, slots=True)
class SkippedRange:
    """Events that a destination was not waited for: recorded from ``start`` on and before ``end``."""

    start: datetime
    end: datetime
    events: int


@dataclass(frozen=True, slots=True)
class DestinationFigures:
    """Stored counters of one destination: offered = delivered + dead-lettered + not_selected + skipped + waiting.

    ``skipped_ranges`` are the newest 10, newest first.
    """

    name: str
    offered: int
    delivered: int
    dead_lettered: dict[str, int]
    not_selected: int
    skipped: int
    waiting: int
    oldest_waiting_at: datetime | None
    dead_letters: int
    skipped_ranges: Sequence[SkippedRange] = ()


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """All stored figures as of one moment; sizes in bytes.

    ``outbox_bytes`` counts what some destination has not received yet, ``outbox_limit_bytes`` is ``max_backlog``.
    ``undecodable_letters`` holds the kept undecodable rows per account. ``disk_free_bytes`` is what is left on the
    store's file system, None where that is not known.
    """

    feeds: list[FeedFigures] = field(default_factory=list)
    destinations: list[DestinationFigures] = field(default_factory=list)
    undecodable_letters: dict[str, int] = field(default_factory=dict)
    outbox_bytes: int = 0
    outbox_limit_bytes: int = 0
    store_bytes: int = 0
    disk_free_bytes: int | None = None
