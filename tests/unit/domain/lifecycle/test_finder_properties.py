"""Properties of the finder's rule: each state once, however the rows are paged and repeated."""

from datetime import timedelta
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.event import Event, finder_state, identity
from mcwatch.domain.lifecycle.finder import Chain, Seconds
from mcwatch.domain.record import Record
from tests.unit.domain.lifecycle.finder_feed import FinderFeed
from tests.unit.domain.rows import RECEIVED, finder_row

ROWS = st.builds(
    finder_row,
    id=st.sampled_from([None, "a", "b", "c"]),
    status=st.sampled_from([None, "held", "archived"]),
    info=st.sampled_from(["x", "y"]),
    subject=st.sampled_from(["s", "t"]),
    received_at=st.sampled_from([None, RECEIVED, RECEIVED + timedelta(seconds=1)]),
)
# An id's traits are its mail's, which do not change; so are they here.
MAILS = st.dictionaries(st.sampled_from(["a", "b", "c", None]), ROWS, min_size=1).map(lambda rows: list(rows.items()))
STATES = st.tuples(st.integers(0, 3), st.sampled_from([None, "held", "archived"]), st.sampled_from(["x", "y"]))


@st.composite
def histories(draw: st.DrawFn) -> list[list[Record]]:
    """Draw pages of rows of a few mails, with repeats within and across pages."""
    mails = draw(MAILS)
    pages = draw(st.lists(st.lists(STATES, max_size=6), max_size=6))
    return [[state_of(*mails[number % len(mails)], status, info) for number, status, info in page] for page in pages]


def state_of(row_id: str | None, row: Record, status: str | None, info: str) -> Record:
    """Return the row in another state."""
    return finder_row(id=row_id, subject=row.subject, received_at=row.received_at, status=status, info=info)


def names(events: list[Event]) -> list[str]:
    """Return the ids of events."""
    return [event.event_id for event in events]


@given(histories())
def test_each_state_is_emitted_once(pages: list[list[Record]]) -> None:
    """Whatever the pages, there are as many events as different (id, state), each with an id of its own."""
    feed = FinderFeed()
    events = [event for page in pages for event in feed.page(page)]
    states = {(identity(row), finder_state(row)) for page in pages for row in page}
    assert len(states) == len(events) == len(set(names(events)))


@given(histories())
def test_repeating_changes_nothing(pages: list[list[Record]]) -> None:
    """Reading all pages again, in any order, gives no event and keeps what is kept."""
    feed = FinderFeed()
    for page in pages:
        feed.page(page)
    kept = dict(feed.marks), dict(feed.chains)
    assert [] == [event for page in reversed(pages) for event in feed.page(page[::-1])]
    assert kept == (feed.marks, feed.chains)


@given(histories(), st.lists(st.integers(1, 4), max_size=8))
def test_where_pages_are_split_does_not_matter(pages: list[list[Record]], sizes: list[int]) -> None:
    """The same rows in pages of other sizes give the same events, previous states included."""
    rows = [row for page in pages for row in page]
    ends = [*accumulate(sizes), len(rows)]
    one, other = FinderFeed(), FinderFeed()
    whole = one.page(rows)
    pieces = [event for start, end in zip([0, *ends], ends, strict=False) for event in other.page(rows[start:end])]
    assert whole == pieces
    assert one.marks == other.marks
    assert one.chains == other.chains


@given(histories())
def test_a_change_tells_only_what_was_shown(pages: list[list[Record]]) -> None:
    """What `previous` holds was emitted before, for a mail of the same key."""
    feed = FinderFeed()
    shown: set[tuple[object, ...]] = set()
    for event in (event for page in pages for event in feed.page(page)):
        message, previous = event.message, event.previous
        if previous is not None:
            assert (message.key, previous["id"], previous["status"], previous["info"]) in shown
        shown.add((message.key, message.id, message.status, message.info))


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=3), st.none() | st.text(max_size=3)), max_size=6))
def test_seconds_come_back_as_they_were(chains: list[tuple[int, str, str | None]]) -> None:
    """What is handed back to be kept is what the next page finds, second by second."""
    seconds = Seconds({}, {})
    for number, key, row_id in chains:
        seconds.at(number).start(Chain(key, row_id, "held", None, ["held"], [None], ambiguous=True))
        seconds.at(number).new_marks.append(bytes([number]) * 16)
    kept = {second: (marks, body) for second, marks, body in seconds.changed()}
    again = Seconds({}, {second: body for second, (_, body) in kept.items()})
    assert {number for number, _, _ in chains} == kept.keys()
    for second, (marks, _) in kept.items():
        assert seconds.at(second).chains == again.at(second).chains
        assert marks == bytes([second]) * 16 * len(again.at(second).chains)


def test_nothing_new_is_nothing_to_keep() -> None:
    """A second only looked at is not written."""
    seconds = Seconds({1: b"m" * 16}, {})
    assert seconds.at(1).by_key.get("k") is None
    assert [] == list(seconds.changed())
