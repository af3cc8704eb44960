"""The gate in front of an API that tells its quota: it slows down before the limit, and keeps a reserve."""

import asyncio
import math
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.quota import Priority, QuotaGate
from tests.unit.mimecast.test_quota import FINDER, QUEUE, TOKEN, Bench

LOW = (Priority.CATCH_UP, Priority.RESCAN, Priority.BACKFILL)


class Window:
    """A quota of so many calls per fixed window, answered as headers with the reset in milliseconds."""

    def __init__(self, bench: Bench, limit: int, secs: float = 60.0) -> None:
        self.bench = bench
        self.limit = limit
        self.secs = secs
        self.used: dict[int, int] = {}
        self.refused = 0
        self.sent_at: list[tuple[float, Priority]] = []

    async def call(self, priority: Priority, endpoint: Endpoint = FINDER) -> float:
        """Make one call; returns when it was let through."""
        await self.bench.gate.turn(endpoint, priority)
        now = self.bench.clock.monotonic()
        number = int(now // self.secs)
        refused = self.used.get(number, 0) >= self.limit
        self.refused += refused
        self.used[number] = self.used.get(number, 0) + (not refused)
        self.sent_at.append((now, priority))
        headers = {
            "X-RateLimit-Limit": f"{self.limit}",
            "X-RateLimit-Remaining": f"{self.limit - self.used[number]}",
            "X-RateLimit-Reset": f"{math.ceil(((number + 1) * self.secs - now) * 1000)}",
        }
        self.bench.gate.learn(endpoint, headers, 429 if refused else 200)
        return now


async def test_the_last_fifth_is_spread_to_the_reset() -> None:
    """With 50 a minute the first 41 go as they come, and the rest come ever so far apart until the minute is over."""
    bench = Bench()
    window = Window(bench, 50)
    times = [await window.call(Priority.FRESH) for _ in range(60)]
    spread = [later - sooner for sooner, later in pairwise(times[40:50])]
    assert times[40] < 1.0
    assert min(spread) > 5.0
    assert times[49] < 60.0 <= times[50]
    assert 0 == window.refused


@pytest.mark.parametrize("priority", LOW)
async def test_who_can_wait_leaves_a_reserve(priority: Priority) -> None:
    """Catch-up, rescans and backfill stop at a tenth to a fifth of the limit, whatever they have to do."""
    bench = Bench()
    window = Window(bench, 100)
    for _ in range(150):
        await window.call(priority)
    reserve = {Priority.CATCH_UP: 9, Priority.RESCAN: 14, Priority.BACKFILL: 19}[priority]
    assert 100 - reserve == window.used[0]
    assert 0 == window.refused


@pytest.mark.parametrize("priority", LOW)
async def test_the_burst_is_left_to_the_urgent(priority: Priority) -> None:
    """At the configured ceiling, too, work that can wait keeps to the even flow, so that a snapshot goes at once."""
    bench = Bench(per_minute=120)
    for _ in range(300):
        await bench.gate.turn(FINDER, priority)
        assert 0.0 == bench.gate.wait_secs(QUEUE, Priority.QUEUE)
    assert bench.clock.monotonic() == pytest.approx(299 * 60 / 116, abs=1.0)


async def test_the_pace_holds_while_no_answer_comes() -> None:
    """Two requests let through without an answer in between are as far apart as any."""
    bench = Bench()
    headers = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "60000"}
    bench.gate.learn(FINDER, headers, 200)
    assert [10.0, 20.0] == [await bench.sent_at(), await bench.sent_at()]


async def test_a_token_waits_for_no_pace() -> None:
    """What everything else needs is not spaced, only stopped."""
    bench = Bench()
    headers = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "60000"}
    bench.gate.learn(QUEUE, headers, 200)
    assert [0.0, 20.0, 60.0] == [
        bench.gate.wait_secs(FINDER, priority) for priority in (Priority.TOKEN, Priority.QUEUE, Priority.CATCH_UP)
    ]


@settings(max_examples=25, deadline=None)
@given(
    limit=st.integers(10, 80),
    flow=st.lists(st.tuples(st.sampled_from(list(Priority)[1:]), st.floats(0, 3)), min_size=20, max_size=150),
)
def test_no_call_is_refused_and_no_snapshot_waits_for_the_reset(limit: int, flow: list[tuple[Priority, float]]) -> None:
    """Whatever mixture asks one after the other, the quota is never overrun."""

    async def drive() -> int:
        bench = Bench()
        window = Window(bench, limit)
        for priority, pause_secs in flow:
            await window.call(priority)
            await bench.clock.sleep(pause_secs)
        return window.refused

    assert 0 == asyncio.run(drive())


