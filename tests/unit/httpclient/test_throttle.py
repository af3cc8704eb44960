"""Retry-After in both forms."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.httpclient.throttle import MAX_RETRY_AFTER_SECS, retry_after_secs

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "secs"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("999999", 3600.0),
        ("Mon, 05 Jan 2026 09:31:00 GMT", 60.0),
        ("Monday, 05-Jan-26 09:31:00 GMT", 60.0),
        ("Mon Jan  5 09:31:00 2026", 60.0),
        ("Mon, 05 Jan 2026 09:00:00 GMT", 0.0),
        ("Tue, 05 Jan 2027 09:00:00 GMT", 3600.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1e3", None),
        ("nan", None),
        ("٣", None),
        ("Mon, 99 Jan 2026 09:31:00 GMT", None),
        ("9" * 5000, None),
    ],
)
def test_values(value: str | None, secs: float | None) -> None:
    """Seconds and all three forms of date are read, nonsense is ignored, an hour is the most."""
    assert secs == retry_after_secs(value, NOW)


def test_a_date_without_a_clock_says_nothing() -> None:
    """A date cannot be turned into a wait when the sender's time is unknown; seconds can."""
    assert (None, 5.0) == (retry_after_secs("Mon, 05 Jan 2026 09:31:00 GMT", None), retry_after_secs("5", None))


@given(st.text(max_size=80))
def test_whatever_comes_gives_a_bounded_wait_or_none(value: str) -> None:
    """No header value raises or asks for more than an hour."""
    secs = retry_after_secs(value, NOW)
    assert secs is None or 0.0 <= secs <= MAX_RETRY_AFTER_SECS
