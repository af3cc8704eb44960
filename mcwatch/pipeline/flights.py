"""All batches of one destination that are on their way, and how far they let its positions move.

Per account the batches stand in a queue in the order recorded. A position passes what came to its end at the queue's
front and no more, so it follows the lowest event that is not accepted. Reading goes on behind the queue's last event.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mcwatch.domain.outbox import Progress, Receipt, Rejected, Settlement
from mcwatch.pipeline.inflight import InFlight, Segment

_NOT_SENT = b""
"""The token of a kept receipt of which nothing was sent: it holds the place between two others."""


class Flights:
    """The queues, the committed positions, and the offsets where reading goes on."""

    def __init__(self, destination: str, positions: Mapping[int, int]) -> None:
        self._destination = destination
        self.positions = dict(positions)
        self.reading = dict(positions)
        """The next offset to read per account, of those that are delivered here."""
        self._queues: dict[int, deque[tuple[InFlight, Segment]]] = {}
        self._unsent: set[InFlight] = set()
        """Batches of which something may be open."""
        self._moved: set[InFlight] = set()
        """Batches that came forward since the last settlement: a thousand others may stand still."""
        self._looked: set[InFlight] = set()
        self._handed: list[Receipt] = []
        self._asked: list[tuple[Segment, int]] = []

    def meet(self, positions: Mapping[int, int]) -> None:
        """Take up accounts that are delivered here from now on, each from its position."""
        self.positions |= positions
        self.reading |= positions

    def forget(self, accounts: Collection[int]) -> None:
        """Know nothing any more of accounts that somebody else delivers from now on.

        Batches that hold events of other accounts too stay in those queues.
        """
        for account in accounts:
            self.positions.pop(account, None)
            self.reading.pop(account, None)
            self._queues.pop(account, None)
        self._handed = [one for one in self._handed if one.account_id not in accounts]

    def has_lost(self, inflight: InFlight) -> bool:
        """Tell whether a batch holds events of an account that has gone from here since, also if it has come back."""
        return any(one.settled < one.count and not self._holds(one) for one in inflight.segments)

    def restore(self, receipts: Iterable[Receipt]) -> list[InFlight]:
        """Queue again what an earlier process handed over, by account and offset.

        What does not follow without a hole is left out, to be read and sent again.
        """
        restored = []
        for receipt in receipts:
            if receipt.start == self.reading.get(receipt.account_id):
                inflight = InFlight.restored(receipt)
                self.add(inflight)
                restored.append(inflight)
        return restored

    def add(self, inflight: InFlight) -> None:
        """Queue a batch that was read from where reading stood."""
        self._unsent.add(inflight)
        inflight.tell(self._moved)
        for segment in inflight.segments:
            self._queues.setdefault(segment.account_id, deque()).append((inflight, segment))
            self.reading[segment.account_id] = segment.end

    def reopen(self, inflight: InFlight, receipt: bytes) -> None:
        """Record that a receipt was never confirmed: its events must be sent again."""
        inflight.reopen(receipt)
        self._unsent.add(inflight)

    def holds(self, inflight: InFlight) -> bool:
        """Tell whether a batch is still on its way: it was not withdrawn, skipped or settled to its end."""
        return any(self._holds(segment) for segment in inflight.segments)

    def behind(self, inflight: InFlight) -> set[InFlight]:
        """Return the batches that stand behind one in its accounts, those behind them in theirs, and so on."""
        found: set[InFlight] = set()
        looking = [inflight]
        while looking:
            one = looking.pop()
            for segment in one.segments:
                if not self._holds(segment):
                    continue
                for other, _ in reversed(self._queues[segment.account_id]):
                    if other is one:
                        break
                    if other not in found:
                        found.add(other)
                        looking.append(other)
        return found

    def withdraw(self, inflights: Collection[InFlight]) -> None:
        """Give batches up, with all that stand behind them, to be read again from where their positions stand.

        Kept receipts of theirs stay in the store until a position has passed them. They remain true.
        """
        for account in {segment.account_id for inflight in inflights for segment in inflight.segments}:
            queue = self._queues.get(account)
            while queue and queue[-1][0] in inflights:
                _, segment = queue.pop()
                self.reading[account] = segment.position + segment.settled
            self._drop_empty(account)
        self._unsent.difference_update(inflights)

    def _holds(self, segment: Segment) -> bool:
        return any(held is segment for _, held in self._queues.get(segment.account_id, ()))

    def clear(self) -> None:
        """Give up all batches: reading goes on from the committed positions."""
        self._queues.clear()
        self._unsent.clear()
        self._looked.clear()
        self._handed = []
        self._asked = []
        self.reading = dict(self.positions)

    def busy(self, most: int) -> Collection[int]:
        """Return the accounts that get no further batch now.

        Order is kept: nothing of an account is sent while a batch of it waits for an answer or to be sent again, and no
        more than ``most`` batches wait for their receipts to be confirmed.
        """
        self._unsent = {inflight for inflight in self._unsent if inflight.is_open}
        waiting = {
            segment.account_id
            for inflight in self._unsent
            for segment in inflight.segments
            if segment.settled < segment.count
        }
        return waiting.union(account for account, queue in self._queues.items() if len(queue) >= most)

    def receipts(self) -> Iterator[tuple[bytes, InFlight]]:
        """Return the receipts that are not confirmed yet, late ones too, with their batches."""
        seen: set[int] = set()
        for queue in self._queues.values():
            for inflight, _ in queue:
                if id(inflight) not in seen:
                    seen.add(id(inflight))
                    yield from [(receipt, inflight) for receipt in (*inflight.receipts, *inflight.late_receipts)]

    def keep_receipt(self, inflight: InFlight, receipt: bytes | None, at: datetime) -> None:
        """Have a receipt of a whole batch kept with the next settlement; None where nothing of it was sent."""
        token = _NOT_SENT if receipt is None else receipt
        for one in inflight.segments:
            if one.settled < one.count:
                # A position may have passed what is not wanted at the beginning.
                start = one.position + one.settled
                self._handed.append(Receipt(one.account_id, start, one.end, len(one.wanted), token, at))

    def settlement(self) -> Settlement | None:
        """Return how far positions can move and which receipts to keep, None when there is nothing.

        The same is returned until :meth:`settled` says that it was committed.
        """
        self._asked = []
        progress: list[Progress] = []
        rejected: list[Rejected] = []
        self._looked |= self._moved
        self._moved.clear()
        accounts = {segment.account_id for inflight in self._looked for segment in inflight.segments}
        for account in sorted(accounts):
            step, refused = self._step(self._queues.get(account, ()))
            progress += step
            rejected += refused
        passed = {step.account_id: step.position for step in progress}
        handed = [one for one in self._handed if one.start >= passed.get(one.account_id, 0)]
        if not progress and not handed:
            self._looked.clear()
            return None
        return Settlement(self._destination, progress, rejected, handed)

    def _step(self, queue: Iterable[tuple[InFlight, Segment]]) -> tuple[list[Progress], Sequence[Rejected]]:
        total: Progress | None = None
        rejected: list[Rejected] = []
        for inflight, segment in queue:
            reached = inflight.reached(segment)
            if reached > segment.settled:
                step, refused = inflight.step(segment, reached)
                total = step if total is None else _sum(total, step)
                rejected += refused
                self._asked.append((segment, reached))
            if reached < segment.count:
                break
        return ([] if total is None else [total]), rejected

    def settled(self, settlement: Settlement) -> float | None:
        """Take note that the last settlement was committed; return when the oldest event it passed was recorded."""
        for segment, reached in self._asked:
            segment.settled = reached
        oldest = min((segment.observed_at for segment, _ in self._asked), default=None)
        self._handed = []
        self._looked.clear()
        for step in settlement.progress:
            self.positions[step.account_id] = step.position
            queue = self._queues.get(step.account_id)
            while queue and queue[0][1].settled == queue[0][1].count:
                queue.popleft()
            self._drop_empty(step.account_id)
        return oldest

    def _drop_empty(self, account: int) -> None:
        if not self._queues.get(account, True):
            del self._queues[account]


def _sum(one: Progress, next_: Progress) -> Progress:
    return replace(next_, delivered=one.delivered + next_.delivered, not_selected=one.not_selected + next_.not_selected)
