"""The queue's rule: what enters, changes, goes missing, leaves and comes back."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from mcwatch.domain.event import Event, EventKind, Stay, timestamp
from mcwatch.domain.fingerprint import TIMELESS
from mcwatch.domain.lifecycle.queue import Snapshot, merge_visits, place_of, read_snapshot, read_visits
from tests.unit.domain.lifecycle.queue_feed import QueueFeed, at
from tests.unit.domain.rows import RECEIVED, queue_row

ENTERED, CHANGED, LEFT = EventKind.QUEUE_ENTERED, EventKind.QUEUE_CHANGED, EventKind.QUEUE_LEFT


def kinds(events: list[Event]) -> list[EventKind]:
    """Return the kinds of events."""
    return [event.kind for event in events]


def stay(first: int, last: int, polls: int, visit: int = 0, queue: str = "processing") -> Stay:
    """Return a stay between two polls."""
    dwell = (at(last) - at(first)).total_seconds()
    return Stay(queue, timestamp(at(first)), timestamp(at(last)), dwell, polls, visit)


@pytest.fixture
def feed() -> QueueFeed:
    """A feed that knows nothing."""
    return QueueFeed()


def test_a_new_entry_enters_when_it_was_created(feed: QueueFeed) -> None:
    """An entry never shown is `queue.entered`, occurred when created, in its first stay."""
    (event,) = feed.poll(queue_row())
    assert (ENTERED, RECEIVED, timestamp(at(1)), None) == (
        event.kind,
        event.occurred_at,
        event.observed_at,
        event.previous,
    )
    assert ("acme", "processing_queue", stay(1, 1, 1)) == (event.account, event.source, event.queue)


def test_an_entry_without_a_time_enters_when_observed(feed: QueueFeed) -> None:
    """Missing `created` is replaced by the time of observation in the event alone."""
    (event,) = feed.poll(queue_row(created_at=None))
    assert (timestamp(at(1)), None) == (event.occurred_at, event.message.created_at)


def test_an_entry_that_stays_writes_nothing(feed: QueueFeed) -> None:
    """An unchanged entry is a duplicate, and what is kept of it is not touched."""
    feed.poll(queue_row())
    kept = dict(feed.stays["processing"])
    assert [] == feed.poll(queue_row(size=1, subject="Other", next_attempt_at=RECEIVED))
    assert (kept, 1) == (feed.stays["processing"], feed.duplicates)


@pytest.mark.parametrize(
    ("fields", "previous"),
    [
        ({"attempts": 3}, {"attempts": 2}),
        ({"info": "other"}, {"info": "Waiting for attachment scan"}),
        ({"info": None}, {"info": "Waiting for attachment scan"}),
        ({"locked_until": RECEIVED}, {"locked_until": None}),
        ({"attempts": None, "info": "x"}, {"attempts": 2, "info": "Waiting for attachment scan"}),
    ],
)
def test_a_change_tells_what_it_was(feed: QueueFeed, fields: dict[str, object], previous: dict[str, object]) -> None:
    """`previous` holds what changed and nothing else; the change occurred when observed."""
    feed.poll(queue_row())
    feed.poll(queue_row())
    (event,) = feed.poll(queue_row(**fields))
    assert (CHANGED, previous, timestamp(at(3))) == (event.kind, event.previous, event.occurred_at)
    assert stay(1, 3, 3) == event.queue


def test_an_earlier_state_in_the_same_stay_is_nothing(feed: QueueFeed) -> None:
    """Going back to a state already shown is no event; what follows is compared with it."""
    feed.poll(queue_row(attempts=1))
    feed.poll(queue_row(attempts=2))
    assert [] == feed.poll(queue_row(attempts=1))
    (event,) = feed.poll(queue_row(attempts=3))
    assert {"attempts": 1} == event.previous


def test_an_entry_leaves_after_enough_polls_without_it(feed: QueueFeed) -> None:
    """It leaves with the second complete poll that lacks it, and was last seen when it was seen."""
    feed.poll(queue_row())
    feed.poll(queue_row())
    assert [] == feed.poll()
    (event,) = feed.poll()
    assert (LEFT, timestamp(at(2)), timestamp(at(4))) == (event.kind, event.occurred_at, event.observed_at)
    assert stay(1, 2, 2) == event.queue
    assert [] == feed.poll()
    assert {} == feed.stays["processing"]


def test_one_poll_is_enough_where_told_so(feed: QueueFeed) -> None:
    """With `gone_after` 1 the first complete poll without it ends the stay."""
    feed.poll(queue_row(), gone_after=1)
    assert [LEFT] == kinds(feed.poll(gone_after=1))


def test_incomplete_polls_let_nothing_leave(feed: QueueFeed) -> None:
    """However many incomplete polls lack an entry, it stays."""
    feed.poll(queue_row())
    for _ in range(5):
        assert [] == feed.poll(complete=False)
    assert [] == feed.poll()
    (event,) = feed.poll()
    assert stay(1, 1, 1) == event.queue


def test_missing_once_and_back_again(feed: QueueFeed) -> None:
    """An entry that a poll skipped starts anew to be missed, and the skipped poll is not counted."""
    feed.poll(queue_row())
    feed.poll()
    assert [] == feed.poll(queue_row())
    assert [] == feed.poll()
    (event,) = feed.poll()
    assert stay(1, 3, 2) == event.queue


def test_back_again_in_an_incomplete_poll(feed: QueueFeed) -> None:
    """An entry that came back in an incomplete poll was last seen there, not in the poll that missed it."""
    feed.poll(queue_row())
    feed.poll()
    feed.poll(queue_row(), complete=False)
    feed.poll()
    (event,) = feed.poll()
    assert event.queue is not None
    assert timestamp(at(3)) == event.queue.last_seen_at


def test_entered_in_an_incomplete_poll(feed: QueueFeed) -> None:
    """An entry seen by one incomplete poll alone leaves as seen once."""
    feed.poll()
    assert [ENTERED] == kinds(feed.poll(queue_row(), complete=False))
    feed.poll()
    (event,) = feed.poll()
    assert stay(2, 2, 1) == event.queue


def test_a_return_is_another_visit(feed: QueueFeed) -> None:
    """An entry that left and comes back enters again, with ids of its own for the same states."""
    first = feed.poll(queue_row()) + feed.poll() + feed.poll()
    second = feed.poll(queue_row()) + feed.poll() + feed.poll()
    third = feed.poll(queue_row())
    assert [ENTERED, LEFT, ENTERED, LEFT, ENTERED] == kinds(first + second + third)
    assert [0, 0, 1, 1, 2] == [event.queue.visit for event in first + second + third if event.queue]
    assert 5 == len({event.event_id for event in first + second + third})


def test_the_other_queue_is_another_entry(feed: QueueFeed) -> None:
    """The same id in both queues is two entries, and their ids differ to the last event."""
    one = feed.poll(queue_row())
    other = feed.poll(queue_row(), queue="bulk_processing")
    one += feed.poll() + feed.poll()
    other += feed.poll(queue="bulk_processing") + feed.poll(queue="bulk_processing")
    again = feed.poll(queue_row(), queue="bulk_processing")
    assert [ENTERED, LEFT] * 2 == kinds(one) + kinds(other)
    assert 5 == len({event.event_id for event in one + other + again})
    assert [0, 0, 0, 0, 1] == [event.queue.visit for event in one + other + again if event.queue]


def test_a_first_visit_to_the_other_queue_is_a_first(feed: QueueFeed) -> None:
    """What ended in one queue does not count as a stay in the other."""
    feed.poll(queue_row(), gone_after=1)
    feed.poll(gone_after=1)
    (event,) = feed.poll(queue_row(), queue="bulk_processing")
    assert event.queue == stay(3, 3, 1, queue="bulk_processing")


def test_pages_of_a_poll(feed: QueueFeed) -> None:
    """An entry on two pages, or twice on one, enters once, and all pages count as one poll."""
    a, b = queue_row(id="a"), queue_row(id="b")
    assert [ENTERED, ENTERED] == kinds(feed.poll_pages([[a, a], [b, a]]))
    assert [] == feed.poll_pages([[b], [a]])
    (left,) = feed.poll(a, gone_after=1)
    assert stay(1, 2, 2) == left.queue


def test_entries_without_an_id(feed: QueueFeed) -> None:
    """Entries without an id are told apart by what else names them."""
    rows = [queue_row(id=None), queue_row(id=None, subject="Other"), queue_row(id=""), queue_row(id=None)]
    events = feed.poll(*rows)
    assert [None, None] == [event.message.id for event in events]


@pytest.mark.parametrize("created_at", [None, datetime(1970, 1, 1, tzinfo=UTC), RECEIVED])
def test_visits_are_remembered_in_the_second_of_the_mail(created_at: datetime | None) -> None:
    """An ended stay is kept where the mail's fingerprints expire; without a usable time, by fingerprint."""
    feed = QueueFeed()
    feed.poll(queue_row(created_at=created_at), gone_after=1)
    feed.poll(gone_after=1)
    (place,) = feed.chains
    assert (place >= TIMELESS) == (created_at != RECEIVED)
    (event,) = feed.poll(queue_row(created_at=created_at))
    assert event.queue is not None
    assert 1 == event.queue.visit