async def test_urgent_requests_pass_while_low_ones_use_all_they_may() -> None:
    """With a backfill that never rests, queue and fresh requests every few seconds still never wait for the reset."""
    bench = Bench(manual=True)
    window = Window(bench, 60)
    waited: list[float] = []

    async def backfill() -> None:
        while True:
            await window.call(Priority.BACKFILL)

    async def polls() -> None:
        for _ in range(20):
            asked = bench.clock.monotonic()
            waited.append(await window.call(Priority.QUEUE) - asked)
            await bench.clock.sleep(20.0)

    low = asyncio.create_task(backfill())
    urgent = asyncio.create_task(polls())
    await passing(bench, urgent)
    low.cancel()
    with pytest.raises(asyncio.CancelledError):
        await low
    assert max(waited) < 10.0
    assert 0 == window.refused
    assert sum(1 for _, priority in window.sent_at if priority is Priority.BACKFILL) > 150


async def test_nobody_waits_for_ever_behind_others() -> None:
    """Where fresh requests alone want more than the ceiling, a backfill still gets its turn after ten minutes."""
    bench = Bench(per_minute=6, manual=True)
    fresh = [asyncio.create_task(endless(bench.gate, Priority.FRESH)) for _ in range(3)]
    low = asyncio.create_task(bench.gate.turn(FINDER, Priority.BACKFILL))
    await passing(bench, low)
    assert 600.0 <= bench.clock.monotonic() <= 640.0
    for task in fresh:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_answer_that_tells_of_plenty_ends_the_wait_soon() -> None:
    """Who waits for a reset looks again every few seconds."""
    bench = Bench(manual=True)
    headers = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "900000"}
    bench.gate.learn(FINDER, headers, 200)
    low = asyncio.create_task(bench.gate.turn(FINDER, Priority.BACKFILL))
    await bench.clock.asleep.wait()
    bench.gate.learn(FINDER, {**headers, "X-RateLimit-Remaining": "90"}, 200)
    await passing(bench, low)
    assert bench.clock.monotonic() <= 6.0


async def test_nothing_is_let_through_while_the_scope_is_closed() -> None:
    """After a 429 not even a token passes before the time told; then they come in their order."""
    bench = Bench(manual=True)
    bench.gate.learn(FINDER, {"X-RateLimit-Reset": "30000"}, 429)
    tasks = [asyncio.create_task(bench.gate.turn(FINDER, priority)) for priority in Priority]
    for _ in range(29):
        await settle()
        bench.clock.advance(1.0)
    await settle()
    assert not any(task.done() for task in tasks)
    for task in tasks:
        await passing(bench, task)


@pytest.mark.parametrize(
    ("closed", "per_endpoint", "others"),
    [
        (TOKEN, True, {FINDER: 0.0, QUEUE: 0.0, Endpoint.INTERNAL_DOMAINS: 0.0}),
        (FINDER, True, {TOKEN: 0.0, QUEUE: 0.0, Endpoint.INTERNAL_DOMAINS: 0.0}),
        (QUEUE, False, {FINDER: 30.0, Endpoint.LOGIN: 30.0, Endpoint.INTERNAL_DOMAINS: 30.0}),
        (Endpoint.LOGIN, False, {FINDER: 30.0, QUEUE: 30.0}),
    ],
)
def test_scopes(closed: Endpoint, per_endpoint: bool, others: dict[Endpoint, float]) -> None:
    """API 2.0 counts per function, the token being one; API 1.0 counts the user's calls, logins among them."""
    bench = Bench(per_endpoint=per_endpoint)
    bench.gate.learn(closed, {"X-RateLimit-Reset": "30000"}, 429)
    assert 30.0 == bench.gate.wait_secs(closed, Priority.TOKEN)
    assert others == {endpoint: bench.gate.wait_secs(endpoint, Priority.TOKEN) for endpoint in others}


async def test_pressure_counts_what_goes_and_what_waits() -> None:
    """Requests let through and the time that queue and fresh requests waited are told; other waits are not."""
    bench = Bench(per_minute=6)
    for _ in range(30):
        await bench.gate.turn(FINDER, Priority.RESCAN)
    calm = bench.gate.pressure()
    assert 0.0 == calm.waited_share
    assert calm.sent_per_minute == pytest.approx(6.0, abs=0.3)
    for _ in range(60):
        await bench.gate.turn(QUEUE, Priority.QUEUE)
    busy = bench.gate.pressure()
    assert busy.over_secs >= 580.0
    assert busy.waited_share > 0.95
    assert busy.sent_per_minute == pytest.approx(6.0, abs=0.3)


async def endless(gate: QuotaGate, priority: Priority) -> None:
    """Ask for ever."""
    while True:
        await gate.turn(FINDER, priority)


async def passing(bench: Bench, task: asyncio.Task[None]) -> None:
    """Let time pass in small steps until the task has ended."""
    async for _ in moments():
        if task.done():
            break
        bench.clock.advance(0.25)
    await task


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(6):
        await asyncio.sleep(0)


async def moments() -> AsyncIterator[None]:
    """Yield again and again, with everything settled in between."""
    for _ in range(20_000):
        await settle()
        yield
