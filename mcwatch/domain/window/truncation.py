"""The finder's planner: which time windows to ask for, when an answer is cut short, and how to ask again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

ONE_SECOND = timedelta(seconds=1)

LEAST_CAP = 20
TIMES_BELIEVED = 2

CAPS = frozenset({100, 200, 250, 500, 999, 1000})
"""Row counts at which servers have been seen or are suspected to stop without saying so (contract, section 7)."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open range of time, whole seconds, UTC."""

    start: datetime
    end: datetime

    def halves(self) -> tuple["Window", "Window"] | None:
        """Return the older and the newer half, None for a single second."""
        secs = int((self.end - self.start).total_seconds())
        if secs <= 1:
            return None
        middle = self.start + timedelta(seconds=secs // 2)
        return Window(self.start, middle), Window(middle, self.end)


@dataclass(frozen=True, slots=True)
class Plan:
    """The windows of one poll, oldest first, and what can no longer be asked for (None when nothing is lost)."""

    windows: list[Window]
    gap: Window | None


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a search looks: seconds all of them.

    ``overlap`` is how far each poll looks back again, ``first`` how far the very first one looks back, ``step`` the
    widest window, ``history`` how far back the API answers.
    """

    overlap: timedelta
    first: timedelta
    step: timedelta
    history: timedelta


def whole_second(at: datetime) -> datetime:
    """Return the time without its fraction."""
    return at.replace(microsecond=0)


def plan(read_until: datetime | None, now: datetime, reach: Reach) -> Plan:
    """Return the windows that lead from what was read to now.

    ``read_until`` is the end of the last window read completely, None for a search never read. Each poll looks back by
    the overlap again, since rows appear late. A cursor that lies in the future (the clock was wrong) is read again from
    now minus the overlap.
    """
    end = whole_second(now)
    oldest = end - reach.history
    gap = None
    if read_until is None:
        start = end - reach.first
    else:
        start = min(read_until, end) - reach.overlap
        if read_until < oldest:
            gap = Window(read_until, oldest)
    start = max(start, oldest)
    windows = []
    while start < end:
        stop = min(start + reach.step, end)
        windows.append(Window(start, stop))
        start = stop
    return Plan(windows, gap)


class Endings:
    """The lengths of one search's answers that ended without a next page, to find a cap that nobody has named.

    A server that cuts silently never shows more than its cap, and shows just that many whenever there is more: so the
    greatest length seen, seen for the third time, is suspect, and so are the two windows that were believed before.
    Short answers are alike by chance and are always believed.
    """

    def __init__(self) -> None:
        self._greatest = 0
        self._times = 0
        self._believed: list[Window] = []
        self.owed: list[Window] = []
        """The windows that should not have been believed; whoever has read one again takes it off."""

    def looks_capped(self, window: Window, rows: int) -> bool:
        """Take note of a window's answer of so many rows, and tell whether it may have been cut at that number."""
        if rows > self._greatest:
            self._greatest, self._times, self._believed = rows, 0, []
        if rows < self._greatest or rows < LEAST_CAP:
            return False
        self._times += 1
        if self._times > TIMES_BELIEVED:
            self.owed += self._believed
            self._believed = []
            return True
        self._believed.append(window)
        return False


def looks_cut(rows: int, unique: int, *, page_size: int, total: int | None) -> bool:
    """Tell whether an answer that ended without a next page may not be all there is.

    ``rows`` is the size of its last page, ``unique`` the rows of all its pages without repeats, ``total`` what the
    server said it has. Servers clamp silently, so a full or suspiciously round last page counts as cut.
    """
    return rows >= page_size or rows in CAPS or (total is not None and unique < total)
