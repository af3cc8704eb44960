"""What answers have shown: of one pass over the pages of a window, and of several searches for one second."""

from dataclasses import dataclass, field
from datetime import datetime

from mcwatch.domain.record import Record, Unreadable
from mcwatch.sources.paging import Sheet


@dataclass(slots=True)
class Outcome:
    """What answers have shown: whether none of them was cut, the rows, and how many rows the API said there are.

    ``other_routes`` tells whether there were rows of routes that were not asked for.
    """

    complete: bool = True
    keys: set[str] = field(default_factory=set)
    total: int = 0
    other_routes: bool = False

    def shows(self, other: "Outcome") -> bool:
        """Tell whether these rows hold all the others and all the API said there are."""
        return other.keys <= self.keys and len(self.keys) >= other.total


@dataclass(slots=True)
class Answer:
    """One pass over the pages of a window, begun at ``at`` on the API's clock."""

    at: datetime
    size: int = 0
    first_page: int = 0
    longest_page: int = 0
    rows: list[Record] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    def add(self, sheet: Sheet[str], *, keep: bool) -> None:
        """Take in a page; its rows are kept where the whole answer is wanted."""
        size = len(sheet.rows) + len(sheet.unreadable)
        self.size += size
        self.longest_page = max(self.longest_page, size)
        if sheet.first:
            self.first_page = size
        if keep:
            self.rows += sheet.rows
            self.unreadable += sheet.unreadable

    def counts_each_once(self, last: Sheet[str]) -> bool:
        """Tell whether no row can stand in it twice, as the pages of a living list show some."""
        return self.size in {self.first_page, last.total}
