"""The loops of the pipeline as the registry of liveness sees them: slow ones are well, and one that hangs is found."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import TransientError
from mcwatch.domain.outbox import Settlement
from mcwatch.domain.page import FeedProgress, Page
from mcwatch.domain.selection import Selection
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.quota import QuotaGate
from mcwatch.pipeline.batches import BatchLimits
from mcwatch.pipeline.inflight import InFlight, Segment
from mcwatch.pipeline.retention import Retention
from mcwatch.telemetry.liveness import ALLOWANCE_SECS, Liveness, resting, turns
from tests.fakes.clock import FakeClock
from tests.fakes.sink import FakeSink
from tests.fakes.source import FakeSource
from tests.unit.pipeline.lab import Lab, lab_at, page, row

pytestmark = pytest.mark.timeout(5)

HANGS_SECS = ALLOWANCE_SECS + 1
DAY_SECS = 86_400.0


class _Clock(FakeClock):
    """Virtual time whose sleeps are signs of life, as those of the system's clock."""

    async def sleep(self, secs: float) -> None:
        with resting(secs=secs):
            await super().sleep(secs)


class _Watched:
    """A lab with a registry of loops."""

    def __init__(self, lab: Lab, clock: _Clock) -> None:
        self.lab, self.clock = lab, clock
        self.liveness = Liveness(clock.monotonic)

    def stuck(self) -> list[tuple[str, str]]:
        """Return the loops that hang, with what they were doing."""
        return [(one.name, one.reason) for one in self.liveness.stuck(self.clock.monotonic())]

    def advance(self, secs: float) -> None:
        """Let time pass; nobody has noticed yet when this returns."""
        self.clock.advance(secs)

    async def turn(self, secs: float) -> None:
        """Let so much time pass that a sleep ends, and wait for the next one."""
        before = len(self.clock.sleeps)
        self.clock.advance(secs)
        await self.until(lambda: len(self.clock.sleeps) > before)

    async def rests(self, reason: str) -> None:
        """Wait until the oldest loop gives this as what it does."""
        await self.until(lambda: next(iter(self.liveness._loops)).reason == reason)

    @staticmethod
    async def until(condition: Callable[[], object]) -> None:
        """Let the loops go on until something is so; the store's threads are real, its answers come when they come."""
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self, name: str, loop: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Run a watched loop meanwhile."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.liveness.watched(name, loop))
            await asyncio.sleep(0)
            yield
            task.cancel()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[_Watched]:
    """Give a lab whose time passes when a test says so."""
    async with lab_at(tmp_path, manual=True) as lab:
        lab.clock = clock = _Clock(manual=True)
        yield _Watched(lab, clock)


class _Hanging(FakeSource):
    """A source whose poll never comes back."""

    hangs = False

    async def poll(self, progress: FeedProgress) -> AsyncIterator[Page]:
        async for one in super().poll(progress):
            yield one
        self.hangs = True
        await asyncio.Event().wait()


class _HangingSink(FakeSink):
    """A sink that takes a batch and never says what became of it."""

    async def deliver(self, batch: Batch) -> Verdicts:
        self.batches.append(batch)
        await asyncio.Event().wait()
        raise AssertionError


class _Acknowledgements:
    """Somebody who is asked and never answers."""

    timeout_secs = 300.0

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def confirmed(self, _receipts: Collection[bytes]) -> Collection[bytes]:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_poller_at_its_interval_is_well(watched: _Watched) -> None:
    """Polls an hour apart are no hang."""
    source = FakeSource("message_finder", interval_secs=3600.0)
    poller = watched.lab.poller(source, watched.lab.feed)
    async with watched.running("poll", partial(poller.run, random.Random(1))):
        for _ in range(60):
            await watched.rests("interval")
            watched.advance(240)
            assert [] == watched.stuck()
            await asyncio.sleep(0)
        assert 3 <= len(source.asked) <= 4


