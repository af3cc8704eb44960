"""When a loop is due next."""

_AT_ONCE = 20
"""So many pollers may begin together: a second or two of work."""


def next_due(due: float, now: float, interval_secs: float) -> float:
    """Return the next time on the grid that began at ``due``; a late loop skips what it missed instead of catching up.

    All times are in seconds of one monotonic clock.
    """
    following = due + interval_secs
    if following > now:
        return following
    missed = int((now - due) // interval_secs)
    return due + (missed + 1) * interval_secs


def first_due(now: float, interval_secs: float, draw: float, *, pollers: int = 1) -> float:
    """Return when a loop polls first; ``draw`` is in [0, 1).

    A few of them begin at once, within a tenth of the interval and two seconds at most. Many are spread over the whole
    interval, because they keep the distance they begin with: polled together once, they would be so for ever.
    """
    spread_secs = interval_secs if pollers > _AT_ONCE else min(interval_secs * 0.1, 2.0)
    return now + spread_secs * draw
