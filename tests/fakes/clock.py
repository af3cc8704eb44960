"""A clock whose time passes only when a test says so, or when the code under test sleeps."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


class FakeClock:
    """Virtual time.

    ``sleep`` moves the time to where the sleep ends at once and yields to other tasks; ``sleeps`` keeps what was asked
    for. With ``manual=True`` a sleep ends only when :meth:`advance` has taken the time past its end.
    """

    def __init__(self, start: datetime = START, *, manual: bool = False) -> None:
        self._start = start
        self._elapsed = 0.0
        self._wall_offset = timedelta(0)
        self._manual = manual
        self._moved = asyncio.Event()
        self.sleeps: list[float] = []
        self.asleep = asyncio.Event()
        """Set by every sleep that begins; a test that waits for one clears it first."""

    def now(self) -> datetime:
        """Return the virtual wall clock."""
        return self._start + timedelta(seconds=self._elapsed) + self._wall_offset

    def monotonic(self) -> float:
        """Return the virtual seconds passed since the start."""
        return self._elapsed

    def advance(self, secs: float) -> None:
        """Let ``secs`` seconds pass and wake the sleeps that end by then."""
        self._elapsed += secs
        self._moved.set()
        self._moved = asyncio.Event()

    def jump(self, secs: float) -> None:
        """Set the wall clock forward (or back) without any time passing."""
        self._wall_offset += timedelta(seconds=secs)

    async def sleep(self, secs: float) -> None:
        """Wait in virtual time."""
        self.sleeps.append(secs)
        self.asleep.set()
        end = self._elapsed + max(0.0, secs)
        if not self._manual:
            await asyncio.sleep(0)
            if end > self._elapsed:
                self.advance(end - self._elapsed)
            return
        while self._elapsed < end:
            await self._moved.wait()
