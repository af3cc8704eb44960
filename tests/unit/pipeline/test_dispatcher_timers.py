"""Timers that end a moment early, as those of uvloop do, which counts in milliseconds."""

import asyncio

import pytest

from mcwatch.domain.errors import TransientError
from tests.fakes.clock import FakeClock
from tests.unit.pipeline.lab import GoalSink, Lab


class EarlyClock(FakeClock):
    """A clock whose sleeps end a millisecond early, and that goes on while the code under test runs."""

    STEP_SECS = 0.0006

    def monotonic(self) -> float:
        """Let a moment pass at every look."""
        self._elapsed += self.STEP_SECS
        return self._elapsed

    async def sleep(self, secs: float) -> None:
        """Wait in virtual time, a millisecond less."""
        await super().sleep(max(0.0, secs - 0.001))


@pytest.mark.parametrize("step_secs", [0.0002, 0.0004, 0.0006, 0.0008, 0.001])
async def test_gate_that_opens_while_the_dispatcher_looks_is_seen(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, step_secs: float
) -> None:
    """A gate found closed by one look and open by the next leaves no dispatcher waiting for events that never come."""
    await lab.append(range(3))
    clock = EarlyClock()
    monkeypatch.setattr(EarlyClock, "STEP_SECS", step_secs)
    lab.clock = clock
    sink = GoalSink(TransientError("away"), TransientError("still away"), goal=3)
    async with asyncio.timeout(1.0):
        await lab.deliver_until_reached(lab.dispatcher(sink), sink)
    assert 3 == (await lab.figures()).delivered
