"""How long to wait before the next attempt. Pure: the caller draws the random number and does the waiting."""

from collections.abc import Callable

PROBE_FIRST_SECS = 30.0
PROBE_CAP_SECS = 300.0
_MAX_EXPONENT = 60  # keeps 2**n a harmless number however long an outage lasts


def full_jitter(attempt: int, *, base_secs: float, cap_secs: float, draw: Callable[[float, float], float]) -> float:
    """Return seconds between 0 and the exponential bound of failed attempt number ``attempt`` (from 1).

    ``draw(low, high)`` is a uniform draw such as ``random.Random().uniform``. Full jitter spreads clients that failed
    together over the whole interval, so that they do not come back together.
    """
    return draw(0.0, min(cap_secs, _doubled(base_secs, attempt)))


def probe_delay(failures: int) -> float:
    """Return the seconds until something that is down is tried again after ``failures`` (from 1) failures in a row."""
    return min(PROBE_CAP_SECS, _doubled(PROBE_FIRST_SECS, failures))


def _doubled(first: float, count: int) -> float:
    return first * float(2 ** min(max(count, 1) - 1, _MAX_EXPONENT))
