"""How a daemon runs and ends."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from structlog.testing import capture_logs

from mcwatch.app.crew import endless
from mcwatch.app.lifecycle import Runner, StopSignals
from mcwatch.app.wiring import Application
from mcwatch.domain.errors import StoreCorrupt
from tests.fakes.clock import FakeClock
from tests.unit.app.settings import settings

if TYPE_CHECKING:
    from mcwatch.pipeline.dispatcher import Dispatcher
    from mcwatch.pipeline.poller import Poller

_LONG_SECS = 600.0


class _Destination:
    """A destination's loop that ends when drained, and otherwise as told."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.drained = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.error: BaseException | None = None
        self.was_cancelled = False
        self.is_ending = False

    async def run(self, _accounts: Mapping[int, str]) -> None:
        self.begun.set()
        if self.error:
            raise self.error
        try:
            await self.drained.wait()
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise

    def drain(self) -> None:
        self.is_ending = True
        self.drained.set()


class _Source:
    """A source's loop."""

    async def run(self, _draw: random.Random, _pollers: int, _soon_secs: float | None) -> None:
        await asyncio.Event().wait()


class _Lab:
    """A daemon that was never opened, with loops of ours and a store that answers when told."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.application = Application(settings(place), clock=FakeClock(), rng=random.Random(1))
        self.destination = _Destination()
        self.application.parts.dispatchers["out"] = cast("Dispatcher", self.destination)
        self.store_answers = asyncio.Event()
        self.store_answers.set()
        self.pinged = asyncio.Event()
        self.signals = StopSignals()
        monkeypatch.setattr(self.application.store, "ping", self._ping)
        for part in (self.application.pressure, self.application.retention):
            monkeypatch.setattr(part, "run", asyncio.Event().wait)

    async def _ping(self) -> None:
        self.pinged.set()
        await self.store_answers.wait()

    def poll(self) -> None:
        self.application.parts.pollers["acme/queue"] = cast("Poller", _Source())

    async def run(self, drain_secs: float = _LONG_SECS) -> None:
        await Runner(self.application, random.Random(1), drain_secs).run(self.signals)


@pytest.fixture
async def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Lab]:
    """Give a daemon, and two seconds for whatever it is put through."""
    async with asyncio.timeout(2):
        yield _Lab(tmp_path, monkeypatch)


@pytest.mark.parametrize("polling", [True, False])
async def test_ends_in_order(lab: _Lab, polling: bool) -> None:
    """Also without any source: the store has answered before the destinations drain, and nothing is cut short."""
    if polling:
        lab.poll()
    lab.signals.stop.set()
    with capture_logs() as logs:
        await lab.run()
    assert (True, True, False) == (lab.pinged.is_set(), lab.destination.drained.is_set(), lab.destination.was_cancelled)
    assert ["started", "stopped"] == [line["event"] for line in logs]


async def test_a_store_that_does_not_answer_is_given_the_drain_time(lab: _Lab) -> None:
    """A hung disk keeps the daemon no longer than the time to drain."""
    lab.poll()
    lab.store_answers.clear()
    lab.signals.stop.set()
    with capture_logs() as logs:
        await lab.run(0.01)
    (line,) = [line for line in logs if line["event"] == "drain_timeout"]
    assert (0, 1) == (line["sources"], line["destinations"])
    assert lab.destination.was_cancelled


@pytest.mark.parametrize("polling", [True, False])
async def test_no_time_to_drain_ends_all_loops(lab: _Lab, polling: bool) -> None:
    """With a drain time of zero every loop is ended at once."""
    if polling:
        lab.poll()
    lab.destination.may_end.clear()
    lab.signals.stop.set()
    await lab.run(0.0)
    assert lab.destination.was_cancelled


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)])
async def test_a_second_signal_of_either_kind_ends_the_waiting(lab: _Lab, numbers: tuple[int, int]) -> None:
    """Also while the store does not answer."""
    lab.poll()
    lab.store_answers.clear()
    lab.signals.install()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(lab.run())
            await lab.destination.begun.wait()
            os.kill(os.getpid(), numbers[0])
            await lab.pinged.wait()
            os.kill(os.getpid(), numbers[1])
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)
    assert lab.destination.was_cancelled


@pytest.mark.parametrize("error", [None, asyncio.CancelledError()])
async def test_a_destination_whose_loop_ends_is_named(lab: _Lab, error: BaseException | None) -> None:
    """A loop that returns or is cancelled by itself is a defect that says whose it was."""
    lab.destination.error = error
    lab.destination.drained.set()
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="the destination out has ended")):
        await lab.run()


@pytest.mark.parametrize("error", [StoreCorrupt("torn"), ExceptionGroup("inner", [StoreCorrupt("torn")])])
async def test_a_corrupt_store_ends_the_daemon_by_its_own_error(lab: _Lab, error: Exception) -> None:
    """However deep in groups it was raised, the command line gets the error itself."""
    lab.destination.error = error
    with capture_logs() as logs, pytest.raises(StoreCorrupt, match="torn"):
        await lab.run()
    assert {"event": "store_corrupt", "reason": "torn", "log_level": "critical"} in logs


async def test_a_defect_starts_the_loop_again() -> None:
    """Each defect is logged once with its loop, and a second later the loop begins anew."""
    clock, ends = FakeClock(), list[Any]([KeyError("oops"), None, StoreCorrupt("torn")])

    async def loop() -> None:
        end = ends.pop(0)
        if end:
            raise end

    with capture_logs() as logs, pytest.raises(StoreCorrupt):
        await endless("retention", loop, clock=clock)
    assert [("loop_defect", "retention")] * 2 == [(line["event"], line["loop"]) for line in logs]
    assert [1.0, 1.0] == clock.sleeps


async def test_a_corrupt_store_passes_also_in_a_group() -> None:
    """StoreCorrupt among the errors of a loop's own task group ends it."""

    async def loop() -> None:
        raise ExceptionGroup("inner", [ValueError(), StoreCorrupt("torn")])

    with pytest.RaisesGroup(StoreCorrupt):
        await endless("backpressure", loop, clock=FakeClock())
