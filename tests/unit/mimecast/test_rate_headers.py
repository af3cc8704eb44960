"""Rate headers, guarded."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.mimecast.rate_headers import MAX_WAIT_SECS, MIN_WAIT_SECS, read_rate_headers

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("reset", "secs"),
    [
        ("30000", 30.0),
        ("1500.5", 1.5005),
        ("10", 1.0),
        ("0", 1.0),
        ("5000000", 900.0),
        (str(EPOCH + 45), 46.0),
        (str(EPOCH - 45), 1.0),
        (str((EPOCH + 45) * 1000), 45.0),
        (str(EPOCH + 999_999), 900.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_reset(reset: str | None, secs: float | None) -> None:
    """Milliseconds, epoch seconds and epoch milliseconds are told apart and kept within 1 s to 15 min."""
    headers = {} if reset is None else {"X-RateLimit-Reset": reset}
    assert secs == read_rate_headers(headers, NOW).reset_secs


def test_moments_count_from_the_answers_own_date() -> None:
    """A date in the answer is the clock its moments belong to."""
    headers = {"Date": "Mon, 05 Jan 2026 12:00:00 GMT", "Retry-After": "Mon, 05 Jan 2026 12:00:09 GMT"}
    assert 9.0 == read_rate_headers(headers, NOW).retry_after_secs


def test_figures_and_the_longer_wait() -> None:
    """Limit and remaining are read, and the longer of both waits counts."""
    told = read_rate_headers(
        {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "2000", "Retry-After": "9"}, NOW
    )
    assert (50, 7, 2.0, 9.0, 9.0) == (
        told.limit,
        told.remaining,
        told.reset_secs,
        told.retry_after_secs,
        told.wait_secs,
    )


@given(
    st.dictionaries(
        st.sampled_from(["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"]),
        st.text(max_size=40) | st.floats().map(str) | st.integers().map(str),
    )
)
def test_no_value_breaks_the_guards(headers: dict[str, str]) -> None:
    """Whatever the headers say, waits are bounded and counts are not negative."""
    told = read_rate_headers(headers, NOW)
    assert told.wait_secs is None or MIN_WAIT_SECS <= told.wait_secs <= MAX_WAIT_SECS
    assert (told.limit or 0) >= 0
    assert (told.remaining or 0) >= 0
