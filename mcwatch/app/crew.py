"""The loops of sources and destinations, each a task of the daemon's one group; single ones come and go at a reload."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

import structlog

from mcwatch.domain.errors import StoreCorrupt
from mcwatch.interfaces import Clock
from mcwatch.pipeline.cancelling import is_cancelled
from mcwatch.pipeline.dispatcher import Dispatcher
from mcwatch.pipeline.poller import Poller
from mcwatch.telemetry.liveness import Liveness

_RESTART_SECS = 1.0

logger = structlog.get_logger(__name__)


class Crew:
    """Starts and stops the loops of pollers and dispatchers."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        clock: Clock,
        rng: random.Random,
        liveness: Liveness,
        account_names: Mapping[int, str],
    ) -> None:
        self._group = group
        self._clock = clock
        self._rng = rng
        self._liveness = liveness
        self._account_names = account_names
        self._dispatchers: dict[str, Dispatcher] = {}
        self.polling: dict[str, asyncio.Task[None]] = {}
        """By ``account/source``."""
        self.delivering: dict[str, asyncio.Task[None]] = {}
        """By the destination's name."""

    def begin(self, name: str, loop: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        """Start a loop that never ends, watched for whether it turns."""
        watched = self._liveness.watched(name, partial(endless, name, loop, clock=self._clock))
        return self._group.create_task(watched, name=name)

    def poll(self, pollers: Mapping[str, Poller], soon_secs: float | None = None) -> None:
        """Start pollers, spread over their intervals when they are many; with ``soon_secs`` within that time."""
        for name, poller in pollers.items():
            self.polling[name] = self.begin(f"poll {name}", partial(poller.run, self._rng, len(pollers), soon_secs))

    def deliver(self, dispatchers: Mapping[str, Dispatcher]) -> None:
        """Start dispatchers."""
        for name, dispatcher in dispatchers.items():
            self._dispatchers[name] = dispatcher
            watched = self._liveness.watched(f"deliver {name}", partial(self._deliver, name, dispatcher))
            self.delivering[name] = self._group.create_task(watched, name=f"deliver {name}")

    async def stop_polling(self, names: Iterable[str]) -> None:
        """End those of these pollers that run; a page that is being committed commits."""
        tasks = [self.polling.pop(name) for name in names if name in self.polling]
        for task in tasks:
            task.cancel()
        await all_ended(tasks)

    async def stop_delivering(self, names: Iterable[str], patience_secs: float) -> None:
        """End dispatchers once what they have under way has ended; what takes longer than that is sent again later."""
        tasks = []
        for name in names:
            self._dispatchers.pop(name).leave()
            tasks.append(self.delivering.pop(name))
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=patience_secs)
        finally:
            for task in tasks:
                task.cancel()
        await all_ended(tasks)

    def drain(self) -> None:
        """Ask all dispatchers to deliver what is due and end."""
        for dispatcher in self._dispatchers.values():
            dispatcher.drain()

    async def _deliver(self, name: str, dispatcher: Dispatcher) -> None:
        """Run a dispatcher; one that ends before it is asked to is a defect, and named."""
        try:
            await dispatcher.run(self._account_names)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
        if not dispatcher.is_ending:
            raise RuntimeError(f"the loop of the destination {name} has ended by itself")


async def endless(name: str, loop: Callable[[], Awaitable[None]], *, clock: Clock) -> None:
    """Run a loop that must never end, and start it again when a defect ends it; only StoreCorrupt passes."""
    while True:
        try:
            await loop()
            logger.error("loop_defect", loop=name, reason="it has ended by itself")
        except StoreCorrupt:
            raise
        except Exception as defect:
            if isinstance(defect, ExceptionGroup) and (corrupt := defect.subgroup(StoreCorrupt)):
                raise corrupt from None
            logger.exception("loop_defect", loop=name)
        await clock.sleep(_RESTART_SECS)


async def all_ended(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Wait for tasks, however they end."""
    if waited := list(tasks):  # asyncio.wait refuses to wait for nothing
        await asyncio.wait(waited)
