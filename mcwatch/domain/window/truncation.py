"""When an answer may not be all there is, and how wide a window may be so that it is."""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from itertools import takewhile

import msgspec

from mcwatch.domain.window.ranges import ONE_SECOND, Window

LEAST_CAP = 20
TIMES_BELIEVED = 2

CAPS = frozenset({100, 200, 250, 500, 999, 1000})
"""Row counts at which servers have been seen or are suspected to stop without saying so (contract, section 7)."""

_AIM = 0.5
"""Of a page that a window should fill: room for twice the mail before it takes a second one."""

_GROWTH = 2
_SAME_TOTALS = 4
_MOST_NOTED = 64
_TOLERANCE = 1.25
_ARRIVALS = 50
"""Mail arrives while parts are asked for one after the other."""


class Endings(msgspec.Struct):
    """The lengths of one search's answers that ended without a next page, to find a cap that nobody has named.

    A server that cuts silently never shows more than its cap, and shows just that many whenever there is more: so the
    greatest length seen, seen for the third time, is suspect, and so is what was believed of the two windows before.
    Short answers are alike by chance and are always believed; the same window asked for again proves nothing.

    It is kept in the store: were it forgotten at a restart, what was believed before would stay believed.
    """

    greatest: int = 0
    asked: list[Window] = []
    believed: list[Window] = []
    disbelieved: list[Window] = []
    """What should not have been believed and counts as not read, until the ledger no longer claims it."""
    capped: bool = False

    def looks_capped(self, window: Window, claims: Sequence[Window], rows: int) -> bool:
        """Take note of a window's answer of so many rows, and tell whether it may have been cut at that number.

        ``claims`` is what nothing was known of before this answer, and what would count as read by it alone.
        """
        if rows < max(self.greatest, LEAST_CAP):
            return False
        if rows > self.greatest:
            self.greatest, self.asked, self.believed, self.capped = rows, [], [], False
        if self.capped:
            return True
        if window not in self.asked:
            self.asked.append(window)
        if len(self.asked) > TIMES_BELIEVED:
            self.disbelieved += self.believed
            self.believed = []
            self.capped = True
            return True
        self.believed += claims
        return False

    def is_greatest(self, rows: int) -> bool:
        """Tell whether an answer of so many rows may be one that was cut, without taking note of it."""
        return rows >= max(self.greatest, LEAST_CAP)

    def settled(self, windows: Collection[Window]) -> "Endings":
        """Return the same without these, for the ledger no longer claims them."""
        left = [window for window in self.disbelieved if window not in windows]
        return msgspec.structs.replace(self, disbelieved=left)


def looks_cut(rows: int, *, page_size: int) -> bool:
    """Tell whether a last page of so many rows, without a next one, may not be the end of the list.

    Servers clamp silently, so a full or suspiciously round page counts as cut.
    """
    return rows >= page_size or rows in CAPS


class Totals:
    """The numbers of rows that answers claim, to find out that they do not speak of the window.

    An answer with fewer rows than it claims was cut, and its window is halved. Were the number that of something else,
    every window would be halved down to seconds for ever. Two signs give that away, and mail shows neither: the same
    number for windows that share no second, and parts of a window that share no second and together claim far more than
    the whole did.
    """

    def __init__(self) -> None:
        self._noted: list[tuple[Window, int]] = []
        self.mean_nothing = False
        """Whether the numbers are to be ignored."""

    def note(self, window: Window, total: int) -> None:
        """Take note of an answer that showed less than it claimed and looked complete otherwise."""
        self._noted = [*self._noted, (window, total)][-_MOST_NOTED:]
        same = [one for one, _ in takewhile(lambda noted: noted[1] == total, reversed(self._noted))]
        self.mean_nothing = self.mean_nothing or len(_apart(same)) >= _SAME_TOTALS or self._exceeds_whole(window)

    def _exceeds_whole(self, part: Window) -> bool:
        for whole, claimed in self._noted:
            if whole.start <= part.start and part.end <= whole.end and whole != part:
                inside = {one: total for one, total in self._noted if whole.start <= one.start and one.end <= whole.end}
                if sum(inside[one] for one in _apart(inside)) > claimed * _TOLERANCE + _ARRIVALS:
                    return True
        return False


def _apart(windows: Iterable[Window]) -> list[Window]:
    """Return windows that share no second; requests begin a second early and may end a second late."""
    chosen: list[Window] = []
    for window in sorted(windows, key=lambda one: (one.end, -one.start.timestamp())):
        if not chosen or window.start - ONE_SECOND >= chosen[-1].end + ONE_SECOND:
            chosen.append(window)
    return chosen


class Width:
    """The width of window whose answer normally fits one page, learnt from the answers (contract, section 7)."""

    def __init__(self, widest: timedelta, page_size: int) -> None:
        self._widest = widest
        self._page_size = self._room = page_size
        self.now = widest
        """The width to ask for next; whole seconds."""

    def learn(self, window: Window, rows: int, longest_page: int) -> None:
        """Take note of an answer of so many rows, ``longest_page`` of them on one page.

        An answer of several pages shows how much the server puts on one, whatever was asked for. That is forgotten by
        and by, for a page may be short by chance (reference notes I: empty ones before rows).
        """
        if longest_page < rows:
            self._room = longest_page
        else:
            self._room = min(self._page_size, self._room + 1 + self._room // 100)
        # However short a window is, that it was empty is no reason to ask for less.
        fitting = window.length * (_AIM * self._room / rows) if rows else self._widest
        # What a quiet hour shows says little of the next one, and nothing of a wider window that is too much for the
        # server; what a full one shows counts at once.
        self._set(min(fitting, max(self.now, window.length * _GROWTH)))

    def halve(self, window: Window) -> None:
        """Take note of an answer that was cut."""
        self._set(min(self.now, window.length / 2))

    def _set(self, width: timedelta) -> None:
        self.now = max(ONE_SECOND, min(self._widest, width // ONE_SECOND * ONE_SECOND))
