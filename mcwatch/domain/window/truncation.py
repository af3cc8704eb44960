"""When an answer may not be all there is, and how wide a window may be so that it is."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from mcwatch.domain.window.ranges import ONE_SECOND, Window

LEAST_CAP = 20
TIMES_BELIEVED = 2

CAPS = frozenset({100, 200, 250, 500, 999, 1000})
"""Row counts at which servers have been seen or are suspected to stop without saying so (contract, section 7)."""

_AIM = 0.5
"""Of a page that a window should fill: room for twice the mail before it takes a second one."""

_GROWTH = 2
_SAME_TOTALS = 4


class Endings:
    """The lengths of one search's answers that ended without a next page, to find a cap that nobody has named.

    A server that cuts silently never shows more than its cap, and shows just that many whenever there is more: so the
    greatest length seen, seen for the third time, is suspect, and so is what was believed of the two windows before.
    Short answers are alike by chance and are always believed; the same window asked for again proves nothing.
    """

    def __init__(self) -> None:
        self._greatest = 0
        self._asked: list[Window] = []
        self._believed: list[Window] = []
        self._disbelieved: list[Window] = []
        self._capped = False

    def looks_capped(self, window: Window, claims: Sequence[Window], rows: int) -> bool:
        """Take note of a window's answer of so many rows, and tell whether it may have been cut at that number.

        ``claims`` is what nothing was known of before this answer, and what would count as read by it alone.
        """
        if rows > self._greatest:
            self._greatest, self._asked, self._believed, self._capped = rows, [], [], False
        if rows < self._greatest or rows < LEAST_CAP:
            return False
        if self._capped:
            return True
        if window not in self._asked:
            self._asked.append(window)
        if len(self._asked) > TIMES_BELIEVED:
            self._disbelieved += self._believed
            self._believed = []
            self._capped = True
            return True
        self._believed += claims
        return False

    def is_greatest(self, rows: int) -> bool:
        """Tell whether an answer of so many rows may be one that was cut, without taking note of it."""
        return rows >= max(self._greatest, LEAST_CAP)

    @property
    def disbelieved(self) -> Sequence[Window]:
        """What should not have been believed and counts as not read; until it is :meth:`unlearnt`."""
        return tuple(self._disbelieved)

    def unlearnt(self, windows: Collection[Window]) -> None:
        """Take note that the ledger no longer claims these."""
        self._disbelieved = [window for window in self._disbelieved if window not in windows]


def looks_cut(rows: int, *, page_size: int) -> bool:
    """Tell whether a last page of so many rows, without a next one, may not be the end of the list.

    Servers clamp silently, so a full or suspiciously round page counts as cut.
    """
    return rows >= page_size or rows in CAPS


class Totals:
    """The numbers of rows that answers claim, to find out that they do not speak of the window.

    An answer with fewer rows than it claims was cut, and its window is halved. Were the number that of something else,
    every window would be halved down to seconds for ever. The same number for windows that share no second gives that
    away; mail never does so by chance for long.
    """

    def __init__(self) -> None:
        self._total: int | None = None
        self._windows: list[Window] = []
        self.mean_nothing = False
        """Whether the numbers are to be ignored."""

    def note(self, window: Window, total: int | None) -> None:
        """Take note of an answer that showed less than it claimed and looked complete otherwise."""
        if total != self._total:
            self._total, self._windows = total, []
        # Requests begin a second early and may end a second late.
        start, end = window.start - ONE_SECOND, window.end + ONE_SECOND
        shared = [one for one in self._windows if one.clipped(start, end) is not None]
        if any(one.length <= window.length for one in shared):
            return
        self._windows = [one for one in self._windows if one not in shared] + [window]
        self.mean_nothing = self.mean_nothing or len(self._windows) >= _SAME_TOTALS


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
