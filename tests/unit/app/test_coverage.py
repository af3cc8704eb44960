"""The 7 days of coverage that the status report carries."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.app.coverage import coverage_status
from mcwatch.domain.status import CoverState, SearchReading
from mcwatch.domain.window.ranges import Window

NOW = datetime(2026, 3, 12, 14, 20, 7, 250_000, tzinfo=UTC)
END = NOW.replace(microsecond=0)
START = END - timedelta(days=7)
Told = list[tuple[CoverState, float, float]]


def _at(hours: float) -> datetime:
    """Return a moment so many hours after the beginning of the 7 days."""
    return START + timedelta(seconds=round(hours * 3600))


def _window(start: float, end: float) -> Window:
    return Window(_at(start), _at(end))


def _reading(since: float = -500.0, newest: float = 168.0, **windows: list[Window]) -> SearchReading:
    return SearchReading(label="x", since=_at(since), covered_until=_at(newest), newest=_at(newest), **windows)


def _told(*readings: SearchReading) -> Told:
    coverage = coverage_status(readings, NOW)
    assert coverage is not None
    assert (coverage.start, coverage.end) == (START, END)
    return [
        (run.state, (run.start - START).total_seconds() / 3600, (run.end - START).total_seconds() / 3600)
        for run in coverage.runs
    ]


def test_nothing_is_told_before_the_first_poll() -> None:
    """No search, no coverage."""
    assert coverage_status([], NOW) is None


def test_everything_was_read() -> None:
    """One run says it."""
    assert _told(_reading()) == [(CoverState.COVERED, 0, 168)]


def test_what_was_not_owed_is_no_hole() -> None:
    """It came before the start."""
    assert _told(_reading(since=100)) == [(CoverState.BEFORE, 0, 100), (CoverState.COVERED, 100, 168)]


def test_what_has_passed_since_the_newest_window_is_yet_to_be_read() -> None:
    """A daemon that stood still is behind."""
    assert _told(_reading(newest=150)) == [(CoverState.COVERED, 0, 150), (CoverState.MISSING, 150, 168)]


def test_each_kind_of_hole_has_its_state() -> None:
    """Ranges begin and end where they do, to the second, and are cut where the 7 days begin."""
    reading = _reading(
        gaps=[_window(-20, 5)],
        aged=[_window(10, 20)],
        incomplete=[_window(30, 30 + 1 / 3600)],
        missing=[_window(40, 41)],
    )

    assert _told(reading) == [
        (CoverState.GAP, 0, 5),
        (CoverState.COVERED, 5, 10),
        (CoverState.REJECTED_GAP, 10, 20),
        (CoverState.COVERED, 20, 30),
        (CoverState.INCOMPLETE, 30, 30 + 1 / 3600),
        (CoverState.COVERED, 30 + 1 / 3600, 40),
        (CoverState.MISSING, 40, 41),
        (CoverState.COVERED, 41, 168),
    ]


def test_the_worst_search_counts() -> None:
    """Of searches that overlap each moment shows what is worst."""
    readings = [_reading(gaps=[_window(10, 20)]), _reading(since=50), _reading(missing=[_window(15, 30)])]

    assert _told(*readings) == [
        (CoverState.COVERED, 0, 10),
        (CoverState.GAP, 10, 20),
        (CoverState.MISSING, 20, 30),
        (CoverState.COVERED, 30, 168),
    ]


def test_more_ranges_than_a_page_can_show_become_hours() -> None:
    """None is lost: an hour is as bad as its worst second."""
    windows = [_window(hour + minute / 60, hour + minute / 60 + 0.01) for hour in range(90) for minute in (1, 31)]
    coverage = coverage_status([_reading(incomplete=windows, gaps=[_window(2, 2.01)])], NOW)

    assert coverage is not None
    assert coverage.cell_secs == 3600
    assert [(run.state, (run.end - run.start) / timedelta(hours=1)) for run in coverage.runs] == [
        (CoverState.INCOMPLETE, 2),
        (CoverState.GAP, 1),
        (CoverState.INCOMPLETE, 87),
        (CoverState.COVERED, 78),
    ]


_WINDOWS = st.lists(
    st.tuples(st.integers(-10, 170), st.integers(1, 50)).map(lambda one: _window(one[0], one[0] + one[1])), max_size=4
)


@given(gaps=_WINDOWS, missing=_WINDOWS, aged=_WINDOWS, since=st.integers(-20, 200), newest=st.integers(-20, 200))
def test_runs_follow_each_other_without_holes(
    gaps: list[Window], missing: list[Window], aged: list[Window], since: int, newest: int
) -> None:
    """Whatever the ledger holds, all 7 days are told once, neighbours differ, and a gap is never hidden."""
    told = _told(_reading(since, newest, gaps=gaps, missing=missing, aged=aged))

    assert (told[0][1], told[-1][2]) == (0, 168)
    assert all(one[2] == next_[1] and one[0] is not next_[0] for one, next_ in pairwise(told))
    for window in gaps:
        middle = (window.start + (window.end - window.start) / 2 - START).total_seconds() / 3600
        if 0 <= middle < 168:
            assert next(state for state, start, end in told if start <= middle < end) is CoverState.GAP


@pytest.mark.parametrize("hours", [0.0, 1 / 3600])
def test_a_fresh_start_is_told(hours: float) -> None:
    """Owed since now or a second ago: nothing but what came before, or a second of it."""
    told = _told(_reading(since=168 - hours, newest=168))

    assert told[0] == (CoverState.BEFORE, 0, 168 - hours)
