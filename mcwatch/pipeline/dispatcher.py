"""The loop of one destination: read behind what is on its way, deliver, settle."""

import asyncio
from collections.abc import Collection, Mapping, Set
from math import inf

import structlog

from mcwatch.domain.errors import FailureReason, StoreCorrupt, StoreUnavailable, TransientError
from mcwatch.interfaces import Store
from mcwatch.pipeline.appetite import Appetite
from mcwatch.pipeline.batches import BatchLimits, BatchReader
from mcwatch.pipeline.cancelling import leaves
from mcwatch.pipeline.confirmation import Confirmation
from mcwatch.pipeline.delivery import MassRefusalError, UnprovenRefusalError
from mcwatch.pipeline.flights import Flights
from mcwatch.pipeline.inflight import InFlight
from mcwatch.pipeline.letterbox import Letterbox
from mcwatch.pipeline.outlet import Attempt, Outlet
from mcwatch.pipeline.pausing import Lingering, NextLook
from mcwatch.pipeline.settling import STORE_RETRY_SECS, Settler
from mcwatch.pipeline.skipping import skip_backlog
from mcwatch.telemetry.liveness import beside, resting, turns

_DRAIN_PAUSE_SECS = 5.0
_LIVELY = frozenset({FailureReason.THROTTLED, FailureReason.SERVER})
"""Answers of a receiver that is there."""

logger = structlog.get_logger(__name__)


