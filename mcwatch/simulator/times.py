"""Times as the API writes and reads them."""

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import formatdate
from functools import lru_cache
from typing import Final

DAY_SECS: Final = 86_400

_API_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)")
_MC_DATE: Final = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:UTC|GMT)")


def wall_clock() -> float:
    """Return the present as seconds since 1970; the clock used unless a test passes its own."""
    return time.time_ns() / 1_000_000_000


@lru_cache(maxsize=4096)
def to_api(at: int) -> str:
    """Write whole seconds since 1970 as `2026-01-05T09:30:00+0000` (reference notes §F, §G)."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def to_rfc3339(at: float) -> str:
    """Write seconds since 1970 as `2026-01-05T09:30:00Z`, the form used by the control endpoints."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_http_date(at: float) -> str:
    """Write seconds since 1970 as the `Date` header that clients measure their skew against."""
    return formatdate(at, usegmt=True)


def from_api(text: str) -> float | None:
    """Read a request time with `+0000` or `Z` (reference notes §G); None when it is neither."""
    found = _API_TIME.fullmatch(text)
    if found is None:
        return None
    try:
        read = datetime.strptime(found[1] + "+0000", "%Y-%m-%dT%H:%M:%S%z")
        return read.replace(tzinfo=_zone(found[2])).timestamp()
    except (ValueError, OverflowError):
        return None


def from_mc_date(text: str) -> float | None:
    """Read an `x-mc-date` ending in UTC or GMT (reference notes §A); None when malformed."""
    if _MC_DATE.fullmatch(text) is None:
        return None
    try:
        # strptime of the C locale is what is wanted: the header has English names (reference notes §A).
        return datetime.strptime(text[:-4] + " +0000", "%a, %d %b %Y %H:%M:%S %z").timestamp()
    except ValueError:
        return None


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
