"""Moments on the command line: a time, a date, or how long ago."""

from datetime import UTC, datetime, timedelta

import typer

from mcwatch.app.clock import SystemClock
from mcwatch.cli.durations import parse_duration
from mcwatch.domain.backfill import RangeRequest
from mcwatch.domain.errors import ConfigError

_NOW = "now"
_FORMS = "RFC 3339 such as 2026-01-05T09:30:00Z, a date (UTC), now, or how long ago, such as 7d"


def parse_moment(option: str, text: str, now: datetime) -> datetime:
    """Return the moment in UTC, in whole seconds as the API has them; raises as :func:`parse_exact_moment` does."""
    return parse_exact_moment(option, text, now).replace(microsecond=0)


def parse_exact_moment(option: str, text: str, now: datetime) -> datetime:
    """Return the moment in UTC; raises typer.BadParameter that names the option."""
    given = text.strip()
    if given == _NOW:
        return now
    try:
        at = datetime.fromisoformat(given)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        return now - timedelta(seconds=parse_duration(option, given))
    except (ConfigError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no moment: give {_FORMS}", param_hint=option) from None


def parse_range(account: str, start: str, end: str, *, anew: bool = False) -> RangeRequest:
    """Return what ``--account``, ``--from`` and ``--to`` ask for; raises typer.BadParameter."""
    now = SystemClock().now()
    request = RangeRequest(
        account=account, start=parse_moment("--from", start, now), end=parse_moment("--to", end, now), anew=anew
    )
    # The range is measured by the API's clock; this machine's may be wrong, but hardly by a day.
    if request.start > now + timedelta(days=1):
        raise typer.BadParameter(f"{start!r} lies in the future", param_hint="--from")
    return request
