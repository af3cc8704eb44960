"""Properties of the link: never two ways, whatever came in which order."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.event import message_of
from mcwatch.domain.fingerprint import second_of
from mcwatch.domain.passage import (
    TOLERANCE_MS,
    KeptPassage,
    Links,
    Mail,
    Passage,
    link,
    mail_of,
    passage_of,
    places_near,
    places_of,
)
from mcwatch.domain.record import Record
from tests.unit.domain.rows import queue_row, records

AT = 1_767_605_342_000
TIMES = st.integers(-3, 3).map(lambda number: AT + number * TOLERANCE_MS // 2)
STAYS = st.lists(
    st.builds(
        lambda traits, entry, visit, at, taken: KeptPassage(
            Passage(0, traits, b"%d.%d" % (traits, entry), visit, "processing", at), taken
        ),
        st.integers(1, 2), st.integers(1, 3), st.integers(0, 2), TIMES, st.booleans(),
    ),
    max_size=6,
    unique_by=lambda one: (one.passage.entry, one.passage.visit),
)  # fmt: skip
MAILS = st.lists(st.tuples(st.integers(1, 2), TIMES), max_size=5).map(
    lambda drawn: [Mail(number, traits, at) for number, (traits, at) in enumerate(drawn)]
)
WELL_FORMED = st.text(st.characters(codec="utf-8"), max_size=4)


def fitting(mail: Mail, stays: Iterable[KeptPassage]) -> set[bytes]:
    """Return the entries that can be the mail's, said as plainly as possible."""
    return {
        one.passage.entry
        for one in stays
        if one.passage.traits == mail.traits and abs(one.passage.created_ms - mail.received_ms) <= TOLERANCE_MS
    }


def linked(links: Links) -> dict[int, tuple[bytes, int]]:
    """Return which stay each mail was linked to."""
    return {number: (one.passage.entry, one.passage.visit) for number, one in links.by_mail.items()}


@given(MAILS, STAYS)
def test_a_link_is_the_only_one_possible(mails: list[Mail], stays: list[KeptPassage]) -> None:
    """A mail is linked if one entry fits it, nothing else fits that entry, none of its stays is taken, else not."""
    taken = {one.passage.entry for one in stays if one.taken}
    fits = {mail.number: fitting(mail, stays) for mail in mails}
    suitors = Counter(entry for entries in fits.values() for entry in entries)
    expected = {
        number: entry
        for number, entries in fits.items()
        for entry in entries
        if len(entries) == 1 and suitors[entry] == 1 and entry not in taken
    }
    links = link(mails, stays)
    assert expected == {number: entry for number, (entry, _) in linked(links).items()}
    contested = {entry for entry, count in suitors.items() if count > 1} - taken
    assert {one.entry for one in links.taken} >= set(expected.values()) | contested
    assert {one.entry for one in links.taken} <= set(expected.values()) | {e for e, n in suitors.items() if n > 1}


@given(MAILS, STAYS, st.randoms(use_true_random=False))
def test_order_plays_no_part(mails: list[Mail], stays: list[KeptPassage], random: Random) -> None:
    """Mails and stays in any order give the same links."""
    one = link(mails, stays)
    other = link(random.sample(mails, len(mails)), random.sample(stays, len(stays)))
    assert linked(one) == linked(other)
    assert {(stay.entry, stay.visit) for stay in one.taken} == {(stay.entry, stay.visit) for stay in other.taken}


@given(st.lists(MAILS, max_size=4), STAYS)
def test_no_entry_is_linked_twice(pages: list[list[Mail]], stays: list[KeptPassage]) -> None:
    """Over any pages, with what was taken remembered, an entry is linked to one mail at most."""
    free: Sequence[KeptPassage] = stays
    entries = []
    for page in pages:
        links = link(page, free)
        entries += [entry for entry, _ in linked(links).values()]
        free = [replace(one, taken=one.taken or one.passage in links.taken) for one in free]
    assert len(entries) == len(set(entries))


@given(
    st.datetimes(min_value=datetime(2010, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    st.integers(-TOLERANCE_MS, TOLERANCE_MS),
    st.integers(0, 2**30),
)
def test_what_fits_lies_where_it_is_looked_for(created: datetime, apart_ms: int, later_ms: int) -> None:
    """The places near a mail hold every stay within the tolerance, and those of a page hold those of its mails."""
    passage = passage_of(message_of(queue_row(created_at=created), "k"), b"e", 0, "processing")
    assert passage is not None
    received_ms = passage.created_ms + apart_ms
    own = {place for place, _ in places_of([Mail(0, 1, received_ms)])}
    assert passage.place in own
    assert own <= set(places_near(received_ms, received_ms + later_ms))


@given(records(WELL_FORMED), records(WELL_FORMED))
def test_any_rows_are_linked_or_not(entry: Record, row: Record) -> None:
    """Whatever the feeds say, a stay that fits lies in a place that is asked for."""
    passage = passage_of(message_of(entry, "k"), b"e", 0, "processing")
    mail = mail_of(message_of(row, "k"), 0, second_of(row, bytes(16)))
    if passage is None or mail is None:
        return
    if linked(link([mail], [KeptPassage(passage)])):
        assert (passage.place, passage.traits) in places_of([mail])
