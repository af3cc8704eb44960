"""The whole wired daemon in virtual time: one store, one receiver, many lives."""

import asyncio
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mcwatch.app.lifecycle import Runner, StopSignals
from mcwatch.app.wiring import Application
from mcwatch.domain.outbox import StoreSnapshot
from mcwatch.domain.status import StatusReport
from mcwatch.settings import Settings
from tests.virtual.clock import VirtualClock
from tests.virtual.loop import virtual_loop

_DRAIN_SECS = 20.0
_PRESSURE_SLOWER = 60.0
"""Backpressure looks once a second, a week has 604,800 of them, and nothing here ever fills the backlog."""


class _SlowClock(VirtualClock):
    """Sleeps longer than it is asked to."""

    async def sleep(self, secs: float) -> None:
        await super().sleep(secs * _PRESSURE_SLOWER)


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which something was so, in seconds since 1970."""

    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class _Running:
    application: Application
    signals: StopSignals
    task: "asyncio.Task[None]"
    began_at: float


class Daemon:
    """An installation of mcwatch: started, stopped, killed, started again.

    Args:
        folder: where the store lies.
        settings: makes the settings of a life.
        ended: told when a life has ended, in seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        clock: VirtualClock,
        settings: Callable[[], Settings],
        seed: str,
        ended: Callable[[float], None],
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._settings = settings
        self._seed = seed
        self._ended = ended
        self._running: _Running | None = None
        self.lives: list[Span] = []
        self.gap_secs = 0.0
        """Sum of ``finder_gap_seconds_total`` over the lives that have ended."""

    @property
    def running(self) -> bool:
        """Whether a life goes on."""
        return self._running is not None

    @property
    def application(self) -> Application:
        """The one that runs."""
        assert self._running is not None, "the daemon does not run"
        return self._running.application

    async def start(self) -> None:
        """Begin a life."""
        assert self._running is None, "the daemon runs already"
        rng = random.Random(f"{self._seed}|{len(self.lives)}")
        application = Application(self._settings(), clock=self._clock, rng=rng)
        # The loops of a life are driven by tasks; what they need is made ready before, as `mcwatch run` does it.
        await application.__aenter__()
        application.pressure._clock = _SlowClock(virtual_loop(), self._clock.true_now())
        signals = StopSignals()
        task = asyncio.create_task(Runner(application, rng, _DRAIN_SECS).run(signals))
        self._running = _Running(application, signals, task, self._clock.true_secs())

    async def run_for(self, secs: float) -> None:
        """Let time pass; raises what ends the daemon meanwhile."""
        if self._running is None:
            await asyncio.sleep(secs)
            return
        task = self._running.task
        await asyncio.wait([task], timeout=secs)
        if task.done():
            await task
            raise AssertionError("the daemon has ended by itself")

    async def stop(self) -> None:
        """End a life in order."""
        running = self._end()
        running.signals.stop.set()
        await running.task
        self._took_gap(running)
        await running.application.__aexit__(None, None, None)
        self._ended(self.lives[-1].ended_at)

    async def kill(self) -> None:
        """End a life as a crash does: the store is left as it is on the disk in this moment."""
        image = self._folder / "image"
        image.mkdir()
        for name in ("mcwatch.db", "mcwatch.db-wal"):
            # No thread is at work: they are waited for. So this is what a crash leaves.
            if (self._folder / name).exists():
                shutil.copy(self._folder / name, image / name)
        running = self._end()
        running.task.cancel()
        with suppress(asyncio.CancelledError):
            await running.task
        self._took_gap(running)
        await running.application.__aexit__(None, None, None)
        for path in self._folder.glob("mcwatch.db*"):
            if path.name in {"mcwatch.db", "mcwatch.db-wal", "mcwatch.db-shm"}:
                path.unlink()
        for path in image.iterdir():
            shutil.move(path, self._folder / path.name)
        image.rmdir()
        self._ended(self.lives[-1].ended_at)

    async def report(self) -> StatusReport:
        """Return what ``/status`` says."""
        return await self.application.report()

    async def snapshot(self) -> StoreSnapshot:
        """Return the stored figures."""
        return await self.application.store.snapshot()

    def total_gap_secs(self) -> float:
        """Return ``finder_gap_seconds_total`` over all lives."""
        return self.gap_secs + (_gap_secs(self._running.application) if self._running else 0.0)

    def ran(self) -> list[Span]:
        """Return all lives, the present one as if it ended now."""
        if self._running is None:
            return self.lives
        return [*self.lives, Span(self._running.began_at, self._clock.true_secs())]

    def _end(self) -> _Running:
        running = self._running
        assert running is not None, "the daemon does not run"
        self.lives.append(Span(running.began_at, self._clock.true_secs()))
        self._running = None
        return running

    def _took_gap(self, running: _Running) -> None:
        self.gap_secs += _gap_secs(running.application)


def _gap_secs(application: Application) -> float:
    samples = [sample for metric in application.metrics.finder_gap_seconds_total.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))
