"""Numbers written back the way people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mcwatch.option_types import Duration, Size
from mcwatch.settings.notation import duration_text, size_text, written


@pytest.mark.parametrize(
    ("secs", "text"),
    [(0, "0s"), (0.25, "250ms"), (1, "1s"), (90, "90s"), (60, "1m"), (3600, "1h"), (86400, "24h"), (2678400, "31d")],
)
def test_duration_text(secs: float, text: str) -> None:
    """The largest unit that divides the time is used; a day is 24h."""
    assert duration_text(secs) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (1000, "1000"), (1024, "1KiB"), (2**21, "2MiB"), (3 * 2**30, "3GiB")]
)
def test_size_text(count: int, text: str) -> None:
    """The largest unit that divides the size is used."""
    assert size_text(count) == text


@given(st.integers(0, 10**9))
def test_round_trip(number: int) -> None:
    """What is written is read back as the same number."""
    assert TypeAdapter(Duration).validate_python(duration_text(number)) == number
    assert TypeAdapter(Size).validate_python(size_text(number)) == number


def test_other_values_stay() -> None:
    """Values that are neither duration nor size stay as they are."""
    assert [written(value, None) for value in (5, "x", None, True)] == [5, "x", None, True]
