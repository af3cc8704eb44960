"""The finder's rule: what is known, what is seen, what is a change of what."""

from datetime import timedelta

import pytest

from mcwatch.domain.event import Event, EventKind, timestamp
from mcwatch.domain.record import Record
from tests.unit.domain.lifecycle.finder_feed import FinderFeed
from tests.unit.domain.rows import NOW, RECEIVED, finder_row

SEEN, CHANGED = EventKind.SEEN, EventKind.CHANGED


def told(event: Event | None) -> tuple[EventKind, object] | None:
    """Return kind and previous of an event."""
    return None if event is None else (event.kind, event.previous)


@pytest.fixture
def feed() -> FinderFeed:
    """A feed that knows nothing."""
    return FinderFeed()


def test_a_new_row_is_seen_at_the_time_it_was_received(feed: FinderFeed) -> None:
    """A row never shown is `message.seen`, occurred when received, observed now."""
    event = feed.row(finder_row())
    assert event is not None
    assert (SEEN, RECEIVED, timestamp(NOW)) == (event.kind, event.occurred_at, event.observed_at)
    assert (None, None) == (event.previous, event.queue)


def test_a_repeated_row_is_nothing(feed: FinderFeed) -> None:
    """The same id and state is emitted once and writes nothing more."""
    feed.row(finder_row())
    kept = dict(feed.marks), dict(feed.chains)
    assert [] == feed.page([finder_row(), finder_row(spam_score=1, sent_at=None)])
    assert kept == (feed.marks, feed.chains)


def test_a_row_repeated_in_a_page(feed: FinderFeed) -> None:
    """A row that a page holds twice is emitted once, and others keep the order of the page."""
    events = feed.page([finder_row(id="b"), finder_row(id="a"), finder_row(id="b"), finder_row(id="c")])
    assert ["b", "a", "c"] == [event.message.id for event in events]


def test_new_info_of_the_same_id_is_a_change(feed: FinderFeed) -> None:
    """The same id and status with other info changes, and tells what it was before."""
    feed.row(finder_row(info="first"))
    event = feed.row(finder_row(info="second"))
    assert (CHANGED, {"id": "eNp1", "status": "held", "info": "first"}) == told(event)
    assert event is not None
    assert timestamp(NOW) == event.occurred_at


def test_a_new_id_with_a_new_status_is_a_change(feed: FinderFeed) -> None:
    """A Mimecast id changes with the status: the only mail under the key is the one that changed."""
    feed.row(finder_row(info="on hold"))
    event = feed.row(finder_row(id="eNp2", status="archived", info="done"))
    assert (CHANGED, {"id": "eNp1", "status": "held", "info": "on hold"}) == told(event)
    again = feed.row(finder_row(id="eNp3", status="purged", info=None))
    assert (CHANGED, {"id": "eNp2", "status": "archived", "info": "done"}) == told(again)


def test_an_earlier_state_of_the_same_id_is_nothing_new(feed: FinderFeed) -> None:
    """Coming back to a state once shown is no event."""
    feed.row(finder_row(info="a"))
    feed.row(finder_row(info="b"))
    assert feed.row(finder_row(info="a")) is None


def test_identical_mails_of_one_second_stay_two(feed: FinderFeed) -> None:
    """Another id with a status that the only chain has shown is another mail, in one page or later."""
    assert [SEEN, SEEN] == [event.kind for event in feed.page([finder_row(id="a"), finder_row(id="b")])]
    assert (SEEN, None) == told(feed.row(finder_row(id="c")))


def test_an_older_status_under_a_new_id_is_another_mail(feed: FinderFeed) -> None:
    """A chain that went from held to archived is not extended by a second held."""
    feed.row(finder_row(id="a"))
    feed.row(finder_row(id="b", status="archived"))
    assert (SEEN, None) == told(feed.row(finder_row(id="c")))


def test_where_several_fit_the_origin_is_not_told(feed: FinderFeed) -> None:
    """Of two alike mails one is archived: that is a change, of which of them is unknown."""
    feed.page([finder_row(id="a"), finder_row(id="b")])
    assert (CHANGED, None) == told(feed.row(finder_row(id="c", status="archived")))
    assert (CHANGED, None) == told(feed.row(finder_row(id="d", status="archived")))
    assert (SEEN, None) == told(feed.row(finder_row(id="e", status="archived")))


def test_an_origin_once_unknown_stays_unknown(feed: FinderFeed) -> None:
    """What a chain last showed may be another's, so an earlier id of it does not come from there."""
    feed.page([finder_row(id="a"), finder_row(id="b")])
    feed.row(finder_row(id="c", status="archived"))
    assert (CHANGED, None) == told(feed.row(finder_row(id="a", info="other")))


