"""The clocks of a run in virtual time: this machine's, which can be set wrong, and the right one."""

import asyncio
from datetime import datetime, timedelta

from tests.virtual.loop import VirtualLoop


class VirtualClock:
    """``interfaces.Clock`` on the loop's virtual time; its wall clock can be set, and may follow local changes."""

    def __init__(self, loop: VirtualLoop, start: datetime) -> None:
        self._loop = loop
        self._start = start
        self._wall_offset = timedelta(0)

    def now(self) -> datetime:
        """Return this machine's wall clock."""
        return self.true_now() + self._wall_offset

    def monotonic(self) -> float:
        """Return the virtual seconds passed."""
        return self._loop.time()

    async def sleep(self, secs: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(secs)

    def true_now(self) -> datetime:
        """Return the time that every clock set right shows."""
        return self._start + timedelta(seconds=self._loop.time())

    def true_secs(self) -> float:
        """Return the same in seconds since 1970: the simulator's clock."""
        return self._start.timestamp() + self._loop.time()

    def jump(self, secs: float) -> None:
        """Set this machine's wall clock forward, or back."""
        self._wall_offset += timedelta(seconds=secs)
