"""Which mail passed the queue as which stay: the cases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

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
    milliseconds_of,
    passage_of,
    places_of,
    traits_of,
)
from mcwatch.domain.record import Address, Record, WireAddress
from tests.unit.domain.rows import RECEIVED, finder_row, queue_row

AT = milliseconds_of(RECEIVED) or 0
SECOND = AT // 1000


def traits(row: Record) -> int | None:
    """Return the traits of a row, as its event shows it."""
    return traits_of(message_of(row, "key"))


def mail(number: int = 0, *, traits: int = 1, at_ms: int = 0) -> Mail:
    """Return a mail received so long after the others."""
    return Mail(number, traits, AT + at_ms)


def stay(entry: bytes = b"e", *, visit: int = 0, traits: int = 1, at_ms: int = 0, taken: bool = False) -> KeptPassage:
    """Return a kept stay created so long after the mails."""
    return KeptPassage(Passage(0, traits, entry, visit, "processing", AT + at_ms), taken)


def linked(links: Links) -> dict[int, tuple[bytes, int]]:
    """Return which stay each mail was linked to."""
    return {number: (one.passage.entry, one.passage.visit) for number, one in links.by_mail.items()}


def test_both_feeds_name_a_mail_alike() -> None:
    """A queue entry and a finder row of one mail have the same traits, whatever else the two feeds say of it."""
    assert traits(finder_row()) == traits(queue_row()) is not None
    other = finder_row(route="outbound", status="archived", received_at=None, id=None, from_header=None)
    assert traits(queue_row()) == traits(other)


def test_case_order_and_names_do_not_matter() -> None:
    """Addresses count in lower case, recipients in any order, display names not at all."""
    to = [WireAddress("Bob@corp.example", "Bob"), WireAddress("amy@corp.example")]
    one = finder_row(from_envelope=WireAddress("BOUNCE@news.example", "x"), to=to)
    assert traits(one) == traits(finder_row(to=[WireAddress("AMY@corp.example"), WireAddress("bob@CORP.example")]))


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "quarter update"},
        {"subject": None},
        {"sender_ip": None},
        {"sender_ip": "198.51.100.8"},
        {"from_envelope": WireAddress("other@news.example")},
        {"to": [WireAddress("amy@corp.example")] * 2},
    ],
)
def test_another_mail_has_other_traits(fields: dict[str, Any]) -> None:
    """Another subject, IP, sender or list of recipients makes another mail."""
    assert traits(finder_row()) != traits(finder_row(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"from_envelope": None},
        {"from_envelope": WireAddress(None, "News")},
        {"from_envelope": WireAddress("")},
        {"to": None},
        {"to": []},
        {"to": [WireAddress("amy@corp.example"), WireAddress(None, "Bob")]},
        {"to": [WireAddress("")]},
    ],
)
def test_without_sender_or_recipients_there_is_no_link(fields: dict[str, Any]) -> None:
    """A row that misses an address on either side has no traits, so neither feed keeps or asks anything."""
    assert traits(finder_row(**fields)) is None
    assert mail_of(message_of(finder_row(**fields), "key"), 0, SECOND) is None
    assert passage_of(message_of(queue_row(**fields), "key"), b"e", 0, "processing") is None


@pytest.mark.parametrize("at", [None, datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_without_a_time_there_is_no_link(at: datetime | None) -> None:
    """A missing time and a placeholder say nothing about nearness."""
    row = finder_row(received_at=at)
    assert mail_of(message_of(row, "key"), 0, second_of(row, bytes(16))) is None
    assert passage_of(message_of(queue_row(created_at=at), "key"), b"e", 0, "processing") is None


def test_the_stay_of_a_mail_is_found() -> None:
    """What the queue keeps lies where the finder looks, and fits."""
    passage = passage_of(message_of(queue_row(), "key"), b"e", 0, "processing")
    found = mail_of(message_of(finder_row(received_at=RECEIVED + timedelta(seconds=90)), "other"), 7, SECOND + 90)
    assert passage is not None
    assert found is not None
    assert (passage.place, passage.traits) in places_of([found])
    assert {7: (b"e", 0)} == linked(link([found], [KeptPassage(passage)]))


@pytest.mark.parametrize(("at_ms", "near"), [(TOLERANCE_MS, True), (TOLERANCE_MS + 1, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_two_minutes_are_near(at_ms: int, sign: int, *, near: bool) -> None:
    """Created and received may lie two minutes apart, in either direction."""
    links = link([mail()], [stay(at_ms=sign * at_ms)])
    assert ({0: (b"e", 0)} if near else {}) == linked(links)
    assert near == bool(links.taken)


def test_two_entries_fit_one_mail() -> None:
    """Which of two entries became the mail is unknown; both stay free."""
    links = link([mail()], [stay(b"e"), stay(b"f", at_ms=60_000)])
    assert ({}, []) == (linked(links), list(links.taken))


def test_two_mails_fit_one_entry() -> None:
    """Which of two mails the entry became is unknown, and stays so for a third mail."""
    links = link([mail(0), mail(1, at_ms=1_000)], [stay()])
    assert ({}, [stay().passage]) == (linked(links), list(links.taken))
    assert {} == linked(link([mail(2)], [stay(taken=True)]))


def test_an_entry_is_linked_once() -> None:
    """A stay that a mail was linked to fits another mail, but is not linked to it, nor is another entry that fits."""
    assert {} == linked(link([mail()], [stay(taken=True)]))
    assert {} == linked(link([mail()], [stay(taken=True), stay(b"f")]))
    assert {} == linked(link([mail()], [stay(taken=True), stay(visit=1)]))


def test_the_latest_stay_of_an_entry_counts() -> None:
    """Several stays of one entry are one candidate, the last of them."""
    links = link([mail()], [stay(visit=1), stay(visit=2), stay(visit=0)])
    assert {0: (b"e", 2)} == linked(links)
    assert [stay(visit=2).passage] == list(links.taken)


def test_others_do_not_interfere() -> None:
    """Mails and stays of other traits, or of another time, leave a link alone."""
    mails = [mail(0), mail(1, traits=2), mail(2, at_ms=10 * TOLERANCE_MS)]
    links = link(mails, [stay(), stay(b"f", traits=3), stay(b"g", at_ms=10 * TOLERANCE_MS)])
    assert {0: (b"e", 0), 2: (b"g", 0)} == linked(links)


def test_recipients_keep_their_addresses() -> None:
    """Traits are made of what the event shows, which is not changed by it."""
    message = message_of(finder_row(to=[WireAddress("Bob@corp.example"), WireAddress("amy@corp.example")]), "key")
    traits_of(message)
    assert [Address("Bob@corp.example"), Address("amy@corp.example")] == message.to
