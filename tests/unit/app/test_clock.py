"""The machine's clocks."""

import asyncio
from functools import partial

from mcwatch.app.clock import SystemClock
from mcwatch.telemetry.liveness import ALLOWANCE_SECS, Liveness


async def test_whoever_sleeps_is_known_to_rest() -> None:
    """However long: a loop is judged by when it meant to wake."""
    clock = SystemClock()
    liveness = Liveness(clock.monotonic)
    async with asyncio.TaskGroup() as group:
        sleeper = group.create_task(liveness.watched("retention", partial(clock.sleep, 7200.0)))
        await asyncio.sleep(0)
        due_at = clock.monotonic() + 7200.0
        assert [] == liveness.stuck(due_at + ALLOWANCE_SECS - 1)
        assert ["retention"] == [one.name for one in liveness.stuck(due_at + ALLOWANCE_SECS + 1)]
        sleeper.cancel()
