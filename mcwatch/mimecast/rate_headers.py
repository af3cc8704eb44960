"""What an answer says about the quota (reference notes D): every value guarded, none required."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mcwatch.httpclient.dates import parse_http_date
from mcwatch.httpclient.throttle import retry_after_secs

MIN_WAIT_SECS = 1.0
MAX_WAIT_SECS = 900.0
_EPOCH_MS_FROM = 1e12
_EPOCH_SECS_FROM = 1e9


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """The quota as one answer tells it; None where it says nothing usable. Waits are within 1 s to 15 min."""

    limit: int | None
    remaining: int | None
    reset_secs: float | None
    retry_after_secs: float | None

    @property
    def wait_secs(self) -> float | None:
        """The longer of the two waits asked for."""
        return max((wait for wait in (self.reset_secs, self.retry_after_secs) if wait is not None), default=None)


def read_rate_headers(headers: Mapping[str, str], server_now: datetime) -> RateHeaders:
    """Read ``X-RateLimit-*`` and ``Retry-After``.

    Moments are compared with the answer's own ``Date``, which is never ahead of the server's clock, so that no wait is
    too short; ``server_now`` is the time on that clock for an answer without one.
    """
    now = parse_http_date(headers.get("Date")) or server_now
    asked = retry_after_secs(headers.get("Retry-After"), now)
    return RateHeaders(
        limit=_count(headers.get("X-RateLimit-Limit")),
        remaining=_count(headers.get("X-RateLimit-Remaining")),
        reset_secs=_reset_secs(headers.get("X-RateLimit-Reset"), now),
        retry_after_secs=None if asked is None else _clamp(asked),
    )


def _reset_secs(text: str | None, now: datetime) -> float | None:
    """Read the reset: documented as milliseconds to wait, seen as a moment in epoch seconds or milliseconds."""
    value = _number(text)
    if value is None:
        return None
    if value > _EPOCH_MS_FROM:
        return _clamp(value / 1000 - now.timestamp())
    if value > _EPOCH_SECS_FROM:
        return _clamp(value - now.timestamp() + 1.0)  # whole seconds: the moment may have been cut off
    return _clamp(value / 1000)


def _clamp(secs: float) -> float:
    return min(max(secs, MIN_WAIT_SECS), MAX_WAIT_SECS)


def _count(text: str | None) -> int | None:
    value = _number(text)
    return None if value is None else int(value)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