@pytest.mark.parametrize("pages", [0, 1])
async def test_a_poll_that_never_ends_is_found(watched: _Watched, pages: int) -> None:
    """A page before it counts as a sign of life; then silence is a hang."""
    source = _Hanging("message_finder", [page([row(1)])] * pages, interval_secs=1.0)
    poller = watched.lab.poller(source, watched.lab.feed)
    async with watched.running("poll acme/message_finder", partial(poller.run, random.Random(1))):
        await watched.rests("interval")
        watched.advance(1.0)
        await watched.until(lambda: source.hangs)
        watched.advance(ALLOWANCE_SECS)
        assert [] == watched.stuck()
        watched.advance(1)
        assert [("poll acme/message_finder", "poll")] == watched.stuck()


async def test_a_paused_poller_says_why_it_rests(watched: _Watched) -> None:
    """The reason for the next wait is the pause, not the interval."""
    pressure = watched.lab.pressure(1)
    await watched.lab.append(range(50))
    await pressure.refresh()
    poller = watched.lab.poller(FakeSource("message_finder", interval_secs=10.0), watched.lab.feed, pressure)
    async with watched.running("poll", partial(poller.run, random.Random(1))):
        await watched.turn(10.0)
        await watched.rests("paused: backlog")


async def test_a_dispatcher_without_events_is_well(watched: _Watched) -> None:
    """Nobody need send mail for weeks."""
    dispatcher = watched.lab.dispatcher(FakeSink())
    async with watched.running("deliver hook", partial(dispatcher.run, watched.lab.accounts)):
        await watched.rests("no event to send")
        watched.advance(30 * DAY_SECS)
        assert [] == watched.stuck()


async def test_a_dispatcher_in_backoff_is_well(watched: _Watched) -> None:
    """A destination that is down for days is tried again and again; that is turning."""
    sink = FakeSink()
    sink.outage = TransientError("down")
    await watched.lab.append(range(3))
    dispatcher = watched.lab.dispatcher(sink)
    async with watched.running("deliver hook", partial(dispatcher.run, watched.lab.accounts)):
        for _ in range(20):
            await watched.rests("backoff")
            assert [] == watched.stuck()
            await watched.turn(120)
    assert len(sink.batches) > 10


async def test_a_batch_that_never_ends_is_found(watched: _Watched) -> None:
    """It is named as a part of the destination's loop, after the time the slowest receiver may take."""
    sink = _HangingSink()
    await watched.lab.append(range(3))
    dispatcher = watched.lab.dispatcher(sink)
    async with watched.running("deliver hook", partial(dispatcher.run, watched.lab.accounts)):
        await watched.until(lambda: sink.batches)
        await watched.rests("batches under way")
        watched.advance(3600)
        assert [] == watched.stuck()
        watched.advance(1)
        assert [("deliver hook: batch", "delivery")] == watched.stuck()


