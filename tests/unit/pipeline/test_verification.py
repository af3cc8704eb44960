"""The comparison of a page with what was recorded, over a real store."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from mcwatch.domain.backfill import ranges_of
from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.event import finder_fingerprints, prefix
from mcwatch.domain.identity import Identity
from mcwatch.domain.page import FinderPage
from mcwatch.domain.record import Record, Unreadable
from mcwatch.domain.verification import Verdict, VerifiedStep
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import ONE_SECOND, Window
from mcwatch.pipeline.verification import Asked, Comparison
from tests.unit.pipeline.lab import AT, Lab, page, row

SECS = timedelta(seconds=1)
WINDOW = Window(AT, AT + 100 * SECS)
ALL = [Window(AT - SECS, AT + 101 * SECS)]


class Verified:
    """A comparison in the lab, and what it found."""

    def __init__(self, lab: Lab, covered: Sequence[Window] = ALL, *, repair: bool = False) -> None:
        self._comparison = Comparison(lab.feed, lab.store, lab.ingest(), Asked(WINDOW, covered), clock=lab.clock)
        self._repair = repair

    async def add(self, *pages: FinderPage) -> VerifiedStep:
        """Compare pages."""
        for one in pages:
            await self._comparison.add(one, repair=self._repair)
        return self._comparison.found("to corp.example")


def counts(found: VerifiedStep) -> dict[Verdict, int]:
    """Return how many rows have each verdict."""
    return {verdict: len(marks) // 16 for verdict, marks in found.marks.items()}


async def test_verdicts(lab: Lab) -> None:
    """A row is known by its state; another state of a known mail has changed; all else is missing."""
    await lab.ingest().commit(page([row(1), row(2), row(3, secs=5)]))
    found = await Verified(lab).add(page([row(1), row(2, "archived"), row(4, secs=5), row(5, secs=9)]))
    assert {Verdict.KNOWN: 1, Verdict.CHANGED: 1, Verdict.MISSING: 2} == counts(found)
    marks = finder_fingerprints(prefix("acme", "message_finder"), [row(4, secs=5), row(5, secs=9)])
    assert [mark.hex() for mark in marks] == [one.event_id for one in found.missing]


async def test_without_repair_nothing_is_written(lab: Lab) -> None:
    """No event, no count, no coverage, no cursor, no fingerprint, whatever the page brings."""
    await lab.ingest().commit(page([row(1)]))
    before = await lab.store.snapshot(), await lab.store.progress(lab.feed), dict(lab.store.heads())
    span = Span(WINDOW.start, WINDOW.end, Cover.READ, AT)
    whole = FinderPage(
        rows=[row(1, "held"), row(2)], unreadable=[Unreadable(b"[]", "no")], cursors={"x": b"1"}, covered={"x": [span]}
    )
    first = counts(await Verified(lab).add(whole))
    again = counts(await Verified(lab).add(whole))
    assert {Verdict.CHANGED: 1, Verdict.MISSING: 2} == first == again
    snapshot, progress, heads = await lab.store.snapshot(), await lab.store.progress(lab.feed), dict(lab.store.heads())
    assert before[1:] == (progress, heads)
    assert before[0].feeds == snapshot.feeds


async def test_two_states_of_a_mail_of_which_nothing_is_known_are_both_missing(lab: Lab) -> None:
    """Though the second one would change the first one if they were recorded."""
    found = await Verified(lab).add(page([row(1, "deferred"), row(1, "accepted")]))
    assert {Verdict.MISSING: 2} == counts(found)


async def test_an_identical_mail_too_many_is_missing(lab: Lab) -> None:
    """All chains of its key have shown its status, so it is another mail."""

    def twin(name: str) -> Record:
        made = row(1)
        made.id = name
        return made

    await lab.ingest().commit(page([twin("a")]))
    found = await Verified(lab).add(page([twin("a"), twin("b")]))
    assert {Verdict.KNOWN: 1, Verdict.MISSING: 1} == counts(found)


@pytest.mark.parametrize("identity", list(Identity))
async def test_repair_records_what_is_missing_and_nothing_else(lab: Lab, identity: Identity) -> None:
    """Changed rows are left to the rescans; the counts speak of the missing rows alone."""
    read = FinderPage(rows=[row(1), row(2)], identity=identity)
    shown = FinderPage(rows=[row(1), row(2, "archived"), row(3), row(3)], identity=identity)
    await lab.ingest().commit(read)
    (before,) = (await lab.store.snapshot()).feeds
    found = await Verified(lab, repair=True).add(shown, shown)
    again = await Verified(lab).add(shown)
    (after,) = (await lab.store.snapshot()).feeds
    twins = 1 if identity is Identity.ID else 2
    assert {Verdict.KNOWN: 1, Verdict.CHANGED: 1, Verdict.MISSING: twins} == counts(found)
    assert twins == found.repaired
    assert {Verdict.KNOWN: 1 + twins, Verdict.CHANGED: 1} == counts(again)
    assert (before.new + twins, before.duplicate) == (after.new, after.duplicate)
    assert 2 + twins == lab.store.heads()[lab.acme]
    assert 2 + twins == lab.metric("events_total", account="acme", kind="message.seen")


async def test_unreadable_rows(lab: Lab) -> None:
    """Known by their bytes; a missing one becomes a dead letter when repaired."""
    await lab.ingest().commit(FinderPage(rows=[], unreadable=[Unreadable(b"[1]", "no object")]))
    both = FinderPage(rows=[], unreadable=[Unreadable(b"[1]", "no object"), Unreadable(b"[2]", "no object")])
    found = await Verified(lab, repair=True).add(both)
    assert {Verdict.KNOWN: 1, Verdict.MISSING: 1} == counts(found)
    assert (None, None) == (found.missing[0].received_at, found.missing[0].status)
    assert 2 == len(await lab.store.dead_letters(None, 10))


@pytest.mark.parametrize(
    ("covered", "at", "expected"),
    [
        (ALL, 10 * SECS, Verdict.MISSING),
        ([Window(AT, AT + 10 * SECS)], 9 * SECS, Verdict.MISSING),
        ([Window(AT, AT + 10 * SECS)], 10 * SECS, Verdict.NOT_YET_READ),
        ([], 10 * SECS, Verdict.NOT_YET_READ),
        (ALL, -1 * SECS, Verdict.MISSING),  # the second before is shown too, and was read
        ([WINDOW], -1 * SECS, None),  # ... but not read: it is the neighbour's
        ([WINDOW], 100 * SECS, None),
        (ALL, -1000 * SECS, Verdict.MISSING),  # found by another time than its own
        ([Window(AT, AT + 10 * SECS)], -1000 * SECS, Verdict.NOT_YET_READ),
        (ALL, None, Verdict.MISSING),
        ([WINDOW], None, Verdict.MISSING),
        ([Window(AT, AT + 10 * SECS)], None, Verdict.NOT_YET_READ),
    ],
)
async def test_only_what_had_been_read_is_judged(
    lab: Lab, covered: list[Window], at: timedelta | None, expected: Verdict | None
) -> None:
    """By the second that the row speaks of; one that speaks of none of the window's by the whole window."""
    made = row(1)
    made.received_at = None if at is None else AT + at
    found = await Verified(lab, covered).add(page([made]))
    assert ({} if expected is None else {expected: 1}) == counts(found)


