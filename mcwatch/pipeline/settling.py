"""Recording how far the positions of a destination can move, with patience for the store."""

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

import structlog

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.domain.outbox import Settlement
from mcwatch.interfaces import Store
from mcwatch.pipeline.flights import Flights
from mcwatch.pipeline.letterbox import Letterbox
from mcwatch.pipeline.outlet import Attempt, Outlet

STORE_RETRY_SECS = 1.0

T = TypeVar("T")

logger = structlog.get_logger(__name__)


class Settler:
    """Writes the settlements of one destination, and tells of them.

    It waits for a store that cannot answer, and shows the destination as failing meanwhile. Nothing further is sent in
    that time: what was accepted and not recorded would be sent again.
    """

    def __init__(self, outlet: Outlet, store: Store, letterbox: Letterbox) -> None:
        self._outlet = outlet
        self._name = outlet.name
        self._store = store
        self._letterbox = letterbox
        self._clock = outlet.clock

    async def patiently(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask the store until it answers: a disk that is slow at the start must not end the daemon."""
        while True:
            try:
                return await question()
            except StoreUnavailable as error:
                self._outlet.health.failed(self._outlet.component, error)
            await self._clock.sleep(STORE_RETRY_SECS)

    async def settle(self, flights: Flights, attempt: Attempt | None = None) -> None:
        """Record how far positions can move; ``attempt`` is what has just ended."""
        settlement = flights.settlement()
        if settlement is None:
            return
        lost = await self.commit(settlement)
        oldest = flights.settled(settlement)
        flights.forget(lost)
        settlement = settlement.without(lost)
        self._letterbox.add(len(settlement.rejected))
        if oldest is not None:
            self._report(settlement, oldest, attempt)
        for one in settlement.rejected:
            logger.error(
                "dead_letter", destination=self._name, event_id=one.event_id, reason=str(one.reason),
                remedy="see mcwatch dead-letters list",
            )  # fmt: skip

    async def commit(self, settlement: Settlement) -> Collection[int]:
        """Write a settlement, however long the store takes to be able to; raises StoreCorrupt.

        Return the accounts of which nothing was written: somebody else delivers them, or has.
        """
        waited = False
        lost: Collection[int] = ()
        while True:
            try:
                lost = await self._store.settle(settlement)
                break
            except StoreCorrupt:
                raise
            except McwatchError as error:
                waited = True
                self._outlet.health.failed(self._outlet.component, error)
                await self._clock.sleep(STORE_RETRY_SECS)
        if waited:
            self._outlet.health.up(self._outlet.component)
        if lost:
            logger.warning("positions_moved_elsewhere", destination=self._name, accounts=len(lost))
        return lost

    def _report(self, settlement: Settlement, oldest: float, attempt: Attempt | None) -> None:
        age_secs = max(0.0, self._clock.now().timestamp() - oldest)
        self._outlet.metrics.delivery_latency_seconds.labels(self._name).observe(age_secs)
        if attempt is None and not any(step.delivered for step in settlement.progress):
            return
        logger.info(
            "batch_delivered",
            destination=self._name,
            delivered=sum(step.delivered for step in settlement.progress),
            not_selected=sum(step.not_selected for step in settlement.progress),
            dead_letters=len(settlement.rejected),
            **({"requests": attempt.requests, "secs": round(attempt.secs, 3)} if attempt else {}),
        )