async def test_a_settlement_that_never_ends_is_found(watched: _Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs in the loop itself is found after the usual allowance."""
    begun = asyncio.Event()

    async def hang(_settlement: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(watched.lab.store, "settle", hang)
    await watched.lab.append(range(3))
    dispatcher = watched.lab.dispatcher(FakeSink())
    async with watched.running("deliver hook", partial(dispatcher.run, watched.lab.accounts)):
        await begun.wait()
        watched.advance(HANGS_SECS)
        assert [("deliver hook", "delivery")] == watched.stuck()


async def test_a_long_backlog_of_which_nothing_is_selected_is_no_hang(
    watched: _Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every settlement of it counts, although nothing is sent for hours and the loop never comes to wait."""
    stuck: list[tuple[str, str]] = []
    settle = watched.lab.store.settle

    async def slow(settlement: Settlement) -> Collection[int]:
        watched.clock.advance(ALLOWANCE_SECS / 2)
        stuck.extend(watched.stuck())
        return await settle(settlement)

    monkeypatch.setattr(watched.lab.store, "settle", slow)
    await watched.lab.append(range(20))
    dispatcher = watched.lab.dispatcher(FakeSink(), BatchLimits(max_events=1), Selection(kinds=("queue.left",)))
    async with watched.running("deliver hook", partial(dispatcher.run, watched.lab.accounts)):
        await watched.until(lambda: watched.clock.monotonic() >= 10 * ALLOWANCE_SECS)
    assert [] == stuck


async def test_receipts_are_followed_beside_the_loop(watched: _Watched) -> None:
    """Without receipts nobody asks, for weeks; a question that is never answered is found by its own name."""
    acknowledgements = _Acknowledgements()
    sink = FakeSink(Verdicts(receipt=b"1"))
    sink.acknowledgements = acknowledgements
    dispatcher = watched.lab.dispatcher(sink)
    async with watched.running("deliver hook", partial(dispatcher.run, watched.lab.accounts)):
        await watched.rests("no event to send")
        await watched.until(lambda: len(watched.liveness._loops) == 2)
        watched.advance(30 * DAY_SECS)
        assert [] == watched.stuck()
        await watched.lab.append(range(3))
        await watched.rests("acknowledgements awaited")
        while not acknowledgements.asked.is_set():
            await watched.until(lambda: watched.clock.sleeps)
            watched.advance(1)
            await asyncio.sleep(0)
        watched.advance(HANGS_SECS)
        assert [("deliver hook: receipts", "acknowledgements")] == watched.stuck()


async def test_the_wait_for_a_replay_at_the_end_is_no_hang(watched: _Watched) -> None:
    """A destination that leaves waits for what goes beside the log, which is watched itself."""
    sink = _HangingSink()
    dispatcher = watched.lab.dispatcher(sink)
    batch = InFlight([Segment(0, 0, 1, range(1), 0.0)], Batch([b"{}"], [b"{}"], "application/json"))
    async with asyncio.TaskGroup() as group, watched.running("deliver", partial(dispatcher.run, watched.lab.accounts)):
        await watched.rests("no event to send")
        replay = group.create_task(dispatcher.outlet.attempt(batch))
        await watched.until(lambda: sink.batches)
        dispatcher.drain()
        await watched.until(lambda: not dispatcher.outlet.is_open)
        await asyncio.sleep(0)
        watched.advance(3600)
        assert [] == watched.stuck()
        watched.advance(1)
        assert [("deliver: batch", "delivery")] == watched.stuck()
        replay.cancel()


async def test_a_lost_wake_up_is_found(watched: _Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dispatcher that waits for batches under way when none is has missed something."""
    sink = FakeSink()
    await watched.lab.append(range(3))
    dispatcher = watched.lab.dispatcher(sink)
    lost = asyncio.Event()

    async def lose(_inflight: object) -> None:
        lost.set()

    monkeypatch.setattr(dispatcher, "_send", lose)
    async with watched.running("deliver hook", partial(dispatcher.run, watched.lab.accounts)):
        await lost.wait()
        await watched.rests("batches under way")
        watched.advance(HANGS_SECS)
        assert [("deliver hook", "batches under way")] == watched.stuck()


@pytest.mark.parametrize("loop", ["backpressure", "retention"])
async def test_the_other_loops_turn_and_are_found(
    watched: _Watched, monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    """They are well for hours, and hang when the store never answers them."""
    store = watched.lab.store
    run = watched.lab.pressure().run if loop == "backpressure" else Retention(store, watched.clock).run
    begun = asyncio.Event()

    async def never(*_args: object) -> bool:
        begun.set()
        return await asyncio.Event().wait()

    async with watched.running(loop, run):
        await watched.until(lambda: watched.clock.sleeps)
        for _ in range(20):
            await watched.turn(240)
            assert [] == watched.stuck()
        monkeypatch.setattr(store, "recover", never)
        monkeypatch.setattr(store, "expire", never)
        watched.advance(60)
        await begun.wait()
        watched.advance(HANGS_SECS)
        assert [(loop, {"backpressure": "figures", "retention": "expiry"}[loop])] == watched.stuck()


async def test_a_request_behind_a_closed_quota_is_well(watched: _Watched) -> None:
    """However long the API asks to wait, and whoever stands before it in the queue."""
    gate = QuotaGate(
        "acme",
        max_requests_per_minute=60,
        per_endpoint=True,
        clock=watched.clock,
        metrics=watched.lab.metrics,
        server_now=watched.clock.now,
    )
    gate.learn(Endpoint.TOKEN, {"Retry-After": "900"}, 429)
    served = []

    async def ask() -> None:
        turns("poll")
        await gate.turn(Endpoint.TOKEN)
        served.append(watched.clock.monotonic())

    async with watched.running("poll", ask):
        await watched.rests("quota")
        watched.advance(899)
        assert [] == watched.stuck()
        await asyncio.sleep(0)
        assert [] == served
        watched.advance(1)
        await watched.until(lambda: served)
        assert [900.0] == served
