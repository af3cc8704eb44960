"""The loop of one destination: read from the positions, deliver, settle."""

import asyncio
import random
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable, TransientError
from mcwatch.domain.outbox import Settlement
from mcwatch.interfaces import Clock, Sink, Store
from mcwatch.pipeline.batches import BatchLimits, BatchReader
from mcwatch.pipeline.cancelling import is_cancelled
from mcwatch.pipeline.delivery import AskedAgainError, Delivery, MassRefusalError, Streak, UnprovenRefusalError
from mcwatch.pipeline.gate import Gate
from mcwatch.pipeline.inflight import InFlight
from mcwatch.telemetry.health import Component, Health
from mcwatch.telemetry.metrics import Metrics

_STORE_RETRY_SECS = 1.0

T = TypeVar("T")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Senses:
    """What a dispatcher tells and is told the world with."""

    clock: Clock
    metrics: Metrics
    health: Health
    rng: random.Random


class Dispatcher:
    """Drives one destination. Its trouble is its own: other destinations and all polling go on.

    Nothing is sent while the store cannot record that it was accepted, and a position moves only when it was.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        store: Store,
        reader: BatchReader,
        limits: BatchLimits,
        senses: Senses,
    ) -> None:
        self._name = name
        self._sink = sink
        self._store = store
        self._reader = reader
        self._limits = limits
        self._clock, self._metrics, self._health = senses.clock, senses.metrics, senses.health
        self._gate = Gate(senses.clock, senses.rng)
        self._component = Component.of_destination(name)
        self._positions: dict[int, int] = {}
        self._streak = Streak()
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """Ask :meth:`run` to return once nothing waits, or at once when the destination is down."""
        self._draining.set()

    async def run(self, accounts: Mapping[int, str]) -> None:
        """Deliver until drained. ``accounts`` names the accounts by id and may grow."""
        self._health.expect(self._component)
        self._positions = await self._store.positions(self._name)
        carried: InFlight | None = None
        seen = -1
        async with self._sink:
            while True:
                if not self._draining.is_set():
                    await self._either(self._gate.wait(), self._draining.wait())
                if self._gate.is_closed:
                    return
                inflight = carried or await self._next(accounts)
                if inflight is not None:
                    carried = await self._deliver(inflight)
                elif self._draining.is_set():
                    return
                else:
                    news = await self._either(self._store.wait_for_events(seen), self._draining.wait())
                    seen = seen if news is None else news

    @staticmethod
    async def _either(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, Any]) -> T | None:
        """Wait for whichever ends sooner; return what the first one returned, None when it did not end."""
        async with asyncio.TaskGroup() as group:
            waits = (group.create_task(first), group.create_task(second))
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        return None if waits[0].cancelled() else waits[0].result()

    async def _next(self, accounts: Mapping[int, str]) -> InFlight | None:
        """Read until there is a batch or nothing waits; what could not be read is asked for again."""
        while True:
            await self._linger()
            try:
                return await self._reader.next(self._positions, dict(accounts))
            except StoreCorrupt:
                raise
            except StoreUnavailable as error:
                logger.warning("outbox_unreadable", destination=self._name, reason=str(error))
                await self._clock.sleep(_STORE_RETRY_SECS)
            except Exception as defect:
                # A defect in one format must not end the daemon.
                logger.exception("batch_defect", destination=self._name)
                trouble = TransientError(f"a defect in mcwatch made no batch ({type(defect).__name__})")
                self._conclude(trouble, requests=1, progress=False)
                await self._either(self._gate.wait(), self._draining.wait())
            if self._draining.is_set():
                return None

    async def _linger(self) -> None:
        """Give a batch that is not full the time it may take to fill up."""
        if not self._limits.linger_secs or self._draining.is_set():
            return
        deadline = self._clock.monotonic() + self._limits.linger_secs
        while 0 < self._reader.waiting(self._positions) < self._limits.max_events:
            left = deadline - self._clock.monotonic()
            if left <= 0 or self._draining.is_set():
                return
            await self._clock.sleep(min(left, 0.05))

    async def _deliver(self, inflight: InFlight) -> InFlight | None:
        """Make one attempt; return the batch when part of it is accepted and the rest must be sent again alone.

        A batch of which nothing was accepted is given back to be read again, with what has come since. So are events
        refused without a witness: they need others beside them.
        """
        started = self._clock.monotonic()
        delivery = Delivery(self._sink, inflight, self._streak)
        error = None if inflight.is_done else await self._attempt(delivery)
        settlement = await self._settle(inflight)
        if error is None and not inflight.is_done:
            error = AskedAgainError("the receiver asked for some events again")
        self._conclude(error, requests=delivery.requests, progress=settlement is not None)
        if settlement is not None:
            self._report(settlement, delivery.requests, self._clock.monotonic() - started)
        unproven = isinstance(error, (MassRefusalError, UnprovenRefusalError))
        return None if inflight.is_done or unproven or not inflight.is_begun else inflight

    async def _attempt(self, delivery: Delivery) -> McwatchError | None:
        """Send; return what went wrong."""
        try:
            await delivery.run()
        except McwatchError as refused:
            return refused
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return TransientError("a library cancelled the delivery by itself")
        return None

    def _conclude(self, error: McwatchError | None, *, requests: int, progress: bool) -> None:
        """Set gate, health and count by how the attempt ended; nothing was attempted when there were no requests."""
        if not requests:
            return
        self._count("ok" if error is None else str(error.reason))
        if error is None or progress:
            self._gate.opened()
        if error is None:
            self._health.up(self._component)
            return
        delay = self._gate.failed(error)
        logger.debug("delivery_failed", destination=self._name, reason=str(error), next_in_secs=round(delay, 1))
        if isinstance(error, UnprovenRefusalError) or (progress and isinstance(error, AskedAgainError)):
            return
        self._health.failed(self._component, error)

    async def _settle(self, inflight: InFlight) -> Settlement | None:
        """Record how far the batch got, however long the store takes to be able to.

        Nothing further is sent meanwhile: what was accepted and not recorded would be sent again.
        """
        settlement = inflight.settlement()
        if settlement is None:
            return None
        waited = False
        while True:
            try:
                await self._store.settle(settlement)
                break
            except StoreCorrupt:
                raise
            except McwatchError as error:
                waited = True
                self._health.failed(self._component, error)
                await self._clock.sleep(_STORE_RETRY_SECS)
        if waited:
            self._health.up(self._component)
        inflight.settled()
        for step in settlement.progress:
            self._positions[step.account_id] = step.position
        for one in settlement.rejected:
            logger.error(
                "dead_letter", destination=self._name, event_id=one.event_id, reason=str(one.reason),
                remedy="see mcwatch dead-letters list",
            )  # fmt: skip
        self._observe_latency(inflight)
        return settlement

    def _observe_latency(self, inflight: InFlight) -> None:
        age = self._clock.now().timestamp() - inflight.oldest_observed_at
        self._metrics.delivery_latency_seconds.labels(self._name).observe(max(0.0, age))

    def _count(self, outcome: str) -> None:
        self._metrics.delivery_requests_total.labels(self._name, outcome).inc()

    def _report(self, settlement: Settlement, requests: int, secs: float) -> None:
        logger.info(
            "batch_delivered",
            destination=self._name,
            delivered=sum(step.delivered for step in settlement.progress),
            not_selected=sum(step.not_selected for step in settlement.progress),
            dead_letters=len(settlement.rejected),
            requests=requests,
            secs=round(secs, 3),
        )
