"""Ranges of time and the sums that can be made of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open range of time, whole seconds, UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How much time it spans."""
        return self.end - self.start

    def halves(self) -> tuple["Window", "Window"] | None:
        """Return the older and the newer half, None for a single second."""
        secs = int(self.length.total_seconds())
        if secs <= 1:
            return None
        middle = self.start + timedelta(seconds=secs // 2)
        return Window(self.start, middle), Window(middle, self.end)

    def clipped(self, start: datetime, end: datetime) -> "Window | None":
        """Return the part between two moments; None when there is none."""
        clipped = Window(max(self.start, start), min(self.end, end))
        return clipped if clipped.start < clipped.end else None

    def pieces(self, step: timedelta) -> "Iterator[Window]":
        """Yield the window cut into steps from its start on; the last one may be shorter."""
        start = self.start
        while start < self.end:
            stop = min(start + step, self.end)
            yield Window(start, stop)
            start = stop


def whole_second(at: datetime) -> datetime:
    """Return the time without its fraction."""
    return at.replace(microsecond=0)


def merged(windows: Iterable[Window]) -> list[Window]:
    """Return the same time as disjoint windows in order, those that touch joined."""
    joined: list[Window] = []
    for window in sorted(windows):
        if joined and window.start <= joined[-1].end:
            joined[-1] = Window(joined[-1].start, max(joined[-1].end, window.end))
        else:
            joined.append(window)
    return joined


def without(windows: Iterable[Window], taken: Iterable[Window]) -> list[Window]:
    """Return what of ``windows`` lies in none of ``taken``, in order."""
    holes = merged(taken)
    left: list[Window] = []
    for window in merged(windows):
        start = window.start
        for hole in holes:
            if hole.end <= start:
                continue
            if hole.start >= window.end:
                break
            if hole.start > start:
                left.append(Window(start, hole.start))
            start = hole.end
        if start < window.end:
            left.append(Window(start, window.end))
    return left


def within(windows: Iterable[Window], start: datetime, end: datetime) -> list[Window]:
    """Return what of ``windows`` lies between two moments."""
    return [part for window in windows if (part := window.clipped(start, end)) is not None]
