"""The real time; the one place that asks the machine for it."""

import asyncio
import time
from datetime import UTC, datetime

from mcwatch.telemetry.liveness import resting


class SystemClock:
    """``interfaces.Clock`` on the machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on a clock that never jumps."""
        return time.monotonic()

    async def sleep(self, secs: float) -> None:
        """Wait ``secs`` seconds; whichever loop waits is known to rest so long."""
        with resting(secs=secs):
            await asyncio.sleep(secs)
