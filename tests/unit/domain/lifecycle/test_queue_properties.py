"""The queue's rule against an oracle that remembers everything."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mcwatch.domain.event import Event, EventKind, Stay, timestamp
from mcwatch.domain.record import Record
from tests.unit.domain.lifecycle.queue_feed import QueueFeed
from tests.unit.domain.rows import queue_row

GONE_AFTER = 2
Entry = tuple[str, str]
State = tuple[int, str]
ROWS = st.dictionaries(
    st.sampled_from("abc"), st.tuples(st.integers(1, 2), st.sampled_from(["x", "y"])), max_size=3
)  # fmt: skip


@dataclass
class Known:
    """All the oracle knows of an entry's present stay."""

    seen_at: list[datetime]
    states: list[State]
    complete_polls: int = 0
    misses: int = 0


@dataclass
class Oracle:
    """What is in the queues, by plain bookkeeping."""

    stays: dict[Entry, Known] = field(default_factory=dict)
    ended: defaultdict[Entry, int] = field(default_factory=lambda: defaultdict(int))

    def poll(self, queue: str, rows: dict[str, State], at: datetime, complete: bool) -> set[tuple[object, ...]]:
        """Return (kind, queue, id, visit, polls) of the events this poll must give."""
        events: set[tuple[object, ...]] = set()
        for name, state in rows.items():
            entry = (queue, name)
            known = self.stays.get(entry)
            kind = EventKind.QUEUE_CHANGED if known else EventKind.QUEUE_ENTERED
            if known is None:
                known = self.stays[entry] = Known([], [])
            known.misses = 0
            known.seen_at.append(at)
            if state not in known.states:
                known.states.append(state)
                events.add((kind, *entry, self.ended[entry], known.complete_polls + 1))
            known.complete_polls += complete
        if complete:
            events |= self._absent(queue, rows)
        return events

    def _absent(self, queue: str, rows: dict[str, State]) -> set[tuple[object, ...]]:
        events: set[tuple[object, ...]] = set()
        for entry in [entry for entry in self.stays if entry[0] == queue and entry[1] not in rows]:
            known = self.stays[entry]
            known.misses += 1
            if known.misses == GONE_AFTER:
                events.add((EventKind.QUEUE_LEFT, *entry, self.ended[entry], max(1, known.complete_polls)))
                self.ended[entry] += 1
                del self.stays[entry]
        return events


def row(name: str, state: State) -> Record:
    """Return an entry in a state."""
    return queue_row(id=name, attempts=state[0], info=state[1])


class QueueMachine(RuleBasedStateMachine):
    """Polls two queues in any way; the feed carries bytes alone, so every poll is one after a restart."""

    def __init__(self) -> None:
        super().__init__()
        self.feed = QueueFeed()
        self.oracle = Oracle()
        self.ids: set[str] = set()
        self.last: dict[Entry, State] = {}

    @rule(queue=st.sampled_from(["processing", "bulk_processing"]), rows=ROWS, complete=st.booleans(),
          split=st.integers(0, 3))  # fmt: skip
    def poll(self, queue: str, rows: dict[str, State], complete: bool, split: int) -> None:
        """Compare a poll, on one page or two, with the oracle."""
        listed = [row(name, state) for name, state in rows.items()]
        stays = {entry: list(known.seen_at) for entry, known in self.oracle.stays.items()}
        events = self.feed.poll_pages([listed[:split], listed[split:]], queue=queue, complete=complete)
        expected = self.oracle.poll(queue, rows, self.feed.now, complete)
        assert expected == {described(event) for event in events}
        assert len(expected) == len(events)
        for event in events:
            assert event.event_id not in self.ids
            self.ids.add(event.event_id)
            self._check_times(event, stays)
            self._check_previous(event)
        for name, state in rows.items():
            self.last[queue, name] = state

    def _check_times(self, event: Event, stays: dict[Entry, list[datetime]]) -> None:
        stay, now = event.queue, timestamp(self.feed.now)
        assert stay is not None
        seen = [timestamp(at) for at in stays.get((stay.type, str(event.message.id)), [])]
        first = seen[0] if seen else now
        dwell = datetime.fromisoformat(str(stay.last_seen_at)) - datetime.fromisoformat(str(stay.first_seen_at))
        assert (first, dwell.total_seconds()) == (stay.first_seen_at, stay.dwell_secs)
        if event.kind is EventKind.QUEUE_LEFT:
            assert stay.last_seen_at in seen
            assert stay.last_seen_at == event.occurred_at
        else:
            assert now == stay.last_seen_at

    def _check_previous(self, event: Event) -> None:
        if event.kind is not EventKind.QUEUE_CHANGED or event.queue is None:
            assert event.previous is None
            return
        before = dict(zip(("attempts", "info"), self.last[event.queue.type, str(event.message.id)], strict=True))
        after = {"attempts": event.message.attempts, "info": event.message.info}
        assert {name: value for name, value in before.items() if value != after[name]} == event.previous

    @invariant()
    def what_is_alive_is_kept(self) -> None:
        """The store holds one entry for each stay that has not ended."""
        assert len(self.oracle.stays) == sum(len(stays) for stays in self.feed.stays.values())


def described(event: Event) -> tuple[object, ...]:
    """Return what the oracle says of an event."""
    stay = event.queue
    assert stay is not None
    return event.kind, stay.type, event.message.id, stay.visit, stay.polls


QueueMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.__doc__ = "Any course of polls gives the events that plain bookkeeping gives."


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12), st.integers(1, 3))
def test_what_the_finder_is_shown_grows_into_what_the_queue_tells(
    polls: list[tuple[bool, bool]], gone_after: int
) -> None:
    """The stay the finder would show never shrinks, and once the entry has left it is the one the queue told."""
    feed = QueueFeed()
    before: dict[int, tuple[float, int]] = {}
    told: dict[int, Stay | None] = {}
    for is_there, complete in polls:
        rows = [queue_row()] if is_there else []
        for event in feed.poll(*rows, complete=complete, gone_after=gone_after):
            if event.kind is EventKind.QUEUE_LEFT and event.queue is not None:
                told[event.queue.visit] = event.queue
        for _, visit in feed.passages:
            shown = feed.shown(visit)
            assert shown is not None
            assert (shown.dwell_secs, shown.polls) >= before.get(visit, (0.0, 1))
            before[visit] = shown.dwell_secs, shown.polls
    assert told == {visit: feed.shown(visit) for visit in told}
