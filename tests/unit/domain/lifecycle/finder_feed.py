"""A feed that keeps what the finder's rule asks to be kept, as bytes only, as the store does."""

from collections.abc import Sequence
from datetime import datetime

from mcwatch.domain.event import FINDER, Event, finder_fingerprints, prefix
from mcwatch.domain.fingerprint import seconds_of
from mcwatch.domain.lifecycle.finder import Seconds, count_reidentified, decide, unknown
from mcwatch.domain.record import Record
from tests.unit.domain.rows import NOW

PREFIX = prefix("acme", FINDER)


class FinderFeed:
    """Reads pages one after the other; nothing but ``marks`` and ``chains`` is carried from page to page.

    ``reidentified`` counts the rows of the last page that had been read under another id.
    """

    def __init__(self) -> None:
        self.marks: dict[int, bytes] = {}
        self.chains: dict[int, bytes] = {}
        self.reidentified = 0

    def page(self, rows: Sequence[Record], at: datetime = NOW) -> list[Event]:
        """Read one page and return its events."""
        fingerprints = finder_fingerprints(PREFIX, rows)
        numbers = seconds_of(rows, fingerprints)
        known = {second: self.marks[second] for second in numbers if second in self.marks}
        fresh = unknown(rows, fingerprints, numbers, known.values())
        chains = {second: self.chains[second] for _, second, _ in fresh if second in known}
        seconds = Seconds(known, chains)
        events = decide(fresh, seconds, "acme", at)
        self.reidentified = count_reidentified(rows, fresh, events, seconds)
        for second, marks, kept in seconds.changed():
            self.marks[second], self.chains[second] = marks, kept
        return events

    def row(self, row: Record) -> Event | None:
        """Read a page of one row and return its event."""
        events = self.page([row])
        return events[0] if events else None
