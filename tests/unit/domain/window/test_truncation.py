"""Answers that may not be all there is, and widths that adapt."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.window.ranges import ONE_SECOND, Window
from mcwatch.domain.window.truncation import CAPS, LEAST_CAP, Endings, Totals, Width, looks_cut
from tests.unit.domain.window.ledgers import EDGE, HOUR, MINUTE

PAGE = 500


def hours(count: int) -> list[Window]:
    """Return so many hours, one after the other."""
    return [Window(EDGE + at * HOUR, EDGE + (at + 1) * HOUR) for at in range(count)]


@pytest.mark.parametrize(
    ("rows", "page_size", "cut"),
    [
        (0, PAGE, False), (7, PAGE, False), (50, 50, True), (51, 50, True), (99, PAGE, False), (101, PAGE, False),
        (499, PAGE, False), (500, 1000, True),
    ],
)  # fmt: skip
def test_what_looks_cut(rows: int, page_size: int, cut: bool) -> None:
    """A full page may not be the last, and neither may one of a length that servers stop at."""
    assert cut == looks_cut(rows, page_size=page_size)
    assert all(looks_cut(cap, page_size=2000) for cap in CAPS)


def capped(endings: Endings, window: Window, rows: int) -> bool:
    """Ask whether an answer about a window of which nothing was known is doubted."""
    return endings.looks_capped(window, [window], rows)


def test_the_greatest_length_is_doubted_the_third_time() -> None:
    """Two answers as long as none was longer are believed, the third is not, and then those two are not either."""
    endings, windows = Endings(), hours(5)
    doubted = [capped(endings, window, rows) for window, rows in zip(windows, (37, 12, 37, 37), strict=False)]
    assert [False, False, False, True] == doubted
    assert [windows[0], windows[2]] == endings.disbelieved
    assert capped(endings, windows[4], 37)
    assert [windows[0], windows[2]] == endings.disbelieved


def test_the_disbelieved_are_kept_until_the_ledger_knows() -> None:
    """A commit that fails makes no claim true: they are told until they are settled."""
    endings, windows = Endings(), hours(4)
    assert [False, False, True] == [capped(endings, window, 40) for window in windows[:3]]
    told = endings.disbelieved
    endings = endings.settled(told[:1])
    assert told[1:] == endings.disbelieved
    endings = endings.settled(told)
    assert [] == endings.disbelieved


def test_the_same_window_again_proves_nothing() -> None:
    """A window of the past that is read day after day shows the same mail: that is no cap."""
    endings, (busy, other, third, _) = Endings(), hours(4)
    assert not any(capped(endings, busy, 300) for _ in range(20))
    assert not capped(endings, other, 300)
    assert not capped(endings, busy, 300)
    assert capped(endings, third, 300)


def test_only_what_an_answer_claimed_is_disbelieved() -> None:
    """What was known before an answer that proves capped was not learnt from it and stays known."""
    endings, windows = Endings(), hours(3)
    assert not endings.looks_capped(windows[0], [], 37)
    part = Window(windows[1].start, windows[1].start + MINUTE)
    assert not endings.looks_capped(windows[1], [part], 37)
    assert endings.looks_capped(windows[2], [windows[2]], 37)
    assert [part] == endings.disbelieved


def test_a_longer_answer_clears_the_shorter_ones() -> None:
    """What was exceeded once is no cap."""
    endings = Endings()
    assert not any(capped(endings, window, rows) for window, rows in zip(hours(5), (37, 37, 38, 37, 37), strict=True))
    assert [False, False, True, False, True] == [
        capped(endings, window, rows) for window, rows in zip(hours(5), (40, 40, 40, 39, 40), strict=True)
    ]
    assert [False, False] == [capped(endings, window, rows) for window, rows in zip(hours(2), (41, 40), strict=True)]


def test_short_answers_are_alike_by_chance() -> None:
    """A quiet search is never doubted."""
    endings = Endings()
    assert not any(capped(endings, window, LEAST_CAP - 1) for window in hours(9))
    assert not endings.is_greatest(LEAST_CAP - 1)
    assert endings.is_greatest(LEAST_CAP)


def test_totals_that_speak_of_something_else() -> None:
    """One number for many windows that share no second means nothing; different numbers do, and one window's does."""
    totals = Totals()
    for window in hours(8)[::2][:3]:
        totals.note(window, 900)
    assert not totals.mean_nothing
    totals.note(hours(8)[-1], 901)
    totals.note(hours(8)[0], 900)
    assert not totals.mean_nothing, "they begin anew with another number"
    again = Totals()
    for _ in range(20):
        again.note(hours(1)[0], 900)
    assert not again.mean_nothing
    for window in hours(8)[::2]:
        again.note(window, 900)
    assert again.mean_nothing


def test_a_dense_answer_narrows_at_once_and_a_sparse_one_widens_slowly() -> None:
    """Width follows the fullest answer down in one step and doubles at most on its way up."""
    width = Width(6 * HOUR, PAGE)
    assert 6 * HOUR == width.now
    width.learn(Window(EDGE, EDGE + HOUR), 1000, 500)
    assert HOUR / 4 == width.now
    for expected in (30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR, 6 * HOUR):
        width.learn(Window(EDGE, EDGE + width.now), 0, 0)
        assert expected == width.now


def test_a_cut_answer_halves_the_width() -> None:
    """Half of what was cut is asked for next, never less than a second."""
    width = Width(6 * HOUR, PAGE)
    width.halve(Window(EDGE, EDGE + HOUR))
    assert 30 * MINUTE == width.now
    for _ in range(30):
        width.halve(Window(EDGE, EDGE + width.now))
    assert ONE_SECOND == width.now
    width.learn(Window(EDGE, EDGE + ONE_SECOND), 3, 3)
    assert 2 * ONE_SECOND == width.now


def test_the_servers_page_counts() -> None:
    """Where a server puts a hundred rows on a page, windows come to hold fewer than that."""
    width = Width(6 * HOUR, PAGE)
    for _ in range(60):
        rows = max(1, int(width.now / timedelta(seconds=10)))
        width.learn(Window(EDGE, EDGE + width.now), rows, min(rows, 100))
        assert width.now >= timedelta(minutes=4)
    assert width.now <= timedelta(seconds=1100)


def test_one_short_page_does_not_starve_a_search() -> None:
    """An empty page, or one of a single row, before the rest is forgotten within some answers."""
    for longest in (1, 29):
        width = Width(6 * HOUR, PAGE)
        width.learn(Window(EDGE, EDGE + HOUR), 30, longest)
        for _ in range(400):
            rows = int(width.now / timedelta(seconds=30))
            width.learn(Window(EDGE, EDGE + width.now), rows, rows)
        assert width.now >= HOUR


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 1000), st.booleans()), max_size=60))
def test_the_width_stays_usable(answers: list[tuple[int, int, bool]]) -> None:
    """Whatever answers come, the width is whole seconds, at least one, at most the widest, and recovers when quiet."""
    width = Width(HOUR, PAGE)
    for rows, page, cut in answers:
        window = Window(EDGE, EDGE + width.now)
        if cut:
            width.halve(window)
        else:
            width.learn(window, rows, min(rows, page))
        assert ONE_SECOND <= width.now <= HOUR
        assert timedelta(0) == width.now % ONE_SECOND
    for _ in range(40):
        width.learn(Window(EDGE, EDGE + width.now), 0, 0)
    assert HOUR == width.now