def test_visits_are_merged() -> None:
    """What a second remembers of others, and its fingerprints, stay beside what is added."""
    ((_, _, first),) = merge_visits({}, {}, {7: {b"a": 1, b"b": 2}})
    ((second, marks, body),) = merge_visits({7: first}, {7: b"m"}, {7: {b"b": 3, b"c": 1}})
    assert (7, b"m") == (second, marks)
    assert {b"b": 3, b"c": 1} == read_visits({7: body, 8: b""}, {b"b", b"c", b"d"})


def test_the_place_is_the_rows(feed: QueueFeed) -> None:
    """The place of a message is the one of its row, so that a return finds what an end has kept."""
    (event,) = feed.poll(queue_row(created_at=datetime.fromisoformat("1969-01-01T00:00:00+01:00")))
    assert TIMELESS <= place_of(event.message, b"\0" * 16)


def test_the_cursor_comes_back() -> None:
    """The count of complete polls survives as bytes; a queue never polled starts at none."""
    assert Snapshot() == read_snapshot(None) == read_snapshot(b"")
    snapshot = Snapshot(3, at(1))
    assert snapshot == read_snapshot(msgspec.json.encode(snapshot))


def test_whatever_a_row_holds_is_kept(feed: QueueFeed) -> None:
    """Nested extra fields, and the largest numbers a row may hold, survive the store."""
    row = queue_row(size=2**63 - 1, extra={"a": {"b": [1, None, 2.5, "x"]}, "n": -(2**63)})
    feed.poll(row, gone_after=1)
    (event,) = feed.poll(gone_after=1)
    assert (row.extra, row.size) == (event.message.extra, event.message.size)


