"""The processing queue's rule: a snapshot is compared with the entries that are alive (contract, sections 2 and 6).

An entry that is still there unchanged writes nothing: its presence is implied by the number of complete polls. Only
what enters, changes, goes missing or leaves touches the store. After it left, only the number of its stays is kept, so
that a return is told apart from a repeat.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from mcwatch.domain.event import (
    QUEUE,
    SCHEMA,
    Event,
    EventKind,
    Message,
    Stay,
    fingerprint,
    identity,
    left_state,
    message_key,
    message_of,
    queue_state,
    timestamp,
)
from mcwatch.domain.fingerprint import place_at
from mcwatch.domain.passage import KeptPassage, Passage, passage_of
from mcwatch.domain.record import Record


class Snapshot(msgspec.Struct, frozen=True):
    """How many complete polls of one queue there were, and when the last one ended; the cursor of a queue."""

    polls: int = 0
    completed_at: datetime | None = None


class LiveEntry(msgspec.Struct, array_like=True, gc=False):
    """One entry that is in the queue, as far as is known.

    ``misses`` counts the complete polls in a row without it, ``missed`` all of this stay; ``last_seen_at`` is set while
    it is missing and when it changed, otherwise the last complete poll implies it.
    """

    row: str
    message: Message
    state: str
    visit: int
    shown: list[bytes]
    first_seen_at: datetime
    last_seen_at: datetime
    first_poll: int
    misses: int = 0
    missed: int = 0


class EndedStay(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a stay for the finder once the entry has left."""

    first_seen_at: datetime
    last_seen_at: datetime
    polls: int


_LIVE = msgspec.msgpack.Decoder(LiveEntry)
_ENDED = msgspec.msgpack.Decoder(EndedStay)
_VISITS = msgspec.msgpack.Decoder(dict[bytes, int])
_ENCODER = msgspec.msgpack.Encoder()
_SNAPSHOT = msgspec.json.Decoder(Snapshot)


def read_snapshot(stored: bytes | None) -> Snapshot:
    """Return a queue's snapshot from its cursor."""
    return _SNAPSHOT.decode(stored) if stored else Snapshot()


def snapshot_name(queue: str) -> str:
    """Return the name of the cursor that holds a queue's snapshot."""
    return f"queue:{queue}"


def entry_key(feed: str, queue: str, row: Record) -> bytes:
    """Return the 16 bytes that name an entry of a queue, whatever its state; another queue's is another entry."""
    return fingerprint(feed, identity(row), f"|{queue}|")


def place_of(message: Message, key: bytes) -> int:
    """Return the second in which the stays of an entry are remembered."""
    return place_at(message.received_at or message.created_at, key)


@dataclass
class Changes:
    """What a page of a queue asks the store to do, and the events it makes."""

    events: list[Event] = field(default_factory=list)
    keep: dict[bytes, bytes] = field(default_factory=dict)
    drop: list[bytes] = field(default_factory=list)
    visits: dict[int, dict[bytes, int]] = field(default_factory=dict)
    left: list[Stay] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    duplicates: int = 0


