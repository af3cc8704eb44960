"""Start, run, stop: the tasks of a daemon in one group, the signals, the order of the end."""

import asyncio
import random
import signal
from collections.abc import Coroutine
from typing import Any

import structlog

from mcwatch import __version__
from mcwatch.app.wiring import Application
from mcwatch.domain.errors import StoreCorrupt

logger = structlog.get_logger(__name__)


class StopSignals:
    """SIGTERM and SIGINT ask for an orderly end; the second one ends the draining."""

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
        logger.info("started", version=__version__, sources=len(parts.pollers), destinations=len(parts.dispatchers))
        try:
            async with asyncio.TaskGroup() as group:
                others = [
                    group.create_task(_endless("backpressure", application.pressure.run())),
                    group.create_task(_endless("retention", application.retention.run())),
                ]
                delivering = [
                    group.create_task(dispatcher.run(parts.account_names), name=f"deliver {name}")
                    for name, dispatcher in parts.dispatchers.items()
                ]
                polling = [
                    group.create_task(_endless(name, poller.run(self._rng)), name=f"poll {name}")
                    for name, poller in parts.pollers.items()
                ]
                await self._until(signals.stop, delivering)
                await self._wind_down(polling, delivering, signals)
                _cancel(others)
        except* StoreCorrupt as group_error:
            error = group_error.exceptions[0]
            logger.critical("store_corrupt", reason=str(error))
            raise error from None
        logger.info("stopped")

    @staticmethod
    async def _until(stop: asyncio.Event, delivering: list["asyncio.Task[None]"]) -> None:
        """Wait for the call to stop; a dispatcher that ends before it is a defect."""
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(stop.wait())
            done, _ = await asyncio.wait([waiting, *delivering], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        if not stop.is_set() and any(task in done and task.exception() is None for task in delivering):
            raise RuntimeError("a destination's loop has ended by itself")

    async def _wind_down(
        self,
        polling: list["asyncio.Task[None]"],
        delivering: list["asyncio.Task[None]"],
        signals: StopSignals,
    ) -> None:
        """Stop polling, let the page in hand commit, deliver what is due until the time is over."""
        _cancel(polling)
        await asyncio.wait(polling)
        await self._application.store.ping()
        for dispatcher in self._application.parts.dispatchers.values():
            dispatcher.drain()
        async with asyncio.TaskGroup() as group:
            hurry = group.create_task(signals.hurry.wait())
            pending = {task for task in delivering if not task.done()}
            try:
                async with asyncio.timeout(self._drain_secs):
                    while pending and not hurry.done():
                        _, left = await asyncio.wait([hurry, *pending], return_when=asyncio.FIRST_COMPLETED)
                        pending &= left
            except TimeoutError:
                logger.warning("drain_timeout", secs=self._drain_secs, destinations=len(pending))
            hurry.cancel()
        _cancel(pending)


def _cancel(tasks: "list[asyncio.Task[None]] | set[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()


async def _endless(name: str, loop: Coroutine[Any, Any, None]) -> None:
    """Run a loop that must never return."""
    await loop
    raise RuntimeError(f"the loop {name} has ended by itself")
