"""When a loop is due next."""


def next_due(due: float, now: float, interval_secs: float) -> float:
    """Return the next time on the grid that began at ``due``; a late loop skips what it missed instead of catching up.

    All times are in seconds of one monotonic clock.
    """
    following = due + interval_secs
    if following > now:
        return following
    missed = int((now - due) // interval_secs)
    return due + (missed + 1) * interval_secs


def first_due(now: float, interval_secs: float, draw: float, *, spread: float = 0.1) -> float:
    """Return when a loop polls first: at once, spread by at most a part of its interval (``draw`` is in [0, 1))."""
    return now + min(interval_secs * spread, 2.0) * draw
