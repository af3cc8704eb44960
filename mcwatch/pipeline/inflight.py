"""The bookkeeping of one batch on its way: which event came to what."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from mcwatch.domain.delivery import Batch, Refusal
from mcwatch.domain.outbox import Progress, Receipt, Rejected

_OPEN, _ACCEPTED, _REFUSED, _PENDING = range(4)
_WAITING = bytes([_PENDING])


class _Named(msgspec.Struct, gc=False):
    event_id: str


_NAMED = msgspec.json.Decoder(_Named)


@dataclass(slots=True)
class Segment:
    """A run of ``count`` events of one account, from ``position`` on; ``wanted`` are the indexes of those to be sent.

    ``observed_at`` is when its oldest event was recorded, in seconds since 1970; ``settled`` is the number of events
    that the committed position has passed.
    """

    account_id: int
    position: int
    count: int
    wanted: Sequence[int]
    observed_at: float
    settled: int = 0

    @property
    def end(self) -> int:
        """The offset behind the last event."""
        return self.position + self.count


class InFlight:
    """One batch of one destination, and what became of each event of it.

    An event is open, accepted, refused, or pending: handed over against a receipt that is not confirmed yet. A batch
    of which nothing is open gives its bytes back (:meth:`release`) and is filled again when it must be sent again.
    """

    def __init__(self, segments: Sequence[Segment], batch: Batch) -> None:
        self.segments = segments
        self._batch: Batch | None = batch
        self._fates = bytearray(len(batch))
        self._refusals: dict[int, tuple[Refusal, bytes]] = {}
        self._receipts: dict[bytes, Sequence[int]] = {}
        self._late: dict[bytes, Sequence[int]] = {}
        """Receipts whose events are sent again, and that may be confirmed all the same."""
        self._is_restored = False
        self._moved: set[InFlight] = set()
        self._place()

    @classmethod
    def restored(cls, receipt: Receipt) -> "InFlight":
        """Return what an earlier process handed over; its events are unknown until it is filled."""
        count = receipt.end - receipt.start
        sent = range(receipt.delivered)
        inflight = cls([Segment(receipt.account_id, receipt.start, count, sent, receipt.at.timestamp())], Batch((), ()))
        inflight._fates = bytearray([_PENDING]) * receipt.delivered
        if receipt.delivered:
            inflight._receipts[receipt.token] = sent
        inflight._is_restored = True
        inflight.release()
        return inflight

    def tell(self, moved: "set[InFlight]") -> None:
        """Put the batch among ``moved`` now, and whenever events come to their end."""
        self._moved = moved
        moved.add(self)

    def _place(self) -> None:
        """Note where in the batch each segment's events begin."""
        self._firsts: dict[int, int] = {}
        first = 0
        for segment in self.segments:
            self._firsts[id(segment)] = first
            first += len(segment.wanted)

    @property
    def batch(self) -> Batch:
        """The batch; not there once released."""
        if self._batch is None:
            raise RuntimeError("a batch that was given back is asked for")
        return self._batch

    @property
    def is_released(self) -> bool:
        """Whether the batch must be filled before it can be sent."""
        return self._batch is None

    @property
    def is_done(self) -> bool:
        """Whether every event was accepted or finally refused."""
        return _OPEN not in self._fates and _PENDING not in self._fates

    @property
    def is_open(self) -> bool:
        """Whether some event must be sent, or sent again."""
        return _OPEN in self._fates

    @property
    def is_begun(self) -> bool:
        """Whether something is known, or under way, about some event."""
        return any(self._fates)

    @property
    def is_pending(self) -> bool:
        """Whether a receipt is not confirmed yet."""
        return _PENDING in self._fates

    @property
    def refused(self) -> int:
        """How many events were finally refused."""
        return len(self._refusals)

    @property
    def refusals(self) -> dict[int, Refusal]:
        """The refusals by the events' index."""
        return {index: refusal for index, (refusal, _) in self._refusals.items()}

    @property
    def receipts(self) -> Collection[bytes]:
        """The receipts that are not confirmed yet."""
        return self._receipts.keys()

    @property
    def late_receipts(self) -> Collection[bytes]:
        """The receipts that were not confirmed in time; whichever sending is confirmed first counts."""
        return self._late.keys()

    def is_handed_over_by(self, receipt: bytes) -> bool:
        """Tell whether a receipt stands for all events of the batch."""
        return len(self._receipts.get(receipt, ())) == len(self._fates)

    def is_open_at(self, index: int) -> bool:
        """Tell whether one event must be sent."""
        return self._fates[index] == _OPEN

    def open(self) -> list[int]:
        """Return the indexes of the events that must be sent."""
        if not self.is_begun:
            return list(range(len(self._fates)))
        return [index for index, fate in enumerate(self._fates) if not fate]

    def accept(self, indexes: Iterable[int]) -> None:
        """Record acceptance."""
        self._moved.add(self)
        for index in indexes:
            self._fates[index] = _ACCEPTED

    def accept_all(self) -> None:
        """Record that the whole batch was accepted."""
        self._moved.add(self)
        self._fates = bytearray([_ACCEPTED]) * len(self._fates)

    def refuse(self, index: int, refusal: Refusal) -> None:
        """Record a final refusal."""
        self._moved.add(self)
        self._fates[index] = _REFUSED
        self._refusals[index] = (refusal, self.batch.native[index])

    def hand_over(self, indexes: Sequence[int], receipt: bytes) -> None:
        """Record that events were taken against a receipt."""
        if len(indexes) == len(self._fates):
            # Thousands of batches may wait for their receipts: what is whole needs no list.
            self._fates = bytearray([_PENDING]) * len(self._fates)
            self._receipts[receipt] = range(len(self._fates))
            return
        for index in indexes:
            self._fates[index] = _PENDING
        self._receipts[receipt] = indexes

    def confirm(self, receipt: bytes) -> None:
        """Record that the events of a receipt are stored for good."""
        late = self._late.pop(receipt, None)
        if late is not None:
            self.accept([index for index in late if self._fates[index] != _REFUSED])
            return
        indexes = self._receipts.pop(receipt)
        if len(indexes) == len(self._fates):
            self.accept_all()
        else:
            self.accept(indexes)

    def reopen(self, receipt: bytes) -> None:
        """Record that a receipt was not confirmed in time: its events must be sent again."""
        indexes = self._receipts.pop(receipt)
        for index in indexes:
            self._fates[index] = _OPEN
        if not self._is_restored:
            # What an earlier process sent may have been other events of the same range.
            self._late[receipt] = indexes

    def release(self) -> None:
        """Give the bytes back while nothing is to be sent."""
        self._batch = None

    def fill(self, batch: Batch, wanted: Sequence[Sequence[int]]) -> None:
        """Take the bytes again, and which events of each segment are wanted.

        Only for a batch of an earlier process may that differ from before, of which then everything is open.
        """
        self._batch = batch
        self._is_restored = False
        self._moved.add(self)
        for segment, indexes in zip(self.segments, wanted, strict=True):
            segment.wanted = indexes
        if len(batch) != len(self._fates):
            self._fates = bytearray(len(batch))
        self._place()

    def reached(self, segment: Segment) -> int:
        """Return how many events of a segment, from its first, have come to their end or are not wanted.

        Before a first event that waits for its receipt it stays where it is: the kept receipt must begin at the
        position, or it would not be found again after a restart.
        """
        first = self._firsts[id(segment)]
        fates = self._fates[first : first + len(segment.wanted)]
        if fates[:1] == _WAITING:
            return segment.settled
        ends = [at for at in (fates.find(_OPEN), fates.find(_PENDING)) if at >= 0]
        return segment.wanted[min(ends)] if ends else segment.count

    def step(self, segment: Segment, reached: int) -> tuple[Progress, list[Rejected]]:
        """Return what passing the first ``reached`` events of a segment means, beyond those that are settled."""
        position = segment.position + reached
        passed = reached - segment.settled
        if not self._refusals and len(segment.wanted) == segment.count:
            return Progress(segment.account_id, position, passed, 0), []
        first = self._firsts[id(segment)]
        ended = [index for index, at in enumerate(segment.wanted, first) if segment.settled <= at < reached]
        refused = [index for index in ended if index in self._refusals]
        progress = Progress(segment.account_id, position, len(ended) - len(refused), passed - len(ended))
        return progress, [self._rejected(segment.account_id, index) for index in refused]

    def _rejected(self, account_id: int, index: int) -> Rejected:
        refusal, native = self._refusals[index]
        return Rejected(account_id, _NAMED.decode(native).event_id, refusal.reason, refusal.detail, native)
