"""The bookkeeping of one batch on its way: which event came to what, and how far that lets positions move."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from mcwatch.domain.delivery import Batch, Refusal
from mcwatch.domain.outbox import Progress, Rejected, Settlement

_OPEN, _ACCEPTED, _REFUSED = b"\x00", 1, 2


class _Named(msgspec.Struct, gc=False):
    event_id: str


_NAMED = msgspec.json.Decoder(_Named)


@dataclass(slots=True)
class Segment:
    """A run of events of one account, from ``position`` on; ``wanted`` are the indexes of those to be sent.

    ``observed_at`` is when its oldest event was recorded, in seconds since 1970; ``settled`` is the number of events
    that the committed position has passed.
    """

    account_id: int
    position: int
    natives: Sequence[bytes]
    wanted: Sequence[int]
    observed_at: float
    settled: int = 0


class InFlight:
    """One batch of one destination, and what became of each event of it."""

    def __init__(self, destination: str, segments: Sequence[Segment], batch: Batch) -> None:
        self.batch = batch
        self._destination = destination
        self._segments = segments
        self._fates = bytearray(len(batch))
        self._refusals: dict[int, Refusal] = {}
        self._asked: list[tuple[Segment, int]] = []

    @property
    def oldest_observed_at(self) -> float:
        """When the oldest event of the batch was recorded, in seconds since 1970."""
        return min(segment.observed_at for segment in self._segments)

    @property
    def is_done(self) -> bool:
        """Whether every event was accepted or finally refused."""
        return _OPEN not in self._fates

    @property
    def is_begun(self) -> bool:
        """Whether the fate of some event is known."""
        return any(self._fates)

    def open(self) -> list[int]:
        """Return the indexes of the events whose fate is not known."""
        return [index for index, fate in enumerate(self._fates) if not fate]

    def accept(self, indexes: Iterable[int]) -> None:
        """Record acceptance."""
        for index in indexes:
            self._fates[index] = _ACCEPTED

    def accept_all(self) -> None:
        """Record that the whole batch was accepted."""
        self._fates = bytearray([_ACCEPTED]) * len(self._fates)

    def refuse(self, index: int, refusal: Refusal) -> None:
        """Record a final refusal."""
        self._fates[index] = _REFUSED
        self._refusals[index] = refusal

    def settlement(self) -> Settlement | None:
        """Return how far positions can move past what came to an end, None when they can't.

        The same is returned until :meth:`settled` says that it was committed.
        """
        self._asked = []
        progress: list[Progress] = []
        rejected: list[Rejected] = []
        first = 0
        for segment in self._segments:
            last = first + len(segment.wanted)
            stop = self._fates.find(_OPEN, first, last)
            reached = len(segment.natives) if stop < 0 else segment.wanted[stop - first]
            if reached > segment.settled:
                step, refused = self._step(segment, first, reached)
                progress.append(step)
                rejected += refused
                self._asked.append((segment, reached))
            first = last
        return Settlement(self._destination, progress, rejected) if progress else None

    def settled(self) -> None:
        """Take note that the last settlement was committed."""
        for segment, reached in self._asked:
            segment.settled = reached

    def _step(self, segment: Segment, first: int, reached: int) -> tuple[Progress, list[Rejected]]:
        if not self._refusals and len(segment.wanted) == len(segment.natives):
            delivered = reached - segment.settled
            return Progress(segment.account_id, segment.position + reached, delivered, 0), []
        ended = [index for index, at in enumerate(segment.wanted, first) if segment.settled <= at < reached]
        refused = [index for index in ended if self._fates[index] == _REFUSED]
        not_selected = reached - segment.settled - len(ended)
        progress = Progress(segment.account_id, segment.position + reached, len(ended) - len(refused), not_selected)
        return progress, [self._rejected(segment.account_id, index) for index in refused]

    def _rejected(self, account_id: int, index: int) -> Rejected:
        native, refusal = self.batch.native[index], self._refusals[index]
        return Rejected(account_id, _NAMED.decode(native).event_id, refusal.reason, refusal.detail, native)
