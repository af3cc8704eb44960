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

from mcwatch.domain.window.ranges import Window, merged, within

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
class TierTurns:
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

    def due(self, taken_until: datetime, now: datetime) -> Iterator[Turn]:
        """Yield the turns after ``taken_until`` up to ``now``, in order; a cell that had several has its last one."""
        taken_until = max(taken_until, now - self.period)
        for number in range(self._number(taken_until) + 1, self._number(now) + 1):
            windows = self._cells_of(number, now)
            if windows:
                yield Turn(self._moment(number), windows)

    def begun(self, at: datetime, now: datetime) -> Turn | None:
        """Return the turn of a moment, to be finished although newer ones have come; None when nothing of it is left.

        Else a tier whose turns take longer than there is time for would begin them all and end none.
        """
        number = self._number(at)
        # With another interval or step than before, the moment may be none of this tier.
        windows = self._cells_of(number, now) if self._moment(number) == at else []
        return Turn(at, windows) if windows else None

    def _number(self, at: datetime) -> int:
        """Return how many turns, of whatever cell, have come up to a moment."""
        periods, rest = divmod(at + _ROUNDING - _EPOCH, self.period)
        return periods * self.cells + rest * self.cells // self.period

    def _moment(self, number: int) -> datetime:
        periods, cell = divmod(number, self.cells)
        return _EPOCH + self.period * periods + self.period * cell / self.cells

    def _cells_of(self, number: int, now: datetime) -> list[Window]:
        """Return what of the look-back has its turn with this number: a cell, and both ends where they are one's."""
        oldest = now - self.tier.look_back
        secs = -(-self.tier.look_back // timedelta(seconds=1))
        width = timedelta(seconds=-(-secs // self.cells))
        cell = (oldest - _EPOCH) // width
        cell += (number - cell) % self.cells
        windows = []
        while (begin := _EPOCH + cell * width) < now:
            windows.append(Window(begin, begin + width))
            cell += self.cells
        return merged(within(windows, oldest, now))
