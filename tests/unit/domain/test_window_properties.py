"""Properties of the planner: nothing between what was read and now is left out, nothing asked in vain."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.window import Reach, Window, plan, whole_second

SECONDS = st.integers(0, 40 * 86400).map(lambda secs: timedelta(seconds=secs))
STEPS = st.integers(3600, 10 * 86400).map(lambda secs: timedelta(seconds=secs))
REACHES = st.builds(Reach, overlap=SECONDS, first=SECONDS, step=STEPS, history=STEPS)
NOWS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- bounds
AGES = st.none() | st.integers(-86400, 60 * 86400).map(lambda secs: timedelta(seconds=secs))


@given(AGES, NOWS, REACHES)
def test_windows_are_contiguous_and_within_reach(age: timedelta | None, now: datetime, reach: Reach) -> None:
    """Windows are not empty, follow each other oldest first, are no wider than a step and stay within the history."""
    end = whole_second(now)
    windows = plan(None if age is None else end - age, now, reach).windows
    assert all(older.end == newer.start for older, newer in pairwise(windows))
    assert all(timedelta(0) < window.end - window.start <= reach.step for window in windows)
    assert all(end - reach.history <= window.start and window.end <= end for window in windows)
    assert {0} >= {at.microsecond for window in windows for at in (window.start, window.end)}


@given(AGES, NOWS, REACHES)
def test_windows_and_gap_cover_everything(age: timedelta | None, now: datetime, reach: Reach) -> None:
    """From the overlap before what was read up to now, every second is in a window, or in the gap, or before both."""
    end = whole_second(now)
    read_until = None if age is None else end - age
    found = plan(read_until, now, reach)
    wanted = end - reach.first if read_until is None else min(read_until, end) - reach.overlap
    begin = max(wanted, end - reach.history)
    assert (begin, end) == (found.windows[0].start, found.windows[-1].end) if begin < end else found.windows == []
    lost = read_until is not None and read_until < end - reach.history
    assert (Window(read_until, begin) if lost and read_until is not None else None) == found.gap


@given(NOWS, st.integers(1, 10**6))
def test_halves_partition_a_window(now: datetime, secs: int) -> None:
    """Halves meet in the middle, cover the window, differ by at most a second, and end in single seconds."""
    start = whole_second(now)
    window = Window(start, start + timedelta(seconds=secs))
    halves = window.halves()
    assert (halves is None) == (secs == 1)
    if halves is not None:
        older, newer = halves
        assert (window.start, older.end, window.end) == (older.start, newer.start, newer.end)
        assert (newer.end - newer.start) - (older.end - older.start) in {timedelta(0), timedelta(seconds=1)}
