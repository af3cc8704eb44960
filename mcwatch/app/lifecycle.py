"""Start, run, stop: the tasks of a daemon in one group, the signals, the order of the end."""

import asyncio
import random
import signal
from collections.abc import Mapping
from functools import partial

import structlog

from mcwatch import __version__
from mcwatch.app.crew import Crew, all_ended, endless
from mcwatch.app.reload import Reloader
from mcwatch.app.service_manager import ServiceManager
from mcwatch.app.wiring import Application, not_running
from mcwatch.domain.errors import StoreCorrupt
from mcwatch.pipeline.cancelling import leaves
from mcwatch.settings.environment import ServiceManagerAddress

logger = structlog.get_logger(__name__)


class StopSignals:
    """SIGTERM and SIGINT ask for an orderly end; the second one, whichever of the two, ends the waiting for it.

    SIGHUP asks for the configuration to be read again.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.reload = asyncio.Event()
        self._is_installed = False

    def install(self) -> None:
        """Take the signals of the process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        self._is_installed = True

    def hold_reloads(self) -> None:
        """Have SIGHUP do nothing any more: a loop that closes gives it back, and it would kill what is left."""
        if self._is_installed:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _stop(self, number: int) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()
        logger.info("signal_received", signal=signal.Signals(number).name)


class Runner:
    """Runs an application until it is told to stop."""

    def __init__(
        self,
        application: Application,
        rng: random.Random,
        drain_timeout_secs: float,
        address: ServiceManagerAddress | None = None,
    ) -> None:
        self._application = application
        self._service = ServiceManager(
            address,
            liveness=application.liveness,
            health=application.health,
            ping=application.store.ping,
            clock=application.clock,
        )
        self._rng = rng
        self._drain_secs = drain_timeout_secs

    async def run(self, signals: StopSignals) -> None:
        """Run until ``signals.stop``; raises StoreCorrupt when the store cannot be trusted any more."""
        application = self._application
        parts = application.parts
        service, clock = self._service, application.clock
        logger.info("started", version=__version__, sources=len(parts.pollers), destinations=len(parts.dispatchers))
        try:
            async with asyncio.TaskGroup() as group:
                crew = Crew(group, clock, self._rng, application.liveness, parts.account_names)
                reloader = Reloader(application, crew, group, signals.reload)
                application.reload = reloader.reload
                others = [
                    crew.begin("backpressure", application.pressure.run),
                    crew.begin("retention", application.retention.run),
                    # Who judges the loops is none of those that are judged.
                    group.create_task(endless("service manager", service.run, clock=clock)),
                    group.create_task(endless("reload", partial(reloader.run, service.reloading), clock=clock)),
                ]
                crew.deliver(parts.dispatchers)
                crew.poll(parts.pollers)
                service.ready()
                await signals.stop.wait()
                service.stopping()
                await self._wind_down(crew, reloader, signals.hurry)
                for task in others:
                    task.cancel()
                reloader.abandon()
        except* StoreCorrupt as errors:
            error = next(leaves(errors))
            logger.critical("store_corrupt", reason=str(error))
            raise error from None
        finally:
            application.reload = not_running
            signals.hold_reloads()
            service.close()
        logger.info("stopped")

    async def _wind_down(self, crew: Crew, reloader: Reloader, hurry: asyncio.Event) -> None:
        """End in order, within the drain time and until told to hurry: a hung disk holds up nothing beyond that."""
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(self._end_in_order(crew, reloader))
            hurried = group.create_task(hurry.wait())
            done, _ = await asyncio.wait(
                [ending, hurried], timeout=self._drain_secs, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                logger.warning(
                    "drain_timeout",
                    secs=self._drain_secs,
                    sources=_running(crew.polling),
                    destinations=_running(crew.delivering),
                )
            ending.cancel()
            hurried.cancel()
        for task in (*crew.polling.values(), *crew.delivering.values()):
            task.cancel()

    async def _end_in_order(self, crew: Crew, reloader: Reloader) -> None:
        """Let polling stop and the page in hand commit, deliver what is due."""
        await reloader.end()
        for task in crew.polling.values():
            task.cancel()
        await all_ended(crew.polling.values())
        await self._application.store.ping()
        crew.drain()
        await all_ended(crew.delivering.values())


def _running(tasks: Mapping[str, "asyncio.Task[None]"]) -> int:
    return sum(not task.done() for task in tasks.values())
