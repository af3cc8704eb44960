"""Adding up a verification, and its words."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mcwatch.domain.backfill import ranges_of
from mcwatch.domain.tally import Tally, verdict_in_words
from mcwatch.domain.verification import (
    MOST_MISSING,
    MissingRow,
    RowCounts,
    SearchPlan,
    Verdict,
    VerifiedStep,
    VerifyPlan,
)
from mcwatch.domain.window.ranges import Window

AT = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _mark(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _plan(*names: str, hours: int = 2) -> VerifyPlan:
    whole = Window(AT, AT + hours * HOUR)
    return VerifyPlan(
        account="acme",
        start=whole.start,
        end=whole.end,
        version="1",
        began_at=AT,
        windows=ranges_of(whole.pieces(HOUR)),
        searches=[
            SearchPlan(name=name, label=f"to {name}", covered=ranges_of([whole]), not_yet_read=[], unverifiable=[])
            for name in names
        ],
    )


def _found(unverifiable: Window | None = None, repaired: int = 0, **numbers: list[int]) -> VerifiedStep:
    marks = {Verdict(name): b"".join(map(_mark, given)) for name, given in numbers.items()}
    missing = [
        MissingRow(received_at=AT, status="held", event_id=_mark(one).hex(), search="as the step calls it")
        for one in numbers.get("missing", [])[:MOST_MISSING]
    ]
    return VerifiedStep(
        marks=marks, missing=missing, unverifiable=ranges_of([unverifiable] if unverifiable else []), repaired=repaired
    )


def test_every_window_of_every_search_is_asked_for() -> None:
    """Window by window, so that a mail of several searches is found at one time."""
    steps = list(Tally(_plan("a", "b"), repair=True).steps())
    assert [("a", 0), ("b", 0), ("a", 1), ("b", 1)] == [(one.search, (one.start - AT) // HOUR) for one in steps]
    assert all(one.repair for one in steps)
    assert [ranges_of([Window(AT, AT + HOUR + timedelta(seconds=1))])[0]] == steps[0].covered


def test_a_window_with_very_many_holes_is_asked_for_in_parts() -> None:
    """A request holds some hundred ranges."""
    plan = _plan("a", hours=1)
    parts = [Window(AT + timedelta(seconds=at), AT + timedelta(seconds=at + 1)) for at in range(0, 3_600, 4)]
    [search] = [msgspec.structs.replace(one, covered=ranges_of(parts)) for one in plan.searches]
    steps = list(Tally(msgspec.structs.replace(plan, searches=[search]), repair=False).steps())
    assert 4 == len(steps)
    assert [AT, AT + HOUR] == [steps[0].start, steps[-1].end]
    assert 300 >= max(len(one.covered) for one in steps)


def test_a_row_counts_once_with_its_firmest_verdict() -> None:
    """In the total; for each search as that one shows it."""
    tally = Tally(_plan("a", "b"), repair=False)
    first, second, third, fourth = tally.steps()
    tally.add(first, _found(known=[1], missing=[2], not_yet_read=[3, 4]))
    tally.add(second, _found(known=[1, 2, 3], changed=[4]))
    tally.add(third, _found(missing=[2, 5]))
    tally.add(fourth, _found())
    report = tally.report()
    assert RowCounts(rows=5, known=2, changed=1, missing=2) == report.total
    assert [RowCounts(rows=5, known=1, missing=2, not_yet_read=2), RowCounts(rows=4, known=3, changed=1)] == [
        one.counts for one in report.searches
    ]
    assert {"to a"} == {row.search for row in report.missing}
    assert report.complete


def test_what_could_not_be_shown_makes_it_incomplete() -> None:
    """Only within the range."""
    tally = Tally(_plan("a", hours=1), repair=False)
    (step,) = tally.steps()
    tally.add(step, _found(Window(AT - HOUR, AT + HOUR / 2), known=[1]))
    report = tally.report()
    assert not report.complete
    assert ranges_of([Window(AT, AT + HOUR / 2)]) == report.searches[0].unverifiable


def test_a_thousand_missing_rows_are_listed_and_all_counted() -> None:
    """However many steps name them."""
    tally = Tally(_plan("a"), repair=False)
    for at, step in enumerate(tally.steps()):
        tally.add(step, _found(missing=list(range(at * 900, at * 900 + 900))))
    report = tally.report()
    assert (MOST_MISSING, 1_800) == (len(report.missing), report.total.missing)
    assert "1,800 rows read, 1,800 missing" == tally.words


@pytest.mark.parametrize(
    ("counts", "complete", "repair", "words"),
    [
        (RowCounts(known=12_345), True, False, "nothing is missing: 12,345 rows read, all known"),
        (RowCounts(known=1), True, True, "nothing is missing: 1 row read, all known"),
        (RowCounts(known=5, changed=2), True, False, "nothing is missing: 7 rows read, 5 known, 2 changed since"),
        (
            RowCounts(known=5, not_yet_read=1),
            False,
            False,
            "nothing is missing: 5 rows read, all known; a part of the range could not be judged",
        ),
        (RowCounts(missing=7), True, False, "7 messages are missing, of 7 rows read"),
        (RowCounts(known=1, missing=1), True, False, "1 message is missing, of 2 rows read"),
        (
            RowCounts(known=1, missing=1, repaired=1),
            True,
            True,
            "1 message was missing, 1 recorded now, of 2 rows read",
        ),
        (RowCounts(), True, False, "nothing is missing: 0 rows read, all known"),
        (
            RowCounts(not_yet_read=5),
            False,
            False,
            "nothing could be judged: the range had not been read, or the API does not show it completely",
        ),
    ],
)
def test_the_answer_in_words(counts: RowCounts, complete: bool, repair: bool, words: str) -> None:
    """One sentence that can be quoted."""
    assert words == verdict_in_words(counts, complete=complete, repair=repair)


def test_parts_of_a_window_count_each_row_once() -> None:
    """With the firmest verdict, also for the search alone."""
    tally = Tally(_plan("a", "b", hours=1), repair=False)
    first, second = tally.steps()
    half = msgspec.structs.replace(first, start=AT + HOUR / 2)
    tally.add(first, _found(known=[1, 2], not_yet_read=[3]))
    tally.add(half, _found(known=[2, 3, 4]))
    tally.add(second, _found(known=[1, 2, 3, 4]))
    report = tally.report()
    assert [RowCounts(rows=4, known=4)] * 2 == [one.counts for one in report.searches]
    assert RowCounts(rows=4, known=4) == report.total


def test_what_turns_out_to_have_been_cut_is_named_until_it_is_read() -> None:
    """What polls could not read whole stays unverifiable; what is left of a step has not been read."""
    plan = _plan("a")
    lost = ranges_of([Window(AT, AT + HOUR / 4)])
    plan = msgspec.structs.replace(plan, searches=[msgspec.structs.replace(plan.searches[0], unverifiable=lost)])
    tally = Tally(plan, repair=False)
    first, second = tally.steps()
    tally.add(first, _found(Window(AT + HOUR, AT + 2 * HOUR)))
    rest = ranges_of([Window(AT + 1.5 * HOUR, AT + 2 * HOUR)])
    tally.add(second, msgspec.structs.replace(_found(Window(AT + HOUR / 2, AT + HOUR)), rest=rest))
    halfway = tally.report().searches[0].unverifiable
    tally.add(msgspec.structs.replace(second, start=AT + 1.5 * HOUR), _found())
    report = tally.report()
    assert [*lost, *ranges_of([Window(AT + HOUR / 2, AT + HOUR)]), *rest] == halfway
    assert [*lost, *ranges_of([Window(AT + HOUR / 2, AT + HOUR)])] == report.searches[0].unverifiable
    assert not report.complete
