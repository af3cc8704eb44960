"""Moments on the command line."""

from datetime import UTC, datetime

import pytest
import typer

from mcwatch.cli.moments import parse_moment, parse_range

NOW = datetime(2026, 1, 5, 9, 30, 15, 250_000, UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T03:04:05.999Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("now", datetime(2026, 1, 5, 9, 30, 15, tzinfo=UTC)),
        (" 7d ", datetime(2025, 12, 29, 9, 30, 15, tzinfo=UTC)),
        ("1h30m", datetime(2026, 1, 5, 8, 0, 15, tzinfo=UTC)),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    """Times are UTC unless they say otherwise, in whole seconds; a duration is so long ago."""
    assert expected == parse_moment("--from", text, NOW)


@pytest.mark.parametrize("text", ["yesterday", "", "7", "2026-13-01", "0001-01-01T00:00:00+14:00", "99999999d", "-7d"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """With what could have been written."""
    with pytest.raises(typer.BadParameter, match="RFC 3339 such as") as refused:
        parse_moment("--to", text, NOW)
    assert "--to" == refused.value.param_hint


def test_a_range_has_one_now() -> None:
    """Both ends are counted from the same moment."""
    request = parse_range("acme", "1h", "now", anew=True)
    assert 3_600.0 == (request.end - request.start).total_seconds()
    assert ("acme", True) == (request.account, request.anew)


def test_a_range_in_the_future_is_refused() -> None:
    """By more than a wrong clock explains."""
    with pytest.raises(typer.BadParameter, match="'2999-01-01' lies in the future"):
        parse_range("acme", "2999-01-01", "now")
