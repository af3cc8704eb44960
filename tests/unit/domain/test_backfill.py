"""How an interrupted backfill goes on."""

from datetime import UTC, datetime, timedelta

import pytest

from mcwatch.domain.backfill import (
    RESUMES_WITHIN,
    BackfillCounts,
    BackfilledStep,
    BackfillPlan,
    Interrupted,
    Progress,
    RangeRequest,
    begin_report,
    check_window,
    cursor_name,
    decode_progress,
    encode_progress,
    plan_steps,
    ranges_of,
    whole_range,
)
from mcwatch.domain.errors import PermanentError
from mcwatch.domain.status import RangeStatus
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import Window

AT = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
WHOLE = Window(AT, AT + 4 * HOUR)


def hours(start: float, end: float) -> Window:
    """Return a window in hours after the beginning."""
    return Window(AT + start * HOUR, AT + end * HOUR)


def stored(read: Window, at: datetime = AT, whole: Window = WHOLE) -> dict[str, bytes]:
    """Return the cursor of an interrupted run."""
    return {cursor_name(whole): encode_progress(Progress(at, {"a": ranges_of([read])}))}


def test_the_name_tells_the_range() -> None:
    """And no other cursor is taken for one."""
    assert "backfill:2026-01-05T00:00:00Z/2026-01-05T04:00:00Z" == cursor_name(WHOLE)
    assert WHOLE == whole_range(cursor_name(WHOLE))
    assert [None, None] == [whole_range(name) for name in ("to=corp.example", "all")]
    assert decode_progress(None) is None


def test_what_was_read_is_not_owed() -> None:
    """Of the search that read it, by a run over this range or one that overlaps it."""
    interrupted = Interrupted(stored(hours(-1, 2), whole=hours(-1, 5)), WHOLE, AT)
    assert [hours(2, 4)] == interrupted.owed("a")
    assert [WHOLE] == interrupted.owed("b")
    assert AT == interrupted.stopped_at


@pytest.mark.parametrize("age", [RESUMES_WITHIN, -RESUMES_WITHIN])
def test_what_was_read_long_ago_is_owed_again(age: timedelta) -> None:
    """Also by the word of a clock that was wrong; its cursor is of no more use."""
    interrupted = Interrupted(stored(hours(0, 2), AT - age * 1.01), WHOLE, AT)
    assert ([WHOLE], [cursor_name(WHOLE)]) == (interrupted.owed("a"), interrupted.names)


def test_another_range_is_left_alone() -> None:
    """While its run may go on."""
    interrupted = Interrupted({**stored(hours(4, 5), whole=hours(4, 6)), "all": b"{}"}, WHOLE, AT)
    assert ([WHOLE], []) == (interrupted.owed("a"), interrupted.names)


def test_what_should_not_have_been_believed_is_to_be_read_again() -> None:
    """An incomplete second is done, for there is no more to be had."""
    progress = Progress(AT, {"a": ranges_of([hours(0, 2)])})
    covered = [
        Span(AT, AT + HOUR, Cover.UNREAD, AT),
        Span(AT + 2 * HOUR, AT + 3 * HOUR, Cover.READ, AT),
        Span(AT + 3 * HOUR, AT + 4 * HOUR, Cover.INCOMPLETE, AT),
    ]
    assert [hours(1, 4)] == progress.after("a", covered, AT).windows("a")


def test_steps_are_cut_and_go_by_time() -> None:
    """The oldest windows of all searches come first."""
    request = RangeRequest(account="acme", start=WHOLE.start, end=WHOLE.end)
    steps = plan_steps(request, {"b": [hours(0, 1.5)], "a": [hours(1, 2)]}, HOUR)
    assert [("b", hours(0, 1)), ("b", hours(1, 1.5)), ("a", hours(1, 2))] == [(one.search, one.window) for one in steps]
    assert {RangeStatus(WHOLE.start, WHOLE.end)} == {one.whole for one in steps}


def test_the_report_adds_up() -> None:
    """By search and altogether; a search that had nothing to do is there."""
    plan = BackfillPlan(
        account="acme", start=AT, end=AT + HOUR, version="1", began_at=AT, steps=[], labels={"a": "to a", "b": "to b"}
    )
    report = begin_report(plan)
    step = BackfilledStep(counts=BackfillCounts(rows=3, new=1, known=2), incomplete=ranges_of([hours(0, 1)]))
    report.add("to a", step)
    report.add("to a", step)
    assert {"to a": BackfillCounts(rows=6, new=2, known=4), "to b": BackfillCounts()} == report.searches
    assert (BackfillCounts(rows=6, new=2, known=4), 2) == (report.total, len(report.incomplete))


@pytest.mark.parametrize("window", [hours(1, 1), hours(2, 1), Window(datetime(2026, 1, 5), datetime(2026, 1, 6))])  # noqa: DTZ001
def test_what_is_no_range_is_refused(window: Window) -> None:
    """It must begin before it ends, and say when on the world's clock."""
    with pytest.raises(PermanentError, match="begin before it ends"):
        check_window(window)
