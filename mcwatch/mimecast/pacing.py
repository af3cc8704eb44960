"""When the next request may go: under the configured ceiling, and under what the API tells of its quota."""

from collections import deque

_BURST_SHARE = 20  # a twentieth of the minute's ceiling may go at once, at most _MAX_BURST
_MAX_BURST = 5
_LITTLE_SHARE = 0.2  # of the API's limit: with less than that left, requests are spaced
_LEAST_OBSERVED_SECS = 60.0
_OBSERVED_SECS = 120.0  # what urgent requests took so lately, they will take until the reset


class Ceiling:
    """Spaces requests so that no minute sees more than the ceiling, with a small burst after a quiet time.

    The burst is for urgent requests: others keep to the even flow, and so never stand between.
    """

    def __init__(self, per_minute: int) -> None:
        burst = max(1, min(_MAX_BURST, per_minute // _BURST_SHARE))
        # burst - 1 requests may come on top of the even flow within a minute: the flow makes room for them.
        self._spacing_secs = 60.0 / (per_minute - burst + 1)
        self._credit_secs = self._spacing_secs * (burst - 1)
        self._due_at = 0.0

    def wait_secs(self, now: float, *, may_burst: bool) -> float:
        """Return the seconds until the next request may go."""
        credit_secs = self._credit_secs if may_burst else 0.0
        return max(0.0, self._due_at - credit_secs - now)

    def take(self, now: float) -> None:
        """Count a request."""
        self._due_at = max(self._due_at, now) + self._spacing_secs

    def owed_secs(self, now: float) -> float:
        """Return how far the requests counted reach into the future."""
        return max(0.0, self._due_at - now)

    def owe(self, now: float, secs: float) -> None:
        """Count requests that somebody else has made."""
        self._due_at = max(self._due_at, now + secs)


class Scope:
    """One quota of the API's.

    Closed until a monotonic second; while little of it is left, what is left is spread over the time to the reset, and
    what urgent requests will take until then is left to them. ``untold`` counts 429s in a row that named no time.
    """

    def __init__(self) -> None:
        self.closed_until = 0.0
        self.untold = 0
        self._limit = 0
        self._remaining = 0
        self._spacing_secs = 0.0
        self._next_at = 0.0
        self._resets_at = 0.0
        self._began_at = 0.0
        self._urgent: deque[float] = deque()

    def close(self, now: float, secs: float) -> None:
        """Let nothing through for so long; a longer pause asked for before stands."""
        self.closed_until = max(self.closed_until, now + secs)

    def tell(self, now: float, limit: int | None, remaining: int, reset_secs: float) -> None:
        """Take note of what is left of the limit until the reset."""
        self._limit = limit or self._limit
        self._remaining = remaining
        self._resets_at = now + reset_secs
        if remaining == 0:
            self.close(now, reset_secs)
        # One interval more than requests: the last may still go before the reset.
        is_little = 0 < remaining < _LITTLE_SHARE * self._limit
        self._spacing_secs = reset_secs / (remaining + 1) if is_little else 0.0
        self._next_at = now + self._spacing_secs

    def take(self, now: float, *, is_urgent: bool) -> None:
        """Count a request."""
        self._next_at = now + self._spacing_secs
        self._began_at = self._began_at or now
        if is_urgent:
            self._urgent.append(now)

    def pace_secs(self, now: float, leaves_share: float) -> float:
        """Return the seconds until a request may go; one that is not urgent leaves a share of the limit to others."""
        if now >= self._resets_at or not self._remaining:
            return 0.0
        left = self._remaining / self._limit if self._limit else 1.0
        must_leave = left < leaves_share or (leaves_share > 0 and self._remaining <= self._urgent_need(now))
        free_at = self._resets_at if must_leave else self._next_at
        return max(0.0, free_at - now)

    def _urgent_need(self, now: float) -> float:
        """Return how many urgent requests are to be expected before the reset."""
        while self._urgent and self._urgent[0] < now - _OBSERVED_SECS:
            self._urgent.popleft()
        # The first poll of many searches is no rate yet.
        observed_secs = min(max(now - self._began_at, _LEAST_OBSERVED_SECS), _OBSERVED_SECS)
        return len(self._urgent) / observed_secs * (self._resets_at - now)
