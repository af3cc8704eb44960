"""The gate before a destination."""

import random

import pytest

from mcwatch.domain.errors import AuthError, McwatchError, MisconfiguredError, ThrottledError, TransientError
from mcwatch.pipeline.gate import Gate
from tests.fakes.clock import FakeClock


class _EarlyClock(FakeClock):
    """A clock whose first sleep ends a moment early, as uvloop's timers do."""

    async def sleep(self, secs: float) -> None:
        early = 0.0005 if len(self.sleeps) == 0 else 0.0
        await super().sleep(secs - early)


def _gate(clock: FakeClock | None = None) -> Gate:
    return Gate(clock or FakeClock(), random.Random(7))


async def test_open_gate_lets_pass() -> None:
    """Before any failure nobody waits."""
    clock = FakeClock()
    gate = _gate(clock)
    await gate.wait()
    assert [] == clock.sleeps
    assert not gate.is_closed


@pytest.mark.parametrize("failures", [1, 2, 5, 7, 50])
def test_jitter_keeps_to_its_bounds(failures: int) -> None:
    """After the n-th passing failure the wait lies between 0 and min(60, 2**(n-1)) s and is not always the same."""
    delays = []
    for seed in range(30):
        gate = Gate(FakeClock(), random.Random(seed))
        for _ in range(failures - 1):
            gate.failed(TransientError("no"))
        delays.append(gate.failed(TransientError("no")))
    bound = min(60.0, 2.0 ** (failures - 1))
    assert all(0 <= delay <= bound for delay in delays)
    assert max(delays) > bound / 2
    assert min(delays) < bound / 2


async def test_retry_after_is_honoured() -> None:
    """Where the other side named a time, no attempt is made before it, however small the jitter."""
    clock = FakeClock()
    gate = _gate(clock)
    assert 42.0 == gate.failed(ThrottledError("slow down", retry_after_secs=42.0))
    assert gate.is_closed
    await gate.wait()
    assert 42.0 == clock.monotonic()
    assert not gate.is_closed


def test_throttling_without_a_time_is_passing_trouble() -> None:
    """Without a time named the usual jitter holds."""
    assert 0 <= _gate().failed(ThrottledError("slow down")) <= 1.0


@pytest.mark.parametrize("error", [AuthError("no"), MisconfiguredError("no")])
def test_refusal_is_probed_slowly(error: McwatchError) -> None:
    """What needs the operator is tried after 30 s, doubling to 5 min, spread by a tenth."""
    gate = _gate()
    delays = [gate.failed(error) for _ in range(6)]
    for delay, usual in zip(delays, (30, 60, 120, 240, 300, 300), strict=True):
        assert 0.9 * usual <= delay <= 1.1 * usual


def test_success_opens_and_forgets() -> None:
    """After a success the next failure counts as the first."""
    gate = _gate()
    for _ in range(10):
        gate.failed(AuthError("no"))
    gate.opened()
    assert not gate.is_closed
    assert gate.failed(AuthError("no")) <= 33


async def test_timer_that_ends_early_is_waited_for() -> None:
    """When the wait is over the gate is open, even where a timer ends a moment too soon."""
    gate = _gate(clock := _EarlyClock())
    gate.failed(ThrottledError("slow down", retry_after_secs=10.0))
    await gate.wait()
    assert not gate.is_closed
    assert 2 == len(clock.sleeps)


def test_failures_side_by_side_count_once() -> None:
    """Attempts that began together and fail together close the gate as one failure; the longest wait holds."""
    clock = FakeClock()
    gate = _gate(clock)
    since = gate.failures_total
    gate.failed(ThrottledError("slow down", retry_after_secs=42.0), since)
    for _ in range(20):
        gate.failed(TransientError("no"), since)
    assert 42.0 == gate.opens_at
    assert 1 == gate.failures_total
    clock.advance(42.0)
    assert gate.failed(TransientError("no"), gate.failures_total) <= 2.0, "the second failure, not the 22nd"
