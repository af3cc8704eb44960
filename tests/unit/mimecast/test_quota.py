"""The gate in virtual time."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.quota import Priority, QuotaGate
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock

FINDER, QUEUE, TOKEN = Endpoint.MESSAGE_FINDER, Endpoint.PROCESSING_QUEUE, Endpoint.TOKEN


class Bench:
    """A gate with its clock and metrics."""

    def __init__(self, *, per_minute: int = 6000, per_endpoint: bool = False, manual: bool = False) -> None:
        self.clock = FakeClock(manual=manual)
        self.metrics = Metrics(CollectorRegistry())
        self.gate = QuotaGate(
            "acme",
            max_requests_per_minute=per_minute,
            per_endpoint=per_endpoint,
            clock=self.clock,
            metrics=self.metrics,
            server_now=self.clock.now,
        )

    def sample(self, name: str, **labels: str) -> float | None:
        """Return a metric of the account."""
        return self.metrics.registry.get_sample_value(f"mcwatch_{name}", {"account": "acme", **labels})

    async def sent_at(self, endpoint: Endpoint = FINDER) -> float:
        """Take a turn and return when it came."""
        await self.gate.turn(endpoint)
        return self.clock.monotonic()


@settings(max_examples=30)
@given(per_minute=st.integers(1, 200))
def test_no_minute_sees_more_than_the_ceiling(per_minute: int) -> None:
    """Sending as fast as the gate lets us never exceeds the ceiling in any 60 s, and comes near it."""

    async def send() -> list[float]:
        bench = Bench(per_minute=per_minute)
        return [await bench.sent_at() for _ in range(2 * per_minute + 5)]

    times = asyncio.run(send())
    for index, start in enumerate(times):
        assert sum(1 for time in times[index:] if time < start + 60 - 1e-6) <= per_minute
    assert times[-1] <= 60 * len(times) / (per_minute * 0.95)


async def test_pacing_is_smooth_after_a_small_burst() -> None:
    """With 120 a minute five may go at once, then one about every half second."""
    bench = Bench(per_minute=120)
    times = [await bench.sent_at() for _ in range(8)]
    assert [0.0] * 5 == times[:5]
    assert [0.52, 0.52] == [round(later - sooner, 2) for sooner, later in pairwise(times[5:])]


@pytest.mark.parametrize(
    ("status", "headers", "waited"),
    [
        (429, {"X-RateLimit-Reset": "30000"}, 30.0),
        (429, {"Retry-After": "45"}, 45.0),
        (429, {"X-RateLimit-Reset": "30000", "Retry-After": "45"}, 45.0),
        (429, {}, 60.0),
        (429, {"X-RateLimit-Reset": "nonsense"}, 60.0),
        (429, {"X-RateLimit-Reset": "-5"}, 60.0),
        (429, {"X-RateLimit-Reset": "0"}, 1.0),
        (429, {"X-RateLimit-Reset": "1767605430"}, 31.0),  # epoch seconds, cut off
        (429, {"X-RateLimit-Reset": "1767605430000"}, 30.0),  # epoch milliseconds
        (429, {"X-RateLimit-Reset": "1767605300"}, 1.0),  # past
        (429, {"X-RateLimit-Reset": "1e300"}, 900.0),
        (429, {"Retry-After": "Mon, 05 Jan 2026 09:30:20 GMT"}, 20.0),
        (200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "20000"}, 20.0),
        (200, {"X-RateLimit-Remaining": "0"}, 60.0),
        (200, {"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "20000"}, 0.0),
        (200, {}, 0.0),
        (503, {"Retry-After": "12"}, 12.0),
        (503, {}, 0.0),
        (500, {"Retry-After": "12"}, 0.0),
    ],
)
async def test_what_closes_the_gate(status: int, headers: Mapping[str, str], waited: float) -> None:
    """A refusal or a used-up quota stops everything until the time told, or a minute where none is told."""
    bench = Bench()
    bench.gate.learn(FINDER, headers, status)
    assert waited == pytest.approx(await bench.sent_at(QUEUE), abs=0.02)
    assert waited == pytest.approx(sum(bench.clock.sleeps), abs=0.02)


async def test_refusals_without_a_time_make_longer_pauses() -> None:
    """One 429 after the other without a time doubles the pause up to 15 min; any other answer ends that."""
    bench = Bench()
    pauses = [bench.gate.learn(FINDER, {}, 429) for _ in range(6)]
    assert [60.0, 120.0, 240.0, 480.0, 900.0, 900.0] == pauses
    bench.gate.learn(FINDER, {}, 200)
    assert 60.0 == bench.gate.learn(FINDER, {}, 429)


async def test_a_shorter_time_does_not_open_a_closed_gate() -> None:
    """A late answer with a short time does not undo a long pause."""
    bench = Bench()
    bench.gate.learn(FINDER, {"Retry-After": "100"}, 429)
    bench.gate.learn(FINDER, {"Retry-After": "5"}, 429)
    assert 100.0 <= await bench.sent_at()


async def test_scopes_of_api_2_are_the_endpoints() -> None:
    """With per-endpoint quotas a closed finder does not stop the queue."""
    bench = Bench(per_endpoint=True)
    bench.gate.learn(FINDER, {"Retry-After": "100"}, 429)
    assert 0.0 == await bench.sent_at(QUEUE)
    assert 100.0 <= await bench.sent_at(FINDER)


async def test_waiting_requests_are_served_by_priority() -> None:
    """Among those that wait the most urgent goes first, whenever it came."""
    bench = Bench(per_minute=10)
    served: list[Priority] = []

    async def ask(priority: Priority) -> None:
        await bench.gate.turn(FINDER, priority)
        served.append(priority)

    bench.gate.learn(FINDER, {"Retry-After": "60"}, 429)
    async with asyncio.TaskGroup() as group:
        for priority in reversed(Priority):
            group.create_task(ask(priority))
    assert list(Priority) == served


async def test_a_closed_urgent_request_holds_up_nobody() -> None:
    """A more urgent request whose own quota is closed does not stop one whose quota is open."""
    bench = Bench(per_endpoint=True, manual=True)
    bench.gate.learn(QUEUE, {"Retry-After": "100"}, 429)
    urgent = asyncio.create_task(bench.gate.turn(QUEUE, Priority.QUEUE))
    await bench.clock.asleep.wait()
    await bench.gate.turn(FINDER, Priority.BACKFILL)
    assert not urgent.done()
    urgent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await urgent


async def test_a_cancelled_wait_leaves_no_trace() -> None:
    """Who gives up waiting takes no turn and blocks nobody."""
    bench = Bench(manual=True)
    bench.gate.learn(FINDER, {"Retry-After": "100"}, 429)
    waiting = asyncio.create_task(bench.gate.turn(FINDER, Priority.TOKEN))
    await bench.clock.asleep.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    bench.clock.advance(101)
    await bench.gate.turn(FINDER, Priority.BACKFILL)
    assert [100.0] == bench.clock.sleeps


async def test_metrics_and_report() -> None:
    """Figures told by the API and the time waited show as metrics and in the report."""
    bench = Bench()
    headers = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30000"}
    bench.gate.learn(FINDER, headers, 200)
    seen = bench.gate.seen(FINDER)
    assert (50, 0, 30.0) == (seen.limit, seen.remaining, seen.closed_for_secs)
    await bench.gate.turn(FINDER)
    assert 50 == bench.sample("api_quota_limit", endpoint="message_finder")
    assert 0 == bench.sample("api_quota_remaining", endpoint="message_finder")
    assert bench.sample("api_throttled_seconds_total") == pytest.approx(30.0, abs=0.02)
    assert (None, None) == (bench.gate.seen(TOKEN).limit, bench.gate.seen(TOKEN).remaining)


async def test_a_pause_moves_with_the_account() -> None:
    """Whoever takes the account over keeps to the pause that the last holder was asked for, less what has passed."""
    ours, theirs = Bench(per_endpoint=True), Bench(per_endpoint=True)
    ours.gate.learn(FINDER, {"Retry-After": "120"}, 429)
    ours.clock.advance(20)
    budget = ours.gate.budget()
    assert {"message_finder": 100.0} == budget
    theirs.gate.go_on_from(budget)
    assert 100.0 == theirs.gate.wait_secs(FINDER, Priority.FRESH)
    assert 0.0 == theirs.gate.wait_secs(QUEUE, Priority.FRESH)


async def test_a_pause_of_the_whole_account_moves_too() -> None:
    """Where one quota holds for all endpoints, so does the pause after the take-over."""
    ours, theirs = Bench(), Bench()
    ours.gate.learn(FINDER, {"Retry-After": "60"}, 429)
    theirs.gate.go_on_from(ours.gate.budget())
    assert 60.0 == theirs.gate.wait_secs(QUEUE, Priority.FRESH)


async def test_two_holders_in_a_row_keep_to_the_ceiling_together() -> None:
    """Requests that the last holder has made count for the next one."""
    ours, theirs = Bench(per_minute=20, manual=True), Bench(per_minute=20, manual=True)
    assert {} == ours.gate.budget()
    await ours.gate.turn(FINDER)
    spent = ours.gate.budget()
    assert 3.0 == pytest.approx(spent["ceiling"], rel=0.1)
    assert 0.0 == theirs.gate.wait_secs(FINDER, Priority.FRESH)
    theirs.gate.go_on_from(spent)
    assert spent["ceiling"] == pytest.approx(theirs.gate.wait_secs(FINDER, Priority.FRESH))


async def test_a_budget_of_an_unknown_hand_closes_nothing_for_ever() -> None:
    """Names that are not known are passed over, and no pause is longer than a server may ask for."""
    bench = Bench()
    bench.gate.go_on_from({"something": 5.0, "message_finder": 1e9, "ceiling": 1e9})
    assert bench.gate.wait_secs(FINDER, Priority.FRESH) <= 900.0