def test_the_finder_is_shown_a_stay_until_the_last_complete_poll(feed: QueueFeed) -> None:
    """Of an entry that is in the queue the finder shows what complete polls have seen, and one poll at least."""
    feed.poll(queue_row(), complete=False)
    assert stay(1, 1, 1) == feed.shown()
    feed.poll(queue_row())
    feed.poll(queue_row())
    assert stay(1, 3, 2) == feed.shown()
    feed.poll(queue_row(), complete=False)
    assert stay(1, 3, 2) == feed.shown()


def test_the_finder_is_shown_no_more_of_a_missing_entry_than_was_seen(feed: QueueFeed) -> None:
    """Polls without the entry count neither as dwell time nor as polls, before it is given up and after."""
    feed.poll(queue_row())
    feed.poll(queue_row())
    for _ in range(2):
        feed.poll(gone_after=3)
        assert stay(1, 2, 2) == feed.shown()
    (event,) = feed.poll(gone_after=3)
    assert stay(1, 2, 2) == event.queue == feed.shown()


def test_the_finder_is_shown_each_stay_by_itself(feed: QueueFeed) -> None:
    """A return is another stay; what is kept of one that ended is not taken for it, nor the other way round."""
    feed.poll(queue_row())
    feed.poll(gone_after=1)
    feed.poll(queue_row(info="again"))
    assert (stay(1, 1, 1), stay(3, 3, 1, visit=1)) == (feed.shown(), feed.shown(visit=1))
    ((key, number),) = [name for name in feed.passages if name[1] == 1]
    feed.passages[key, number + 1] = msgspec.structs.replace(feed.passages[key, number], visit=2)
    assert feed.shown(visit=2) is None


@pytest.mark.parametrize("fields", [{"created_at": None}, {"from_envelope": None}, {"to": []}])
def test_an_entry_that_could_not_be_found_is_not_kept_for_the_finder(feed: QueueFeed, fields: dict[str, Any]) -> None:
    """Entries without time, sender or recipients enter and leave without a passage."""
    feed.poll(queue_row(**fields))
    assert [LEFT] == kinds(feed.poll(gone_after=1))
    assert {} == feed.passages
