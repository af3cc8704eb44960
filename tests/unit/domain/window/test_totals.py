"""When the number of rows an answer claims is not believed any more."""

from datetime import UTC, datetime, timedelta

from mcwatch.domain.window.ranges import Window
from mcwatch.domain.window.truncation import Totals

_AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def _window(start: int, end: int) -> Window:
    return Window(_AT + timedelta(seconds=start), _AT + timedelta(seconds=end))


def test_the_same_number_for_windows_apart_means_nothing() -> None:
    """Four windows that share no second, not even with the one asked for too early, cannot all hold the same mail."""
    totals = Totals()
    for start in (0, 3, 6):
        totals.note(_window(start, start + 1), 5_000)
        assert not totals.mean_nothing
    totals.note(_window(9, 10), 5_000)
    assert totals.mean_nothing


def test_nested_windows_may_share_all_their_mail() -> None:
    """All mail may lie in one second: the halves that hold it claim what the whole has claimed."""
    totals = Totals()
    for length in (360, 180, 90, 45, 22, 11, 5, 2, 1):
        totals.note(_window(0, length), 5_000)
    totals.note(_window(1, 2), 5_000)
    assert not totals.mean_nothing


def test_another_number_begins_anew() -> None:
    """Numbers that follow the mail are believed."""
    totals = Totals()
    for start, total in enumerate((40, 40, 40, 41, 40, 40, 40)):
        totals.note(_window(10 * start, 10 * start + 1), total)
    assert not totals.mean_nothing


def test_what_was_found_out_stays() -> None:
    """A server that has claimed nonsense once is not asked again."""
    totals = Totals()
    for start in range(0, 40, 10):
        totals.note(_window(start, start + 1), 7)
    totals.note(_window(50, 51), 8)
    assert totals.mean_nothing


def test_parts_that_claim_more_than_the_whole() -> None:
    """Parts that share no second cannot hold more than the window they lie in, but for mail that has come meanwhile."""
    totals = Totals()
    totals.note(_window(0, 360), 900)
    totals.note(_window(0, 90), 880)
    assert not totals.mean_nothing
    totals.note(_window(180, 270), 910)
    assert totals.mean_nothing


def test_parts_that_claim_what_the_whole_did() -> None:
    """Arrivals and a second that both share are no sign."""
    totals = Totals()
    totals.note(_window(0, 360), 900)
    totals.note(_window(0, 90), 500)
    totals.note(_window(90, 180), 500)
    totals.note(_window(180, 270), 440)
    assert not totals.mean_nothing
