"""The finder's planner, by example."""

from datetime import UTC, datetime, timedelta

import pytest

from mcwatch.domain.window import LEAST_CAP, Endings, Reach, Window, looks_cut, plan, whole_second

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
REACH = Reach(overlap=timedelta(minutes=5), first=3 * HOUR, step=2 * HOUR, history=timedelta(days=28))


def test_the_first_poll_looks_back_as_far_as_told() -> None:
    """A search never read begins `first` ago, in steps, oldest first."""
    windows = [Window(NOW - 3 * HOUR, NOW - HOUR), Window(NOW - HOUR, NOW)]
    assert (windows, None) == ((found := plan(None, NOW + timedelta(milliseconds=400), REACH)).windows, found.gap)


def test_a_poll_overlaps_the_one_before() -> None:
    """What was read last is read again for the length of the overlap."""
    assert [Window(NOW - timedelta(minutes=6), NOW)] == plan(NOW - timedelta(minutes=1), NOW, REACH).windows


def test_a_cursor_in_the_future_is_read_again_from_now() -> None:
    """After a wrong clock the poll reads the overlap before now."""
    assert [Window(NOW - REACH.overlap, NOW)] == plan(NOW + HOUR, NOW, REACH).windows


def test_what_is_out_of_reach_is_a_gap() -> None:
    """After a stop longer than the history, reading begins where the API still answers and the rest is the gap."""
    read_until = NOW - timedelta(days=30)
    found = plan(read_until, NOW, REACH)
    assert Window(read_until, NOW - REACH.history) == found.gap
    assert NOW - REACH.history == found.windows[0].start


def test_the_overlap_alone_makes_no_gap() -> None:
    """A cursor within the history loses nothing though its overlap reaches beyond."""
    found = plan(NOW - REACH.history, NOW, REACH)
    assert (None, NOW - REACH.history) == (found.gap, found.windows[0].start)


def test_nothing_to_read() -> None:
    """Without overlap, a search that has read up to now has no window."""
    reach = Reach(overlap=timedelta(0), first=HOUR, step=HOUR, history=timedelta(days=28))
    assert [] == plan(NOW, NOW, reach).windows


def test_a_single_second_has_no_halves() -> None:
    """The smallest window is a second."""
    second = timedelta(seconds=1)
    assert Window(NOW, NOW + second).halves() is None
    halves = Window(NOW, NOW + 3 * second).halves()
    assert (Window(NOW, NOW + second), Window(NOW + second, NOW + 3 * second)) == halves


@pytest.mark.parametrize(
    ("rows", "unique", "page_size", "total", "cut"),
    [
        (0, 0, 500, None, False),
        (7, 7, 500, None, False),
        (7, 7, 500, 7, False),
        (7, 7, 500, 8, True),
        (7, 507, 500, 507, False),
        (7, 506, 500, 507, True),
        (50, 50, 50, None, True),
        (100, 100, 500, None, True),
        (200, 200, 500, None, True),
        (250, 250, 500, None, True),
        (500, 500, 1000, None, True),
        (999, 999, 1000, None, True),
        (1000, 1000, 1000, 1000, True),
        (101, 101, 500, None, False),
    ],
)
def test_what_looks_cut(rows: int, unique: int, page_size: int, total: int | None, cut: bool) -> None:
    """A full or suspiciously round last page, or fewer unique rows than told, may not be all there is."""
    assert cut == looks_cut(rows, unique, page_size=page_size, total=total)


def test_whole_second() -> None:
    """Fractions are cut."""
    assert NOW == whole_second(NOW.replace(microsecond=999_999))


def _windows(count: int) -> list[Window]:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    return [Window(start + timedelta(hours=hour), start + timedelta(hours=hour + 1)) for hour in range(count)]


def test_the_greatest_length_is_doubted_the_third_time() -> None:
    """Two answers as long as none was longer are believed, the third is not, and then the two are owed."""
    endings, windows = Endings(), _windows(5)
    assert [False, False, False, True] == [
        endings.looks_capped(window, rows) for window, rows in zip(windows, (37, 12, 37, 37), strict=False)
    ]
    assert [windows[0], windows[2]] == endings.owed
    assert endings.looks_capped(windows[4], 37)
    assert [windows[0], windows[2]] == endings.owed, "owed once"


def test_a_longer_answer_clears_the_shorter_ones() -> None:
    """What was exceeded once is no cap."""
    endings, windows = Endings(), _windows(5)
    assert not any(
        endings.looks_capped(window, rows) for window, rows in zip(windows, (37, 37, 38, 37, 37), strict=True)
    )


def test_short_answers_are_alike_by_chance() -> None:
    """A quiet search is never doubted."""
    endings = Endings()
    assert not any(endings.looks_capped(window, LEAST_CAP - 1) for window in _windows(9))
