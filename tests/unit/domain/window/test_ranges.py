"""Sums of ranges, by example and as properties over single seconds."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.window.ranges import ONE_SECOND, Window, merged, whole_second, within, without
from tests.unit.domain.window.ledgers import BOUNDS, NOW, WINDOWS, seconds, window

pytestmark = pytest.mark.timeout(10)


def test_a_single_second_has_no_halves() -> None:
    """The smallest window is a second."""
    assert window(0, 1).halves() is None
    assert (window(0, 1), window(1, 3)) == window(0, 3).halves()


@given(BOUNDS)
def test_halves_partition_a_window(bounds: tuple[int, int]) -> None:
    """Halves meet in the middle, cover the window, differ by at most a second, and end in single seconds."""
    whole = window(*bounds)
    halves = whole.halves()
    assert (halves is None) == (whole.length == ONE_SECOND)
    if halves is not None:
        older, newer = halves
        assert (whole.start, older.end, whole.end) == (older.start, newer.start, newer.end)
        assert newer.length - older.length in {timedelta(0), ONE_SECOND}


def test_whole_second() -> None:
    """Fractions are cut."""
    assert NOW == whole_second(NOW.replace(microsecond=999_999))


@given(BOUNDS, st.integers(1, 30))
def test_pieces_partition_a_window(bounds: tuple[int, int], step: int) -> None:
    """Pieces follow each other from the start to the end, all but the last as long as the step."""
    whole = window(*bounds)
    pieces = list(whole.pieces(step * ONE_SECOND))
    assert (whole.start, whole.end) == (pieces[0].start, pieces[-1].end)
    assert all(older.end == newer.start for older, newer in pairwise(pieces))
    assert {step * ONE_SECOND} >= {piece.length for piece in pieces[:-1]}
    assert timedelta(0) < pieces[-1].length <= step * ONE_SECOND


def test_an_empty_window_has_no_pieces() -> None:
    """Nothing is cut into nothing."""
    assert [] == list(Window(NOW, NOW).pieces(ONE_SECOND))


def _assert_disjoint(windows: list[Window]) -> None:
    assert all(older.end < newer.start for older, newer in pairwise(windows))
    assert all(one.start < one.end for one in windows)


@given(WINDOWS)
def test_merged_is_the_same_time(windows: list[Window]) -> None:
    """Merged windows hold the same seconds, each once, and neither overlap nor touch."""
    found = merged(windows)
    _assert_disjoint(found)
    assert sorted(set(seconds(windows))) == seconds(found)


@given(WINDOWS, WINDOWS)
def test_without_leaves_what_is_not_taken(windows: list[Window], taken: list[Window]) -> None:
    """Every second of the windows that is not taken is left, once, in order, and no other."""
    found = without(windows, taken)
    _assert_disjoint(found)
    assert sorted(set(seconds(windows)) - set(seconds(taken))) == seconds(found)


@given(WINDOWS, BOUNDS)
def test_within_is_what_lies_between(windows: list[Window], bounds: tuple[int, int]) -> None:
    """A window's seconds between two moments stay, as often as they were there."""
    between = window(*bounds)

    def inside(second: datetime) -> bool:
        return between.start <= second < between.end

    found = within(windows, between.start, between.end)
    assert sorted(filter(inside, seconds(windows))) == sorted(seconds(found))
