"""The finder's rule where ids do not last: what is known, what is seen, what is a change of what."""

import hashlib

import pytest

from mcwatch.domain.event import FINDER, Event, EventKind, message_key, timestamp
from mcwatch.domain.lifecycle.content import number_rows
from tests.unit.domain.lifecycle.content_feed import PREFIX, ContentFeed
from tests.unit.domain.lifecycle.finder_feed import FinderFeed
from tests.unit.domain.rows import NOW, RECEIVED, finder_row

SEEN, CHANGED = EventKind.SEEN, EventKind.CHANGED
HELD = {"status": "held", "info": "Message Hold Applied"}


def told(events: list[Event]) -> list[tuple[EventKind, object]]:
    """Return kind and previous of events."""
    return [(event.kind, event.previous) for event in events]


@pytest.fixture
def feed() -> ContentFeed:
    """A feed that knows nothing."""
    return ContentFeed()


def test_another_id_is_the_same_row(feed: ContentFeed) -> None:
    """A row that comes with a new id at every poll is one event, which shows the id it had."""
    (event,) = feed.page([finder_row(id="a")])
    assert (SEEN, RECEIVED, "a", FINDER) == (event.kind, event.occurred_at, event.message.id, event.source)
    assert [] == feed.page([finder_row(id="b")]) + feed.page([finder_row(id=None)])


def test_the_event_id_is_key_state_and_number() -> None:
    """The id hashes account, source, the key behind an equals sign, state and number, and no Mimecast id."""
    row = finder_row()
    text = f"4:acme14:message_finder={message_key(row)}4:held20:Message Hold Applied"
    expected = [hashlib.sha256(f"{text}{number}".encode()).digest()[:16] for number in range(2)]
    assert expected == [one.mark for one in number_rows(PREFIX, [row, finder_row(id="other")])]


def test_alike_mails_stay_as_many(feed: ContentFeed) -> None:
    """Two rows alike are two mails, a third one later is another, and ids shuffled among them are nothing."""
    assert [(SEEN, None)] * 2 == told(feed.page([finder_row(id="a"), finder_row(id="b")]))
    assert [(SEEN, None)] == told(feed.page([finder_row(id="c"), finder_row(id="a"), finder_row(id="b")]))
    assert [] == feed.page([finder_row(id="x"), finder_row(id="y"), finder_row(id="z")])
    assert [] == feed.page([finder_row(id="x")]) + feed.page([finder_row(id="x"), finder_row(id="y")])


def test_the_only_mail_changes(feed: ContentFeed) -> None:
    """Another state under a key with one mail is a change that tells what was shown before, its id included."""
    feed.page([finder_row(id="a")])
    (event,) = feed.page([finder_row(id="b", status="archived", info="x")])
    assert (CHANGED, {"id": "a", **HELD}, timestamp(NOW)) == (event.kind, event.previous, event.occurred_at)
    after = feed.page([finder_row(id="c", status="archived", info="y")])
    assert [(CHANGED, {"id": "b", "status": "archived", "info": "x"})] == told(after)


def test_which_of_several_changed_is_not_told(feed: ContentFeed) -> None:
    """Of two alike mails one changes, then the other: two changes of unknown origin; one more is another mail."""
    feed.page([finder_row(), finder_row()])
    archived = finder_row(status="archived")
    assert [(CHANGED, None)] == told(feed.page([finder_row(), archived]))
    assert [(CHANGED, None)] == told(feed.page([archived, archived]))
    assert [(SEEN, None)] == told(feed.page([archived, archived, archived]))


def test_coming_back_is_nothing_new(feed: ContentFeed) -> None:
    """A state once shown is no event when it comes back."""
    feed.page([finder_row()])
    feed.page([finder_row(status="archived")])
    assert [] == feed.page([finder_row()])


def test_within_one_answer_nothing_comes_before(feed: ContentFeed) -> None:
    """Two states of a key first shown in one answer: one is the change, of what is unknown."""
    events = feed.page([finder_row(), finder_row(status="archived")])
    assert [(SEEN, None), (CHANGED, None)] == told(events)


def test_several_changes_in_one_answer_have_one_origin(feed: ContentFeed) -> None:
    """What one mail had shown before the answer comes before all its new states."""
    feed.page([finder_row(id="a")])
    events = feed.page([finder_row(status="archived"), finder_row(status="rejected")])
    assert [(CHANGED, {"id": "a", **HELD})] * 2 == told(events)


def test_mails_without_a_time_change_too(feed: ContentFeed) -> None:
    """All states of a mail that names no time are kept in one place, by its key."""
    feed.page([finder_row(received_at=None)])
    (event,) = feed.page([finder_row(received_at=None, status="archived")])
    assert (CHANGED, {"id": "eNp1", **HELD}) == (event.kind, event.previous)


def test_what_ids_made_of_a_mail_is_left_alone(feed: ContentFeed) -> None:
    """After the option was set, chains of ids that did not last make no mail of a key more than there is."""
    before = FinderFeed()
    before.page([finder_row(id="a"), finder_row(id="b"), finder_row(id="c")])
    feed.marks, feed.chains = before.marks, before.chains
    assert [(SEEN, None)] == told(feed.page([finder_row()]))
    assert [(CHANGED, {"id": "eNp1", **HELD})] == told(feed.page([finder_row(status="archived")]))
    back = FinderFeed()
    back.marks, back.chains = feed.marks, feed.chains
    assert [] == back.page([finder_row(id="a"), finder_row(id="b")])
