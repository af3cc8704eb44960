"""The deeper looks back: each part of the look-back is read again once in every period, spread over it.

Time is divided into cells of a fixed width, and each cell has its own moment within the period. So a tier needs to
remember nothing but up to which moment its turns were taken: it goes on after a restart, a longer stop makes every cell
due once and not more often, and two visits of one cell are a period apart wherever the look-back has moved meanwhile.

Why that sees everything: let a row be shown in some state for a whole period, while its time lies in the look-back. In
that period its cell has a turn, at which the row's second lies between the turn less the look-back and the turn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mcwatch.domain.window.ranges import Window, merged

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROUNDING = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Tier:
    """One deeper look: all of ``look_back`` within each ``every``."""

    every: timedelta
    look_back: timedelta

    @property
    def name(self) -> str:
        """What its progress is kept under."""
        return f"{self.every // timedelta(seconds=1)}/{self.look_back // timedelta(seconds=1)}"


@dataclass(frozen=True, slots=True)
class Turn:
    """What of a tier's look-back is to be read again, and the moment at which its turn came."""

    at: datetime
    windows: list[Window]


@dataclass(frozen=True, slots=True)
class Rounds:
    """The turns of a tier, given how often polls come (``interval``) and the widest window (``step``).

    A turn is taken at the first poll after its moment, and polls take time themselves: turns come somewhat more often
    than asked for, so that two visits are never farther apart than ``every``.
    """

    tier: Tier
    interval: timedelta
    step: timedelta

    @property
    def period(self) -> timedelta:
        """How often each cell has its turn."""
        every = self.tier.every
        return max(every - 2 * self.interval, every / 2, timedelta(seconds=1))

    @property
    def cells(self) -> int:
        """Into how many cells the look-back is divided."""
        return -(-self.tier.look_back // self.step)

    def due(self, taken_until: datetime, now: datetime) -> list[Turn]:
        """Return the turns after ``taken_until`` up to ``now``, in order; a cell that had several has its last one."""
        taken_until = max(taken_until, now - self.period)
        if self._tick(taken_until + _ROUNDING) == self._tick(now):
            return []
        oldest = now - self.tier.look_back
        turns: dict[datetime, list[Window]] = {}
        for number, cell in self._between(oldest, now):
            at = self._last_turn(number, now)
            window = cell.clipped(oldest, now)
            if at > taken_until and window is not None:
                turns.setdefault(at, []).append(window)
        return [Turn(at, merged(turns[at])) for at in sorted(turns)]

    def begun(self, at: datetime, now: datetime) -> Turn | None:
        """Return the turn of a moment, to be finished although newer ones have come; None when nothing of it is left.

        Else a tier whose turns take longer than there is time for would begin them all and end none.
        """
        oldest = now - self.tier.look_back
        windows = [
            window
            for number, cell in self._between(oldest, now)
            if self._last_turn(number, at) == at and (window := cell.clipped(oldest, now)) is not None
        ]
        return Turn(at, merged(windows)) if windows else None

    def _tick(self, at: datetime) -> int:
        """Return how many turns, of whatever cell, have come up to a moment."""
        periods, rest = divmod(at - _EPOCH, self.period)
        return periods * self.cells + rest * self.cells // self.period

    def _width(self) -> timedelta:
        secs = -(-self.tier.look_back // timedelta(seconds=1))
        return timedelta(seconds=-(-secs // self.cells))

    def _between(self, start: datetime, end: datetime) -> Iterator[tuple[int, Window]]:
        width = self._width()
        number = (start - _EPOCH) // width
        while (begin := _EPOCH + number * width) < end:
            yield number, Window(begin, begin + width)
            number += 1

    def _last_turn(self, number: int, now: datetime) -> datetime:
        """Return the cell's newest turn up to now."""
        phase = self.period * (number % self.cells) / self.cells
        return now - (now - _EPOCH - phase) % self.period