async def test_a_known_row_of_the_neighbours_is_theirs(lab: Lab) -> None:
    """And one whose time had not been read is known all the same when it was recorded."""
    rows = [row(1, secs=-1), row(2, secs=100), row(3, secs=50)]
    await lab.ingest().commit(page(rows))
    found = await Verified(lab, []).add(page(rows))
    assert {Verdict.KNOWN: 1} == counts(found)


async def test_what_is_not_shown_whole_is_named_until_it_is(lab: Lab) -> None:
    """A second that is incomplete, a range that should not have been believed; what is read after all is not."""

    def covering(cover: Cover, start: datetime, secs: int) -> FinderPage:
        return FinderPage(rows=[], covered={"x": [Span(start, start + secs * SECS, cover, AT)]})

    pages = (
        covering(Cover.INCOMPLETE, AT, 1),
        covering(Cover.UNREAD, AT + 10 * SECS, 10),
        covering(Cover.READ, AT + 10 * SECS, 5),
    )
    found = await Verified(lab).add(*pages)
    assert [(AT, AT + ONE_SECOND), (AT + 15 * SECS, AT + 20 * SECS)] == [
        (one.start, one.end) for one in found.unverifiable
    ]


async def test_what_is_left_for_another_step_is_not_yet_named(lab: Lab) -> None:
    """It is read again then."""
    span = Span(AT, AT + 20 * SECS, Cover.UNREAD, AT)
    comparison = Comparison(lab.feed, lab.store, lab.ingest(), Asked(WINDOW, ALL), clock=lab.clock)
    await comparison.add(FinderPage(rows=[], covered={"x": [span]}), repair=False)
    rest = [Window(AT + 10 * SECS, AT + 100 * SECS)]
    found = comparison.found("to corp.example", rest)
    assert (ranges_of([Window(AT, AT + 10 * SECS)]), ranges_of(rest)) == (found.unverifiable, found.rest)


async def test_a_comparison_cannot_write(lab: Lab) -> None:
    """What only reads runs where nothing can be written."""
    with pytest.raises(StoreUnavailable):
        await lab.store.read_page(lab.feed, lambda transaction: transaction.set_cursor("x", b"1"))
    assert not (await lab.store.progress(lab.feed)).cursors


def test_ranges_in_any_order_say_what_was_read() -> None:
    """Also those that touch."""
    asked = Asked(WINDOW, [Window(AT + 50 * SECS, AT + 100 * SECS), Window(AT, AT + 40 * SECS), Window(AT, AT + SECS)])
    seconds = [0, 39, 40, 49, 50, 99, 100, -1]
    assert [True, True, False, False, True, True, False, False] == [asked.judges(AT + at * SECS) for at in seconds]
    assert not asked.judges(None)
    assert Asked(WINDOW, [Window(AT + 50 * SECS, AT + 100 * SECS), Window(AT, AT + 50 * SECS)]).judges(None)
