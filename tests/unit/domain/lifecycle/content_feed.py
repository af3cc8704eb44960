"""A feed whose rows are known by content; it keeps what the rule asks to be kept, as bytes only, as the store does."""

from collections.abc import Sequence

from mcwatch.domain.event import FINDER, Event, prefix
from mcwatch.domain.lifecycle.content import decide_by_content, number_rows, unknown_rows
from mcwatch.domain.lifecycle.finder import Seconds
from mcwatch.domain.record import Record
from tests.unit.domain.rows import NOW

PREFIX = prefix("acme", FINDER)


class ContentFeed:
    """Reads complete answers one after the other; nothing but ``marks`` and ``chains`` is carried along."""

    def __init__(self) -> None:
        self.marks: dict[int, bytes] = {}
        self.chains: dict[int, bytes] = {}

    def page(self, rows: Sequence[Record]) -> list[Event]:
        """Read one complete answer and return its events."""
        numbered = number_rows(PREFIX, rows)
        known = {row.second: self.marks[row.second] for row in numbered if row.second in self.marks}
        fresh = unknown_rows(numbered, known.values())
        seconds = Seconds(known, {row.second: self.chains[row.second] for row in fresh if row.second in known})
        events = decide_by_content(fresh, seconds, "acme", NOW)
        for second, marks, kept in seconds.changed():
            self.marks[second], self.chains[second] = marks, kept
        return events