class Dispatcher:
    """Drives one destination. Its trouble is its own: other destinations and all polling go on.

    Nothing is sent while the store cannot record that it was accepted, and a position moves only when it was. Batches
    of different accounts may be under way side by side, never two of one account; with acknowledgements further batches
    follow while receipts wait to be confirmed.
    """

    def __init__(
        self,
        outlet: Outlet,
        store: Store,
        reader: BatchReader,
        limits: BatchLimits,
        letterbox: Letterbox,
    ) -> None:
        self.outlet = outlet
        self._name = outlet.name
        self._store = store
        self._reader = reader
        self._limits = limits
        self._appetite = Appetite(limits.max_events)
        self._letterbox = letterbox
        self._clock = outlet.clock
        self._settler = Settler(outlet, store, letterbox)
        self._lingering = Lingering(outlet.clock, limits.linger_secs)
        self._flights = Flights(outlet.name, {})
        self._confirmation: Confirmation | None = None
        self._carried: dict[InFlight, None] = {}
        """What must be sent again, or the rest of it, in this order."""
        self._under_way: set[InFlight] = set()
        self._ended: list[Attempt] = []
        self._wake = asyncio.Event()
        self._draining = False
        self._leaving = False
        self._skips = False
        self._next_look = NextLook(outlet.clock)

    def drain(self) -> None:
        """Ask :meth:`run` to return once nothing can be sent, or at once when the destination is down."""
        self._draining = True
        self._wake.set()

    def leave(self) -> None:
        """Ask :meth:`run` to return once what is under way has ended; another dispatcher goes on from the store."""
        self._leaving = True
        self._wake.set()

    @property
    def is_ending(self) -> bool:
        """Whether it was asked to return."""
        return self._draining or self._leaving

    def skip(self) -> None:
        """Ask for the backlog to be passed over: positions move to the head, and what they pass counts as skipped."""
        self._skips = True
        self._wake.set()

    @property
    def unconfirmed(self) -> int:
        """How many receipts are not confirmed yet."""
        return sum(1 for _ in self._flights.receipts())

    async def run(self, accounts: Mapping[int, str]) -> None:
        """Deliver until drained. ``accounts`` names the accounts by id and may grow."""
        self.outlet.health.expect(self.outlet.component)
        await self._begin()
        try:
            async with self.outlet.opened(), asyncio.TaskGroup() as group:
                watches = [group.create_task(self._watch_news(), name=f"news for {self._name}")]
                if self._confirmation:
                    watches.append(
                        group.create_task(self._follow(self._confirmation), name=f"receipts of {self._name}")
                    )
                await self._drive(group, accounts)
                for watch in watches:
                    watch.cancel()
        except* StoreCorrupt as errors:
            raise next(leaves(errors)) from None

    async def _begin(self) -> None:
        """Take up what an earlier process left."""
        self._flights = Flights(self._name, {})
        if acknowledgements := self.outlet.sink.acknowledgements:
            self._confirmation = Confirmation(acknowledgements, self.outlet, self._flights, self._wake.set)
        await self._follow_accounts()
        await self._letterbox.count()

    async def _follow(self, confirmation: Confirmation) -> None:
        with beside("receipts"):
            await confirmation.run()

    async def _watch_news(self) -> None:
        seen = -1
        while True:
            seen = await self._store.wait_for_events(seen)
            self._wake.set()

    async def _drive(self, group: asyncio.TaskGroup, accounts: Mapping[int, str]) -> None:
        while True:
            self._wake.clear()
            self._next_look.forget()
            turns("delivery")
            await self._take_in()
            await self._follow_accounts()
            self._give_up_lost()
            if self._skips and not self._under_way:
                await self._skip_backlog()
            await self._fill(group, accounts)
            if self._has_ended():
                if self._confirmation:
                    await self._confirmation.ask_once_more()
                    await self._settle()
                return
            await self._next_look.wait(self._wake, self._idling)

    def _has_ended(self) -> bool:
        if self._under_way or self._ended:
            return False
        return self._leaving or (self._draining and not self._pauses_briefly())

    def _pauses_briefly(self) -> bool:
        """Tell whether something waits for a receiver that is there and wants a pause: it gets what is due."""
        gate = self.outlet.gate
        if (
            not gate.is_closed
            or gate.reason not in _LIVELY
            or gate.opens_at - self._clock.monotonic() > _DRAIN_PAUSE_SECS
        ):
            return False
        return bool(self._carried) or self._reader.waiting(self._flights.reading) > 0

    def _idling(self) -> resting:
        if self._under_way:
            return resting("batches under way", on_parts=True)
        return resting("acknowledgements awaited" if self.unconfirmed else "no event to send", inf)

    async def _skip_backlog(self) -> None:
        self._skips = False
        self._carried.clear()
        await skip_backlog(self.outlet, self._store, self._settler, self._flights)

    async def _settle(self, attempt: Attempt | None = None) -> None:
        await self._settler.settle(self._flights, attempt)

    async def _take_in(self) -> None:
        """Settle and judge what has ended."""
        ended, self._ended = self._ended, []
        for attempt in ended:
            self._under_way.discard(attempt.inflight)
            await self._conclude(attempt)
        for inflight in self._confirmation.take_overdue() if self._confirmation else ():
            # What is under way is carried when it has ended; what was given up meanwhile is read again.
            if inflight.is_open and inflight not in self._under_way and self._flights.holds(inflight):
                self._carried[inflight] = None
        await self._settle()

    async def _follow_accounts(self) -> None:
        """Take up the accounts that are to be delivered here since the last look, and let go of those that are not.

        What is under way of one that is handed over is waited for, so that its position is moved.
        """
        heads, known = self._store.heads().keys(), self._flights.positions.keys()
        if heads == known:
            return
        under_way = {segment.account_id for inflight in self._under_way for segment in inflight.segments}
        self._flights.forget(known - heads - under_way)
        if new := heads - known:
            await self._meet(new)

    def _give_up_lost(self) -> None:
        """Send nothing again that holds events of an account that is not delivered here any more.

        What else it holds is read again, with all behind it; so what is under way behind it ends first.
        """
        for inflight in [one for one in self._carried if self._flights.has_lost(one)]:
            behind = self._flights.behind(inflight)
            if behind & self._under_way:
                continue
            for one in behind | {inflight}:
                self._carried.pop(one, None)
            self._flights.withdraw(behind | {inflight})

    async def _meet(self, accounts: Set[int]) -> None:
        positions = await self._settler.patiently(lambda: self._store.positions(self._name))
        if missing := accounts - positions.keys():
            # From the first event on everything would be sent anew, and again, for no position could be moved.
            self._next_look.within(STORE_RETRY_SECS, "store")
            self.outlet.health.failed(self.outlet.component, _released(self._name, len(missing)))
        self._flights.meet({account: positions[account] for account in accounts - missing})
        if self._confirmation:
            receipts = await self._settler.patiently(lambda: self._store.receipts(self._name))
            self._confirmation.restore([one for one in receipts if one.account_id in accounts])

    def carries(self, account_id: int) -> bool:
        """Tell whether events of an account may be on their way."""
        return account_id in self._flights.positions

    async def _fill(self, group: asyncio.TaskGroup, accounts: Mapping[int, str]) -> None:
        """Start as much as may be under way."""
        if self._skips or self._leaving or await self._is_held():
            return
        gate = self.outlet.gate
        while len(self._under_way) < self.outlet.concurrency.limit:
            if gate.is_closed:
                # Noted here and not asked again before waiting: it may open in between, and nobody would look.
                self._next_look.within(gate.opens_at - self._clock.monotonic(), "backoff")
                return
            inflight = await self._next(dict(accounts))
            if inflight is None:
                return
            if inflight.is_open:
                self._under_way.add(inflight)
                group.create_task(self._send(inflight), name=f"batch for {self._name}")
            else:
                # The fewer events are wanted, the more are read to find some.
                self._appetite.worked()
                if self._confirmation and not inflight.is_begun:
                    # Behind others that wait, it keeps the place.
                    self._flights.keep_receipt(inflight, None, self._clock.now())
                await self._settle()

    async def _is_held(self) -> bool:
        """Tell whether so many dead letters lie there that somebody has to look first."""
        full = await self._letterbox.is_full()
        if full:
            self._next_look.within(self._letterbox.recheck_secs, "too many dead letters")
        return full

    async def _send(self, inflight: InFlight) -> None:
        # In two steps: the list is exchanged for another one while the attempt goes on.
        attempt = await self.outlet.attempt(inflight)
        self._ended.append(attempt)
        self._wake.set()

    async def _next(self, accounts: dict[int, str]) -> InFlight | None:
        """Return what to send next, None when there is nothing now."""
        turns("delivery")
        try:
            carried = self._next_carried()
            if carried:
                if carried.is_released:
                    await self._reader.fill(carried, accounts)
                del self._carried[carried]
                return carried
            busy = self._flights.busy(self._limits.max_in_flight)
            if self._is_lingering(busy):
                return None
            found = await self._reader.next(self._flights.reading, accounts, busy, self._appetite.max_events)
        except StoreCorrupt:
            raise
        except StoreUnavailable as unavailable:
            logger.warning("outbox_unreadable", destination=self._name, reason=str(unavailable))
            self._next_look.within(STORE_RETRY_SECS, "store")
            return None
        except Exception as defect:
            # A defect must not end the daemon.
            logger.exception("batch_defect", destination=self._name)
            error = TransientError(f"a defect in mcwatch made no batch ({type(defect).__name__})")
            self._next_look.within(self.outlet.failed(error, self.outlet.gate.failures_total), "backoff")
            return None
        if found:
            self._flights.add(found)
        return found

    def _next_carried(self) -> InFlight | None:
        """Return what to send again next: never two batches of one account side by side."""
        under_way = {segment.account_id for inflight in self._under_way for segment in inflight.segments}
        for inflight in self._carried:
            if not any(segment.account_id in under_way for segment in inflight.segments):
                return inflight
        return None

    def _is_lingering(self, busy: Collection[int]) -> bool:
        """Tell whether a batch that is not full still has time to fill up."""
        if self._draining or not self._limits.linger_secs:
            return False
        left_secs = self._lingering.left_secs(
            self._reader.waiting(self._flights.reading, busy), self._appetite.max_events
        )
        if left_secs:
            self._next_look.within(left_secs, "linger")
        return left_secs > 0

    async def _conclude(self, attempt: Attempt) -> None:
        """Settle an attempt, and decide what becomes of what is left of its batch.

        A batch of which nothing was accepted is given up to be read again, with what has come since. So are, with all
        that stands behind them, events refused without a witness, which need others beside them, and a batch that is
        too much at once.
        """
        inflight, error = attempt.inflight, attempt.error
        if self._confirmation:
            self._confirmation.note(inflight)
        await self._settle(attempt)
        too_much = self._is_too_much(attempt)
        self.outlet.conclude(attempt)
        if not inflight.is_open:
            inflight.release()
            return
        unproven = isinstance(error, (MassRefusalError, UnprovenRefusalError))
        behind = self._flights.behind(inflight)
        given_up = unproven or too_much or self._flights.has_lost(inflight) or not (behind or inflight.is_begun)
        if not given_up or inflight.is_pending or behind & self._under_way:
            self._carried[inflight] = None
            return
        for one in behind:
            self._carried.pop(one, None)
        self._flights.withdraw(behind | {inflight})

    def _is_too_much(self, attempt: Attempt) -> bool:
        """Note how a batch was digested; tell whether what is left of it should go in smaller ones."""
        if attempt.ended:
            self._appetite.worked()
        elif attempt.error and attempt.requests and attempt.since == self.outlet.gate.failures_total:
            # Failures side by side count once.
            events = sum(segment.count - segment.settled for segment in attempt.inflight.segments)
            less = self._appetite.failed(attempt.error.reason, events)
            return less and len(attempt.inflight.open()) > self._appetite.max_events
        return False


def _released(name: str, accounts: int) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store does not know where the destination {name!r} stands with {accounts} accounts",
        remedy="it was released, as by a replica without it: reload this one, or restart it, to begin anew",
    )
