"""Figures written for people."""

from datetime import UTC, datetime, timedelta

import pytest

from mcwatch.domain.status import SkippedStatus
from mcwatch.httpserver import texts

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("secs", "text"),
    [
        (None, "–"), (-5, "0 s"), (0, "0 s"), (1.5, "1.5 s"), (9.99, "9.9 s"), (42.4, "42 s"), (59.9, "59 s"),
        (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (3660, "1 h 1 min"), (95_000, "1 d 2 h"), (86_400, "1 d"),
    ],
)  # fmt: skip
def test_duration(secs: float | None, text: str) -> None:
    """Durations have the one or two units that matter, and are never rounded up into the next."""
    assert texts.duration(secs) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 2**30, "5.0 GiB"), (2**42, "4.0 TiB")]
)
def test_size(count: int, text: str) -> None:
    """Sizes have binary units."""
    assert texts.size(count) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0, "0"), (1_234_567, "1,234,567")])
def test_count(value: int | None, text: str) -> None:
    """Counts have their thousands apart."""
    assert texts.count(value) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, "never"),
        (NOW, "just now"),
        (NOW + timedelta(hours=1), "just now"),
        (NOW - timedelta(minutes=3), "3 min ago"),
    ],
)
def test_ago(moment: datetime | None, text: str) -> None:
    """A moment is said relative to now; one in the future (a clock set back) is now."""
    assert texts.ago(moment, NOW) == text


@pytest.mark.parametrize(("up", "text"), [(None, "not tried yet"), (True, "up"), (False, "down")])
def test_state(up: bool | None, text: str) -> None:
    """Three states, three words."""
    assert texts.state(up) == text


def test_skipped() -> None:
    """The newest range in whole seconds that hold all of it, and how many there were before."""
    start = datetime(2026, 1, 5, 9, 0, 0, 500_000, UTC)
    one = SkippedStatus(start, start + timedelta(minutes=2), 1200)
    assert "1,200 events recorded 2026-01-05T09:00:00Z to 2026-01-05T09:02:01Z" == texts.skipped([one])
    assert texts.skipped([one, one, one]).endswith("; 2 times before")
