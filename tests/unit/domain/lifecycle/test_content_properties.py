"""Properties of the finder's rule where ids do not last: ids and the order of an answer play no part."""

from collections import Counter
from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.event import Event, EventKind, finder_state, message_key
from mcwatch.domain.lifecycle.content import number_rows, unknown_rows
from mcwatch.domain.record import Record
from tests.unit.domain.lifecycle.content_feed import PREFIX, ContentFeed
from tests.unit.domain.rows import RECEIVED, finder_row, records

ROWS = st.builds(
    finder_row,
    id=st.none() | st.text("abc", max_size=2),
    status=st.sampled_from([None, "held", "archived"]),
    info=st.sampled_from(["x", "y"]),
    subject=st.sampled_from(["s", "t"]),
    received_at=st.sampled_from([None, RECEIVED, RECEIVED + timedelta(seconds=1)]),
)
ANSWERS = st.lists(st.lists(ROWS, max_size=8), max_size=5)


def told(events: list[Event]) -> list[tuple[str, EventKind, bool]]:
    """Return what does not depend on the ids shown."""
    return [(event.event_id, event.kind, event.previous is None) for event in events]


def renamed(row: Record, number: int) -> Record:
    """Return the row as another poll shows it."""
    return finder_row(
        id=f"n{number}", status=row.status, info=row.info, subject=row.subject, received_at=row.received_at
    )


@given(ANSWERS, st.randoms(use_true_random=False))
def test_order_and_ids_play_no_part(answers: list[list[Record]], random: Random) -> None:
    """Every answer shuffled and under other ids gives the same events, in the same order, of the same kinds."""
    one, other = ContentFeed(), ContentFeed()
    for answer in answers:
        shuffled = [renamed(row, number) for number, row in enumerate(random.sample(answer, len(answer)))]
        assert told(one.page(answer)) == told(other.page(shuffled))
    assert one.marks == other.marks


@given(ANSWERS)
def test_each_state_is_emitted_as_often_as_one_answer_shows_it(answers: list[list[Record]]) -> None:
    """Of a key and state there are as many events as one answer has shown at most, each with an id of its own."""
    feed = ContentFeed()
    events = [event for answer in answers for event in feed.page(answer)]
    most: Counter[tuple[str, str]] = Counter()
    for answer in answers:
        most |= Counter((message_key(row), finder_state(row)) for row in answer)
    assert most.total() == len(events) == len({event.event_id for event in events})
    assert most == Counter((event.message.key, finder_state(_state(event))) for event in events)


def _state(event: Event) -> Record:
    return Record(status=event.message.status, info=event.message.info)


@given(ANSWERS)
def test_as_many_mails_as_are_alike(answers: list[list[Record]]) -> None:
    """Under a key as many mails are seen as one answer has shown rows of one state at most."""
    feed = ContentFeed()
    events = [event for answer in answers for event in feed.page(answer)]
    seen = Counter(event.message.key for event in events if event.kind is EventKind.SEEN)
    most: Counter[str] = Counter()
    for answer in answers:
        for (key, _), count in Counter((message_key(row), finder_state(row)) for row in answer).items():
            most[key] = max(most[key], count)
    assert most == seen


@given(ANSWERS)
def test_repeating_changes_nothing(answers: list[list[Record]]) -> None:
    """Reading all answers again, in any order, gives no event and keeps what is kept."""
    feed = ContentFeed()
    for answer in answers:
        feed.page(answer)
    kept = dict(feed.marks), dict(feed.chains)
    assert [] == [event for answer in reversed(answers) for event in feed.page(answer[::-1])]
    assert kept == (feed.marks, feed.chains)


@given(ANSWERS)
def test_a_change_tells_only_what_was_shown_before_its_answer(answers: list[list[Record]]) -> None:
    """What `previous` holds was emitted for a mail of the same key, in an earlier answer."""
    feed = ContentFeed()
    shown: set[tuple[object, ...]] = set()
    for answer in answers:
        events = feed.page(answer)
        for event in events:
            if event.previous is not None:
                assert (event.message.key, *event.previous.values()) in shown
        shown |= {(one.message.key, one.message.id, one.message.status, one.message.info) for one in events}


@given(st.lists(records(st.text(st.characters(codec="utf-8"), max_size=3)), max_size=6))
def test_any_rows_are_numbered(rows: list[Record]) -> None:
    """Whatever rows hold, each has a fingerprint of its own, and none is known to a feed that knows nothing."""
    numbered = number_rows(PREFIX, rows)
    assert rows == [one.row for one in numbered]
    assert len(rows) == len({one.mark for one in numbered}) == len(unknown_rows(numbered, ()))
    assert [] == unknown_rows(numbered, [b"".join(one.mark for one in numbered)])
