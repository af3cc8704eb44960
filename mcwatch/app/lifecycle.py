"""Start, run, stop: the tasks of a daemon in one group, the signals, the order of the end."""

import asyncio
import random
import signal
from collections.abc import Mapping
from functools import partial

import structlog

from mcwatch import __version__
from mcwatch.app.commanding import Commanding, CommandRows
from mcwatch.app.crew import Crew, all_ended, endless
from mcwatch.app.reload import Reloader
from mcwatch.app.service_manager import ServiceManager
from mcwatch.app.tenure import Tenure
from mcwatch.app.wiring import Application, not_running
from mcwatch.domain.errors import StoreCorrupt, StoreUnavailable
from mcwatch.pipeline.cancelling import leaves
from mcwatch.settings.environment import ServiceManagerAddress

_LEAVE_SECS = 5.0

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
        logger.info(
            "started", version=__version__, accounts=len(parts.settings.accounts), destinations=len(parts.dispatchers)
        )
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
                tenure = self._tenure(crew)
                if tenure:
                    others.append(crew.begin("lease", tenure.run))
                if application.store.commands:
                    others.append(crew.begin("commands", self._commanding(application.store.commands).run))
                crew.deliver(parts.dispatchers)
                crew.poll(parts.pollers)
                service.ready()
                await signals.stop.wait()
                service.stopping()
                await self._wind_down(crew, reloader, tenure, signals.hurry)
                for task in others:
                    task.cancel()
                reloader.abandon()
                await all_ended(others)
                await self._leave()
        except* StoreCorrupt as errors:
            error = next(leaves(errors))
            logger.critical("store_corrupt", reason=str(error))
            raise error from None
        finally:
            application.reload = not_running
            signals.hold_reloads()
            service.close()
        logger.info("stopped")

    async def _leave(self) -> None:
        """Let other replicas take over at once instead of when the leases lapse."""
        if leases := self._application.store.leases:
            try:
                async with asyncio.timeout(_LEAVE_SECS):
                    await leases.leave()
            except (StoreUnavailable, TimeoutError) as error:
                logger.warning(
                    "leases_not_given_up", reason=str(error) or "time-out", remedy="they lapse by themselves"
                )

    def _tenure(self, crew: Crew) -> Tenure | None:
        application, leases = self._application, self._application.store.leases
        if leases is None:
            return None
        tenure = Tenure(
            leases,
            application.parts,
            crew,
            application.own_report,
            clock=application.clock,
            metrics=application.metrics,
        )
        application.fleet = lambda: tenure.fleet
        return tenure

    def _commanding(self, rows: CommandRows) -> Commanding:
        application = self._application
        parts = application.parts
        return Commanding(
            rows,
            application.acting_routes,
            lambda: [part.account_id for part in parts.accounts.values() if part.account_id is not None],
            application.clock,
        )

    async def _wind_down(self, crew: Crew, reloader: Reloader, tenure: Tenure | None, hurry: asyncio.Event) -> None:
        """End in order, within the drain time and until told to hurry: a hung disk holds up nothing beyond that."""
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(self._end_in_order(crew, reloader, tenure))
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

    async def _end_in_order(self, crew: Crew, reloader: Reloader, tenure: Tenure | None) -> None:
        """Let polling stop and the page in hand commit, deliver what is due; then others may go on."""
        await reloader.end()
        if tenure:
            await tenure.end()
        for task in crew.polling.values():
            task.cancel()
        await all_ended(crew.polling.values())
        await self._application.store.ping()
        crew.drain()
        await all_ended(crew.delivering.values())


def _running(tasks: Mapping[str, "asyncio.Task[None]"]) -> int:
    return sum(not task.done() for task in tasks.values())
