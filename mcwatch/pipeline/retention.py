"""The loop that removes what is past its time, a little at a time."""

from datetime import datetime, timedelta

import structlog

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.interfaces import Clock, Store
from mcwatch.telemetry.liveness import resting, turns

_EVERY_SECS = 60.0
_BREATH_SECS = 0.05
"""Between two pieces, so that pages and settlements that wait go first."""
_MOST_LEAD = timedelta(hours=1)
_BELIEVED_AFTER_SECS = 24 * 3600.0

logger = structlog.get_logger(__name__)


class SteadyTime:
    """The wall clock, as far as expiry may believe it.

    A clock that is set ahead by mistake for a minute would have everything removed that is kept for months, beyond
    recall. So a time that runs ahead of the time passed is believed only once it has held for a day.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._trust(clock.now())
        self._ahead_since: float | None = None

    def _trust(self, wall: datetime) -> None:
        self._wall, self._at = wall, self._clock.monotonic()
        self._ahead_since = None

    def now(self) -> datetime:
        """Return the time to expire by."""
        wall, passed = self._clock.now(), self._clock.monotonic()
        expected = self._wall + timedelta(seconds=passed - self._at)
        if wall <= expected + _MOST_LEAD:
            self._trust(wall)
            return wall
        if self._ahead_since is None:
            self._ahead_since = passed
            logger.warning(
                "clock_jumped_ahead",
                by_secs=round((wall - expected).total_seconds()),
                remedy="check the clock (NTP); nothing expires by it before it has held for a day",
            )
        if passed - self._ahead_since >= _BELIEVED_AFTER_SECS:
            self._trust(wall)
            return wall
        return expected


class Retention:
    """Calls the store's expiry until nothing is left, once a minute."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._time = SteadyTime(clock)

    async def run(self) -> None:
        """Expire for ever; a store that takes no writes is tried again at the next turn."""
        while True:
            with resting("interval"):
                await self._clock.sleep(_EVERY_SECS)
            await self.sweep()

    async def sweep(self) -> None:
        """Expire everything that is due now."""
        now = self._time.now()
        turns("expiry")
        try:
            while await self._store.expire(now):
                await self._clock.sleep(_BREATH_SECS)
        except StoreUnavailable as error:
            logger.warning("expiry_waits", reason=str(error))
