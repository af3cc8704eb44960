"""The one gate before a destination: after a failure, nothing is sent until the time it names."""

import random

from mcwatch.domain.backoff import full_jitter, probe_delay
from mcwatch.domain.errors import FailureReason, McwatchError, PermanentError, ThrottledError
from mcwatch.interfaces import Clock

_BASE_SECS = 1.0
_CAP_SECS = 60.0


class Gate:
    """Holds the time of the next attempt: full jitter after passing trouble, slow probes after a refusal.

    Attempts may be under way side by side: those that began before a failure say nothing new about it. Whoever reports
    one says how many ``failures_total`` there were when it began.
    """

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._failures = 0
        self.failures_total = 0
        """Failures so far, those that came side by side counted once."""
        self.opens_at = 0.0
        """When the next attempt may be made, on the monotonic clock."""
        self.reason: FailureReason | None = None
        """Why it was closed last."""

    @property
    def is_closed(self) -> bool:
        """Whether an attempt would have to wait now."""
        return self._clock.monotonic() < self.opens_at

    async def wait(self) -> None:
        """Wait until an attempt may be made."""
        # A timer may end a moment early (uvloop counts in milliseconds), and the gate is closed then.
        while (delay := self.opens_at - self._clock.monotonic()) > 0:
            await self._clock.sleep(delay)

    def opened(self) -> None:
        """Report an attempt that worked."""
        self._failures = 0
        self.opens_at = 0.0

    def failed(self, error: McwatchError, since: int | None = None) -> float:
        """Report an attempt that did not; return the seconds until the next one may be made."""
        self.reason = error.reason
        if since is None or since == self.failures_total:
            self._failures += 1
            self.failures_total += 1
        if isinstance(error, PermanentError):
            delay = probe_delay(max(self._failures, 1)) * self._rng.uniform(0.9, 1.1)
        else:
            delay = full_jitter(
                max(self._failures, 1), base_secs=_BASE_SECS, cap_secs=_CAP_SECS, draw=self._rng.uniform
            )
            asked = error.retry_after_secs if isinstance(error, ThrottledError) else None
            delay = max(delay, asked or 0.0)
        self.opens_at = max(self.opens_at, self._clock.monotonic() + delay)
        return delay
