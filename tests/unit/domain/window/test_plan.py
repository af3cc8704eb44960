"""Which windows are asked for, by example."""

from datetime import timedelta

import pytest

from mcwatch.domain.window.coverage import Cover, Span, lay
from mcwatch.domain.window.plan import Reach, fresh_window, lost, missed, not_believed
from mcwatch.domain.window.ranges import ONE_SECOND, Window
from tests.unit.domain.window.ledgers import DAY, HOUR, MINUTE, NOW

REACH = Reach(overlap=5 * MINUTE, fresh=3 * MINUTE, first=3 * HOUR, step=2 * HOUR, history=28 * DAY)


def known(start: timedelta, end: timedelta, cover: Cover = Cover.READ, at: timedelta | None = None) -> Span:
    """Return the span between two times before now, found when it ended unless told otherwise."""
    return Span(NOW - start, NOW - end, cover, NOW - (end if at is None else at))


def ago(start: timedelta, end: timedelta = timedelta(0)) -> Window:
    """Return the window between two times before now."""
    return Window(NOW - start, NOW - end)


def test_the_first_poll_begins_with_the_newest() -> None:
    """A search never read is read a few minutes back; all before that is missing."""
    assert ago(8 * MINUTE) == fresh_window([], NOW, REACH)
    assert [ago(3 * HOUR, HOUR), ago(HOUR)] == list(missed([], NOW - 3 * HOUR, NOW, REACH))


def test_a_poll_overlaps_the_one_before() -> None:
    """The fresh window goes back by the overlap from the newest moment known, of whatever kind."""
    for cover in (Cover.READ, Cover.INCOMPLETE, Cover.GAP):
        assert ago(6 * MINUTE) == fresh_window([known(HOUR, MINUTE, cover)], NOW, REACH)


def test_after_a_stop_the_newest_does_not_wait() -> None:
    """The fresh window reaches no farther back than a few polls and the overlap; the rest is missed."""
    spans = [known(9 * HOUR, 3 * HOUR)]
    assert ago(8 * MINUTE) == fresh_window(spans, NOW, REACH)
    spans = lay(spans, Span(NOW - 8 * MINUTE, NOW, Cover.READ, NOW))
    assert [ago(3 * HOUR + 5 * MINUTE, HOUR), ago(HOUR, 8 * MINUTE)] == list(missed(spans, NOW - 9 * HOUR, NOW, REACH))


def test_catching_up_needs_no_overlap_where_late_rows_were_seen() -> None:
    """What was read again, or for the first time, later than the overlap after its end is not read once more."""
    spans = [known(9 * HOUR, 3 * HOUR, at=3 * HOUR - 5 * MINUTE)]
    assert [ago(3 * HOUR, HOUR), ago(HOUR)] == list(missed(spans, NOW - 9 * HOUR, NOW, REACH))
    for cover in (Cover.GAP, Cover.INCOMPLETE, Cover.AGED):
        spans = [known(9 * HOUR, 3 * HOUR, cover)]
        assert ago(3 * HOUR, HOUR) == next(missed(spans, NOW - 9 * HOUR, NOW, REACH))


def test_the_overlap_ends_where_reading_began() -> None:
    """Before a hole no more is read again than was read."""
    spans = [known(HOUR + MINUTE, HOUR)]
    assert ago(HOUR + MINUTE) == next(missed(spans, NOW - HOUR - MINUTE, NOW, REACH))


def test_holes_are_caught_up_oldest_first() -> None:
    """Every hole is missed, from the oldest to the newest."""
    spans = [known(8 * HOUR, 7 * HOUR, Cover.GAP), known(6 * HOUR, 0 * HOUR, Cover.INCOMPLETE)]
    assert [ago(9 * HOUR, 8 * HOUR), ago(7 * HOUR, 6 * HOUR)] == list(missed(spans, NOW - 9 * HOUR, NOW, REACH))


def test_what_left_the_history_is_lost_and_not_missed() -> None:
    """Beyond the history nothing is asked for, not even for the overlap; it is lost."""
    spans = [known(40 * DAY, 30 * DAY), known(27 * DAY, 0 * DAY)]
    assert [ago(30 * DAY, 28 * DAY)] == lost(spans, NOW - 40 * DAY, NOW, REACH)
    assert ago(28 * DAY, 28 * DAY - 2 * HOUR) == next(missed(spans, NOW - 40 * DAY, NOW, REACH))
    assert [] == lost(spans, NOW - 28 * DAY, NOW, REACH)
    edge = [known(40 * DAY, 28 * DAY), known(28 * DAY - HOUR, 0 * DAY)]
    assert [ago(28 * DAY, 28 * DAY - HOUR)] == list(missed(edge, NOW - 40 * DAY, NOW, REACH))


def test_a_short_history_bounds_the_fresh_window() -> None:
    """Where the API's clock stands at the beginning of its history there is nothing to ask for."""
    short = Reach(overlap=5 * MINUTE, fresh=3 * MINUTE, first=HOUR, step=HOUR, history=timedelta(0))
    assert fresh_window([], NOW, short) is None
    short = Reach(overlap=5 * MINUTE, fresh=3 * MINUTE, first=HOUR, step=HOUR, history=MINUTE)
    assert ago(MINUTE) == fresh_window([], NOW, short)


def test_no_overlap_and_nothing_new() -> None:
    """Without overlap, a search that has read up to now has no fresh window."""
    reach = Reach(overlap=timedelta(0), fresh=MINUTE, first=HOUR, step=HOUR, history=DAY)
    assert fresh_window([known(HOUR, timedelta(0))], NOW, reach) is None


def test_claims_of_the_future_are_not_believed() -> None:
    """What is claimed beyond now by more than clocks differ is taken back from now on, at all its places."""
    spans = [known(HOUR, -MINUTE), known(-HOUR, -2 * HOUR, Cover.GAP)]
    assert [ago(timedelta(0), -MINUTE), ago(-HOUR, -2 * HOUR)] == not_believed(spans, NOW, MINUTE)
    assert [] == not_believed(spans[:1], NOW, MINUTE)
    assert ago(5 * MINUTE) == fresh_window(spans, NOW, REACH)


def test_gaps_found_in_the_future_are_not_believed() -> None:
    """A gap that a clock far ahead found is no gap, though its range is past; what was read then was read."""
    gap, read = known(9 * DAY, 8 * DAY, Cover.GAP, at=-20 * DAY), known(8 * DAY, timedelta(0), at=-20 * DAY)
    assert [gap.window] == not_believed([gap, read], NOW, MINUTE)
    assert [] == not_believed([known(40 * DAY, 29 * DAY, Cover.GAP, at=-ONE_SECOND)], NOW, MINUTE)


@pytest.mark.parametrize("step", [ONE_SECOND, MINUTE])
def test_the_next_window_is_found_without_listing_all(step: timedelta) -> None:
    """A month to catch up in small steps costs no more to plan than its first window."""
    reach = Reach(overlap=5 * MINUTE, fresh=3 * MINUTE, first=HOUR, step=step, history=28 * DAY)
    windows = [next(missed([], NOW - 28 * DAY, NOW, reach)) for _ in range(1000)]
    assert {Window(NOW - 28 * DAY, NOW - 28 * DAY + step)} == set(windows)