class QueueRule:
    """Decides for one queue of one account at one moment."""

    def __init__(self, feed: str, account: str, queue: str, snapshot: Snapshot, observed_at: datetime) -> None:
        self._feed = feed
        self._account = account
        self._queue = queue
        self._snapshot = snapshot
        self._at = observed_at
        self._observed = timestamp(observed_at)

    def decide_rows(
        self, rows: Sequence[tuple[bytes, Record]], stored: Mapping[bytes, bytes], visits: Mapping[bytes, int]
    ) -> Changes:
        """Compare a page's rows with the live entries (``stored``) and the count of earlier stays of the others."""
        changes = Changes()
        live = {key: _LIVE.decode(body) for key, body in stored.items()}
        touched: set[bytes] = set()
        for key, row in rows:
            entry = live.get(key)
            state = queue_state(self._queue, row)
            if entry is None:
                live[key], event = self._enter(row, state, visits.get(key, 0))
                changes.events.append(event)
                self._keep_passage(changes, key, live[key])
                touched.add(key)
                continue
            if entry.misses:
                entry.misses = 0
                # An incomplete poll, which no cursor remembers, may be the last to see it before it is missing again.
                entry.last_seen_at = self._at
                touched.add(key)
            if entry.state == state:
                continue
            touched.add(key)
            event_or_none = self._change(entry, row, state)
            if event_or_none is not None:
                changes.events.append(event_or_none)
        changes.keep = {key: _ENCODER.encode(live[key]) for key in touched}
        return changes

    def decide_absent(self, stored: Mapping[bytes, bytes], gone_after: int) -> Changes:
        """Count a complete poll without these entries; those missing ``gone_after`` times leave."""
        changes = Changes()
        for key, body in stored.items():
            entry = _LIVE.decode(body)
            if not entry.misses:
                entry.last_seen_at = self._last_seen(entry)
            entry.misses += 1
            entry.missed += 1
            if entry.misses < gone_after:
                changes.keep[key] = _ENCODER.encode(entry)
                continue
            event, stay = self._leave(entry)
            changes.events.append(event)
            changes.left.append(stay)
            ended = EndedStay(entry.first_seen_at, entry.last_seen_at, stay.polls)
            self._keep_passage(changes, key, entry, ended)
            changes.drop.append(key)
            changes.visits.setdefault(place_of(entry.message, key), {})[key] = entry.visit + 1
        return changes

    def completed(self) -> bytes:
        """Return the cursor of the queue after this poll was complete."""
        return msgspec.json.encode(Snapshot(self._snapshot.polls + 1, self._at))

    def _keep_passage(self, changes: Changes, key: bytes, entry: LiveEntry, ended: EndedStay | None = None) -> None:
        body = b"" if ended is None else _ENCODER.encode(ended)
        passage = passage_of(entry.message, key, entry.visit, self._queue, body)
        if passage is not None:
            changes.passages.append(passage)

    def _last_seen(self, entry: LiveEntry) -> datetime:
        return _seen_until(entry, self._snapshot)

    def _stay(self, entry: LiveEntry, last_seen_at: datetime) -> Stay:
        return _stay(self._queue, entry, last_seen_at, self._snapshot.polls + 1)

    def _event(self, kind: EventKind, entry: LiveEntry, mark: bytes, occurred: datetime | str, stay: Stay) -> Event:
        return Event(
            SCHEMA, mark.hex(), kind, self._account, QUEUE, occurred, self._observed, entry.message, None, stay
        )

    def _enter(self, row: Record, state: str, visit: int) -> tuple[LiveEntry, Event]:
        name = identity(row)
        mark = fingerprint(self._feed, name, state, visit)
        message = message_of(row, message_key(row))
        entry = LiveEntry(name, message, state, visit, [mark], self._at, self._at, self._snapshot.polls + 1)
        occurred = message.created_at if message.created_at is not None else self._observed
        return entry, self._event(EventKind.QUEUE_ENTERED, entry, mark, occurred, self._stay(entry, self._at))

    def _change(self, entry: LiveEntry, row: Record, state: str) -> Event | None:
        """Bring the entry to its new state; None when this stay has shown that state before."""
        before, entry.message = entry.message, message_of(row, entry.message.key)
        entry.state, entry.last_seen_at = state, self._at
        mark = fingerprint(self._feed, entry.row, state, entry.visit)
        if mark in entry.shown:
            return None
        entry.shown.append(mark)
        event = self._event(EventKind.QUEUE_CHANGED, entry, mark, self._observed, self._stay(entry, self._at))
        event.previous = _differences(before, entry.message)
        return event

    def _leave(self, entry: LiveEntry) -> tuple[Event, Stay]:
        stay = self._stay(entry, entry.last_seen_at)
        mark = fingerprint(self._feed, entry.row, left_state(self._queue), entry.visit)
        return self._event(EventKind.QUEUE_LEFT, entry, mark, timestamp(entry.last_seen_at), stay), stay


def _seen_until(entry: LiveEntry, snapshot: Snapshot) -> datetime:
    """Return when an entry that is not missing was last seen."""
    completed = snapshot.completed_at
    # A poll before it entered says nothing of it, though this machine's clock may have been set back since.
    if completed is None or snapshot.polls < entry.first_poll:
        return entry.last_seen_at
    return max(entry.last_seen_at, completed)


def _stay(queue: str, entry: LiveEntry, last_seen_at: datetime, polls: int) -> Stay:
    """Return the stay of an entry after so many polls of its queue; it was seen in one of them at least."""
    seen = max(polls - entry.first_poll + 1 - entry.missed, 1)
    return _figures(queue, EndedStay(entry.first_seen_at, last_seen_at, seen), entry.visit)


def _figures(queue: str, stay: EndedStay, visit: int) -> Stay:
    dwell = max(0.0, round((stay.last_seen_at - stay.first_seen_at).total_seconds(), 3))
    return Stay(queue, timestamp(stay.first_seen_at), timestamp(stay.last_seen_at), dwell, stay.polls, visit)


def stay_of(kept: KeptPassage) -> Stay | None:
    """Return the stay that the finder is to show: the whole of it, or what complete polls have seen of it so far.

    None where nothing is known of it any more.
    """
    passage = kept.passage
    if passage.ended:
        return _figures(passage.queue, _ENDED.decode(passage.ended), passage.visit)
    entry = _LIVE.decode(kept.live) if kept.live else None
    if entry is None or entry.visit != passage.visit:
        return None
    snapshot = read_snapshot(kept.snapshot)
    until = entry.last_seen_at if entry.misses else _seen_until(entry, snapshot)
    return _stay(passage.queue, entry, until, snapshot.polls)


def _differences(before: Message, after: Message) -> dict[str, Any]:
    names = ("attempts", "info", "locked_until")
    return {name: getattr(before, name) for name in names if getattr(before, name) != getattr(after, name)}


def read_visits(stored: Mapping[int, bytes], keys: Collection[bytes]) -> dict[bytes, int]:
    """Return how many stays the entries among ``keys`` have ended, from what the seconds remember."""
    found: dict[bytes, int] = {}
    for body in stored.values():
        found.update({key: count for key, count in _visits_in(body).items() if key in keys})
    return found


def merge_visits(
    chains: Mapping[int, bytes], marks: Mapping[int, bytes], added: Mapping[int, dict[bytes, int]]
) -> list[tuple[int, bytes, bytes]]:
    """Return the rows to remember after some stays ended; ``chains`` and ``marks`` are what the seconds hold."""
    return [
        (second, marks.get(second, b""), _ENCODER.encode(_visits_in(chains.get(second)) | visits))
        for second, visits in added.items()
    ]


def _visits_in(stored: bytes | None) -> dict[bytes, int]:
    return _VISITS.decode(stored) if stored else {}
