"""Start, run, stop: the tasks of a daemon in one group, the signals, the order of the end."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from mcwatch import __version__
from mcwatch.app.wiring import Application
from mcwatch.domain.errors import StoreCorrupt
from mcwatch.interfaces import Clock
from mcwatch.pipeline.cancelling import leaves

_RESTART_SECS = 1.0

logger = structlog.get_logger(__name__)

Tasks = Mapping[str, "asyncio.Task[None]"]
"""Tasks by the name of the source or destination they drive."""


class StopSignals:
    """SIGTERM and SIGINT ask for an orderly end; the second one, whichever of the two, ends the waiting for it."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def install(self) -> None:
        """Take the signals of the process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _stop(self, number: int) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()
        logger.info("signal_received", signal=signal.Signals(number).name)

    @staticmethod
    def _hang_up() -> None:
        logger.warning("reload_not_supported", remedy="restart mcwatch to read a changed configuration")


class Runner:
    """Runs an application until it is told to stop."""

    def __init__(self, application: Application, rng: random.Random, drain_timeout_secs: float) -> None:
        self._application = application
        self._rng = rng
        self._drain_secs = drain_timeout_secs

    async def run(self, signals: StopSignals) -> None:
        """Run until ``signals.stop``; raises StoreCorrupt when the store cannot be trusted any more."""
        application = self._application
        parts = application.parts
        belt = partial(endless, clock=application.clock)
        logger.info("started", version=__version__, sources=len(parts.pollers), destinations=len(parts.dispatchers))
        try:
            async with asyncio.TaskGroup() as group:
                others = [
                    group.create_task(belt("backpressure", application.pressure.run)),
                    group.create_task(belt("retention", application.retention.run)),
                ]
                delivering = {
                    name: group.create_task(dispatcher.run(parts.account_names), name=f"deliver {name}")
                    for name, dispatcher in parts.dispatchers.items()
                }
                polling = {
                    name: group.create_task(
                        belt(name, partial(poller.run, self._rng, len(parts.pollers))), name=f"poll {name}"
                    )
                    for name, poller in parts.pollers.items()
                }
                await self._until(signals.stop, delivering)
                await self._wind_down(polling, delivering, signals.hurry)
                for task in others:
                    task.cancel()
        except* StoreCorrupt as errors:
            error = next(leaves(errors))
            logger.critical("store_corrupt", reason=str(error))
            raise error from None
        logger.info("stopped")

    @staticmethod
    async def _until(stop: asyncio.Event, delivering: Tasks) -> None:
        """Wait for the call to stop; a dispatcher that ends before it is a defect, and named."""
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(stop.wait())
            await asyncio.wait([waiting, *delivering.values()], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        if stop.is_set():
            return
        for name, task in delivering.items():
            # One that ended with an error ends the group by itself.
            if task.done() and (task.cancelled() or task.exception() is None):
                raise RuntimeError(f"the loop of the destination {name} has ended by itself")

    async def _wind_down(self, polling: Tasks, delivering: Tasks, hurry: asyncio.Event) -> None:
        """End in order, within the drain time and until told to hurry: a hung disk holds up nothing beyond that."""
        for task in polling.values():
            task.cancel()
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(self._end_in_order(polling, delivering))
            hurried = group.create_task(hurry.wait())
            done, _ = await asyncio.wait(
                [ending, hurried], timeout=self._drain_secs, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                logger.warning(
                    "drain_timeout", secs=self._drain_secs, sources=_running(polling), destinations=_running(delivering)
                )
            ending.cancel()
            hurried.cancel()
        for task in delivering.values():
            task.cancel()

    async def _end_in_order(self, polling: Tasks, delivering: Tasks) -> None:
        """Let polling stop and the page in hand commit, deliver what is due."""
        await _all_ended(polling)
        await self._application.store.ping()
        for dispatcher in self._application.parts.dispatchers.values():
            dispatcher.drain()
        await _all_ended(delivering)


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


async def _all_ended(tasks: Tasks) -> None:
    if tasks:  # asyncio.wait refuses to wait for nothing
        await asyncio.wait(tasks.values())


def _running(tasks: Tasks) -> int:
    return sum(not task.done() for task in tasks.values())