def test_the_id_shown_last_is_certain(feed: FinderFeed) -> None:
    """Even where the origin was unknown, new info of the very id shown last has that id's state before it."""
    feed.page([finder_row(id="a"), finder_row(id="b")])
    feed.row(finder_row(id="c", status="archived", info="x"))
    event = feed.row(finder_row(id="c", status="archived", info="y"))
    assert (CHANGED, {"id": "c", "status": "archived", "info": "x"}) == told(event)


def test_an_id_goes_before_the_status(feed: FinderFeed) -> None:
    """A row whose id a chain knows belongs to it, though other chains lack its status."""
    feed.page([finder_row(id="a"), finder_row(id="b")])
    event = feed.row(finder_row(id="b", status="rejected"))
    assert (CHANGED, {"id": "b", "status": "held", "info": "Message Hold Applied"}) == told(event)


@pytest.mark.parametrize("row_id", [None, ""])
def test_rows_without_an_id(feed: FinderFeed, row_id: str | None) -> None:
    """Rows without an id are one mail while all that names them is alike, and change as such."""
    feed.row(finder_row(id=row_id, info="a"))
    event = feed.row(finder_row(id=row_id, info="b"))
    assert (CHANGED, {"id": None, "status": "held", "info": "a"}) == told(event)
    assert (SEEN, None) == told(feed.row(finder_row(id=row_id, info="b", subject="Other")))


@pytest.mark.parametrize("fields", [{"subject": "Other"}, {"received_at": RECEIVED + timedelta(seconds=1)}])
def test_other_mails_do_not_meet(feed: FinderFeed, fields: dict[str, object]) -> None:
    """Another subject in the same second, or another second, is another mail whatever its status."""
    feed.row(finder_row())
    assert (SEEN, None) == told(feed.row(finder_row(id="b", status="archived", **fields)))


def test_rows_without_a_time_are_kept_too(feed: FinderFeed) -> None:
    """A row that names no time is emitted once, occurred when observed."""
    row = finder_row(received_at=None)
    event = feed.row(row)
    assert event is not None
    assert (SEEN, timestamp(NOW)) == (event.kind, event.occurred_at)
    assert feed.row(row) is None
    assert [SEEN] == [event.kind for event in feed.page([row, Record(id="bare")])]


def test_the_events_name_their_feed(feed: FinderFeed) -> None:
    """Schema, account and source are those of the feed, and the id is the fingerprint."""
    event = feed.row(finder_row())
    assert event is not None
    assert ("mcwatch.event/1", "acme", "message_finder") == (event.schema, event.account, event.source)
    assert event.event_id in feed.marks[int(RECEIVED.timestamp())].hex()


def test_another_id_in_the_same_state_is_reidentified(feed: FinderFeed) -> None:
    """A row known but for its id counts, at every poll at which its id is another one; it is an event all the same."""
    feed.row(finder_row(id="a"))
    assert 0 == feed.reidentified
    for row_id in ("b", "c", "d"):
        assert (SEEN, None) == told(feed.row(finder_row(id=row_id)))
        assert 1 == feed.reidentified
    feed.row(finder_row(id="c"))
    assert 0 == feed.reidentified


def test_each_of_several_is_reidentified(feed: FinderFeed) -> None:
    """All mails of a page come back under other ids, twins among them, after a change of state too."""
    feed.page([finder_row(id="a"), finder_row(id="b"), finder_row(id="c", subject="Other")])
    feed.page([finder_row(id="d"), finder_row(id="e"), finder_row(id="f", subject="Other")])
    assert 3 == feed.reidentified
    feed.page([finder_row(id="g", subject="Other", status="archived")])
    assert 0 == feed.reidentified
    feed.page([finder_row(id="h", subject="Other", status="archived")])
    assert 1 == feed.reidentified


def test_what_a_page_shows_first_is_not_reidentified(feed: FinderFeed) -> None:
    """Twins of one page, another state, and what was shown earlier than last are new."""
    feed.page([finder_row(id="a"), finder_row(id="b"), finder_row(id="c")])
    assert 0 == feed.reidentified
    feed.page([finder_row(id="d", status="archived"), finder_row(id="e", info="other")])
    assert 0 == feed.reidentified


def test_what_was_shown_before_the_page_counts(feed: FinderFeed) -> None:
    """That the same page moves the mail on to another state first does not matter."""
    feed.row(finder_row(id="a"))
    feed.page([finder_row(id="b", status="archived"), finder_row(id="c")])
    assert 1 == feed.reidentified


def test_a_twin_that_comes_late_is_not_reidentified(feed: FinderFeed) -> None:
    """Where the page still shows the row that was known, the alike one is another mail."""
    feed.row(finder_row(id="a"))
    feed.page([finder_row(id="b"), finder_row(id="a"), finder_row(id="c")])
    assert 0 == feed.reidentified


def test_a_known_mail_vouches_for_one(feed: FinderFeed) -> None:
    """Many twins that come without the one that was known count as one."""
    feed.row(finder_row(id="a"))
    feed.page([finder_row(id=row_id) for row_id in "bcdefg"])
    assert 1 == feed.reidentified
