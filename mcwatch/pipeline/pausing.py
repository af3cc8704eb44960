"""When a dispatcher looks again: at something that happens, or at the earliest of the moments it has noted."""

import asyncio
from collections.abc import Callable

from mcwatch.interfaces import Clock
from mcwatch.pipeline.cancelling import either
from mcwatch.telemetry.liveness import resting


class NextLook:
    """The moment at which a loop looks again by itself, and why not before it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: float | None = None
        self._reason = ""

    def forget(self) -> None:
        """Note that the loop is looking now."""
        self._at = None

    def within(self, secs: float, reason: str) -> None:
        """Have it look again in ``secs`` at the latest."""
        at = self._clock.monotonic() + secs
        if self._at is None or at < self._at:
            self._at, self._reason = at, reason

    async def wait(self, news: asyncio.Event, idling: Callable[[], resting]) -> None:
        """Return at that moment or at ``news``, whichever is sooner; ``idling`` says what only news can end."""
        if self._at is None:
            with idling():
                await news.wait()
            return
        delay_secs = max(0.0, self._at - self._clock.monotonic())
        with resting(self._reason, delay_secs):
            await either(news.wait(), self._clock.sleep(delay_secs))


class Lingering:
    """How long a batch that is not full may still wait for more events."""

    def __init__(self, clock: Clock, linger_secs: float) -> None:
        self._clock = clock
        self._linger_secs = linger_secs
        self._since: float | None = None

    def left_secs(self, waiting: int, enough: int) -> float:
        """Return the seconds left; none once it is over, with nothing ``waiting``, or with ``enough`` events."""
        if not waiting or waiting >= enough:
            self._since = None
            return 0.0
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        left_secs = self._since + self._linger_secs - now
        if left_secs <= 0:
            self._since = None
        return max(left_secs, 0.0)
