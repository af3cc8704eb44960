"""A feed that keeps what the queue's rule asks to be kept, as bytes only, as the store does."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from mcwatch.domain.event import QUEUE, Event, Stay, prefix
from mcwatch.domain.fingerprint import second_of
from mcwatch.domain.lifecycle.queue import (
    Changes,
    QueueRule,
    entry_key,
    merge_visits,
    read_snapshot,
    read_visits,
    stay_of,
)
from mcwatch.domain.passage import KeptPassage, Passage
from mcwatch.domain.record import Record
from tests.unit.domain.rows import NOW

PREFIX = prefix("acme", QUEUE)
STEP = timedelta(seconds=30)


class QueueFeed:
    """Polls queues; everything the rule knows of earlier polls went through bytes."""

    def __init__(self) -> None:
        self.now = NOW
        self.cursors: dict[str, bytes] = {}
        self.stays: defaultdict[str, dict[bytes, bytes]] = defaultdict(dict)
        self.chains: dict[int, bytes] = {}
        self.marks: dict[int, bytes] = {}
        self.duplicates = 0
        self.passages: dict[tuple[bytes, int], Passage] = {}

    def poll(self, *rows: Record, queue: str = "processing", complete: bool = True, gone_after: int = 2) -> list[Event]:
        """Poll a queue in one page, half a minute after the poll before."""
        return self.poll_pages([rows], queue=queue, complete=complete, gone_after=gone_after)

    def poll_pages(
        self,
        pages: Sequence[Sequence[Record]],
        *,
        queue: str = "processing",
        complete: bool = True,
        gone_after: int = 2,
    ) -> list[Event]:
        """Poll a queue page by page."""
        self.now += STEP
        events = []
        for rows in pages:
            events += self._page(queue, rows)
        if complete:
            present = {entry_key(PREFIX, queue, row) for rows in pages for row in rows}
            absent = {key: body for key, body in self.stays[queue].items() if key not in present}
            rule = self._rule(queue)
            events += self._apply(queue, rule.decide_absent(absent, gone_after))
            self.cursors[queue] = rule.completed()
        return events

    def shown(self, visit: int = 0) -> Stay | None:
        """Return what the finder would show of the only entry's stay, read as the store gives it back."""
        ((key, passage),) = [(key, one) for (key, number), one in self.passages.items() if number == visit]
        live = None if passage.ended else self.stays[passage.queue].get(key)
        return stay_of(KeptPassage(passage, live=live, snapshot=self.cursors.get(passage.queue)))

    def _rule(self, queue: str) -> QueueRule:
        return QueueRule(PREFIX, "acme", queue, read_snapshot(self.cursors.get(queue)), self.now)

    def _page(self, queue: str, rows: Sequence[Record]) -> list[Event]:
        keyed: dict[bytes, Record] = {}
        for row in rows:
            keyed.setdefault(entry_key(PREFIX, queue, row), row)
        live = {key: body for key, body in self.stays[queue].items() if key in keyed}
        strangers = {key: row for key, row in keyed.items() if key not in live}
        places = {second_of(row, key) for key, row in strangers.items()}
        visits = read_visits({place: self.chains[place] for place in places & self.chains.keys()}, strangers)
        changes = self._rule(queue).decide_rows(list(keyed.items()), live, visits)
        self.duplicates += len(keyed) - len(changes.events)
        return self._apply(queue, changes)

    def _apply(self, queue: str, changes: Changes) -> list[Event]:
        self.stays[queue].update(changes.keep)
        self.passages.update({(stay.entry, stay.visit): stay for stay in changes.passages})
        for key in changes.drop:
            del self.stays[queue][key]
        for place, marks, chains in merge_visits(self.chains, self.marks, changes.visits):
            self.marks[place], self.chains[place] = marks, chains
        return changes.events


def at(poll: int) -> datetime:
    """Return the time of a poll, counted from 1."""
    return NOW + poll * STEP
