"""Properties of the coverage ledger: it never overlaps, forgets nothing that was read, and can be laid in any order."""

import random
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.window.coverage import Cover, Span, covered_until, lay, missing
from mcwatch.domain.window.ranges import ONE_SECOND
from tests.unit.domain.window.ledgers import BOUNDS, EDGE, LENGTH, SPANS, seconds, span

pytestmark = pytest.mark.timeout(10)

KNOWN = {Cover.READ, Cover.AGED}
LEDGERS = st.lists(SPANS, max_size=10)


def laid(spans: Iterable[Span]) -> list[Span]:
    """Return the ledger with these spans laid in this order."""
    ledger: list[Span] = []
    for one in spans:
        ledger = lay(ledger, one)
    return ledger


def by_second(ledger: Iterable[Span]) -> dict[datetime, Cover]:
    """Return what a ledger says of each second."""
    return {second: one.cover for one in ledger for second in seconds([one.window])}


def read(ledger: Iterable[Span]) -> set[datetime]:
    """Return the seconds a ledger claims to have been read."""
    return {second for second, cover in by_second(ledger).items() if cover in KNOWN}


@given(LEDGERS)
def test_spans_never_overlap(spans: list[Span]) -> None:
    """Spans are in order, not empty, disjoint, of kinds that are kept, and joined where of one kind and day."""
    ledger = laid(spans)
    assert all(older.end <= newer.start for older, newer in pairwise(ledger))
    assert all(one.start < one.end and one.cover is not Cover.UNREAD for one in ledger)
    touching = [(older, newer) for older, newer in pairwise(ledger) if older.end == newer.start]
    assert all(older.cover is not newer.cover or older.start.date() != newer.start.date() for older, newer in touching)


@given(LEDGERS, SPANS)
def test_a_second_is_what_is_known_best_of_it(spans: list[Span], new: Span) -> None:
    """Each second keeps the best of what was known and what came; unread alone takes away."""
    before, after = by_second(laid(spans)), by_second(laid([*spans, new]))
    rank = {None: 0, Cover.GAP: 1, Cover.INCOMPLETE: 2, Cover.READ: 3, Cover.AGED: 3}
    inside = set(seconds([new.window]))
    for number in range(LENGTH + 2):
        second = EDGE + number * ONE_SECOND
        if second not in inside:
            assert before.get(second) == after.get(second)
        elif new.cover is Cover.UNREAD:
            assert second not in after
        else:
            assert max(rank[before.get(second)], rank[new.cover]) == rank[after.get(second)]


@given(LEDGERS, SPANS)
def test_what_was_read_is_only_taken_away_by_unread(spans: list[Span], new: Span) -> None:
    """No claim to have read is lost, and none comes but by reading."""
    before, after = read(laid(spans)), read(laid([*spans, new]))
    inside = set(seconds([new.window]))
    expected = before - inside if new.cover is Cover.UNREAD else before | (inside if new.cover is Cover.READ else set())
    assert expected == after


@given(LEDGERS, SPANS)
def test_laying_twice_is_laying_once(spans: list[Span], new: Span) -> None:
    """A page that is committed again changes nothing."""
    once = laid([*spans, new])
    assert once == lay(once, new)


@given(st.lists(SPANS.filter(lambda one: one.cover is not Cover.UNREAD), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_laying_does_not_matter(spans: list[Span], rng: random.Random) -> None:
    """What is read, incomplete, gap and missing is the same in whatever order it became known."""
    shuffled = list(spans)
    rng.shuffle(shuffled)
    one, other = by_second(laid(spans)), by_second(laid(shuffled))
    assert read(laid(spans)) == read(laid(shuffled))
    assert one.keys() == other.keys()
    assert {second for second in one if one[second] not in KNOWN} == {s for s in other if other[s] not in KNOWN}


@given(LEDGERS, SPANS)
def test_only_what_touches_need_be_looked_at(spans: list[Span], new: Span) -> None:
    """Laying over the spans that touch a new one alone, as the store does, says the same of every second."""
    ledger = laid(spans)
    touching = [one for one in ledger if one.start <= new.end and one.end >= new.start]
    others = [one for one in ledger if one not in touching]
    found = sorted([*others, *lay(touching, new)], key=lambda one: one.start)
    assert all(older.end <= newer.start for older, newer in pairwise(found))
    assert by_second(lay(ledger, new)) == by_second(found)


@given(LEDGERS, BOUNDS)
def test_missing_and_known_are_everything(spans: list[Span], bounds: tuple[int, int]) -> None:
    """Of what is owed each second is known or missing, and nothing is missing before it is covered until."""
    ledger, owed = laid(spans), span(*bounds).window
    holes = missing(ledger, owed.start, owed.end)
    assert sorted(set(seconds([owed])) - by_second(ledger).keys()) == seconds(holes)
    until = covered_until(ledger, owed.start, owed.end)
    assert owed.start <= until <= owed.end
    assert all(second in by_second(ledger) for second in seconds([owed]) if second < until)
    assert until == owed.end or until not in by_second(ledger)


@given(st.integers(0, 14 * 86400), BOUNDS)
def test_aged_is_what_was_read_after_a_week(at: int, bounds: tuple[int, int]) -> None:
    """A second is aged exactly when more than seven days lay between it and its reading."""
    ledger = lay([], span(*bounds, Cover.READ, at))
    found = EDGE + at * ONE_SECOND
    for second, cover in by_second(ledger).items():
        assert (cover is Cover.AGED) == ((found - second).total_seconds() > 7 * 86400)
