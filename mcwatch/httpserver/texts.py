"""How figures are written for people: durations, sizes, counts, moments."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from mcwatch.domain.status import SkippedStatus

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(secs: float | None) -> str:
    """Write seconds in the one or two units that matter; a dash when unknown."""
    if secs is None:
        return "–"
    secs = max(0.0, secs)
    if secs < 10:
        return f"{int(secs * 10) / 10:g} s"
    if secs < _MINUTE:
        return f"{int(secs)} s"
    minutes = int(secs // _MINUTE)
    if secs < _HOUR:
        return f"{minutes} min"
    if secs < _DAY:
        return _two(minutes // 60, "h", minutes % 60, "min")
    return _two(int(secs // _DAY), "d", int(secs % _DAY // _HOUR), "h")


def _two(large: int, unit: str, small: int, subunit: str) -> str:
    return f"{large} {unit} {small} {subunit}" if small else f"{large} {unit}"


def size(count: int) -> str:
    """Write bytes in binary units."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def count(value: int | None) -> str:
    """Write a count with its thousands apart; a dash when unknown."""
    return "–" if value is None else f"{value:,}"


def ago(moment: datetime | None, now: datetime) -> str:
    """Write how long ago a moment was; "never" when there was none."""
    if moment is None:
        return "never"
    secs = (now - moment).total_seconds()
    return "just now" if secs < 1 else f"{duration(secs)} ago"


def skipped(ranges: Sequence[SkippedStatus]) -> str:
    """Write what was passed over last, in words that ``mcwatch replay`` takes, and how often before."""
    newest = ranges[0]
    bounds = (newest.start, newest.end + timedelta(seconds=1))  # whole seconds that hold all of it
    start, end = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in bounds)
    before = f"; {len(ranges) - 1} times before" if len(ranges) > 1 else ""
    return f"{count(newest.events)} events recorded {start} to {end}{before}"


def state(up: bool | None) -> str:  # noqa: FBT001 - three-valued
    """Write whether something works."""
    return "not tried yet" if up is None else "up" if up else "down"
