"""Measures how hard a quota presses: what was let through, and how long what matters waited."""

from collections import deque
from dataclasses import dataclass

from mcwatch.domain.budget import OBSERVED_SECS, GatePressure

_SLOT_SECS = 10.0
_SLOTS = int(OBSERVED_SECS / _SLOT_SECS) + 1  # the slot that runs is not full yet


@dataclass(slots=True)
class _Slot:
    number: int
    sent: int = 0
    waited_secs: float = 0.0


class PressureGauge:
    """Keeps the last ten minutes or a little more, in slots, however many requests there are.

    Every ``now`` is a monotonic second, none before the one given last.
    """

    def __init__(self, now: float) -> None:
        self._began_at = now
        self._settled_at = now
        self._waiting = 0
        self._slots: deque[_Slot] = deque(maxlen=_SLOTS)

    def sent(self, now: float) -> None:
        """Count a request let through."""
        self._settle(now)
        self._slot(now).sent += 1

    def waits(self, now: float) -> None:
        """Note that an urgent request begins to wait."""
        self._settle(now)
        self._waiting += 1

    def served(self, now: float) -> None:
        """Note that an urgent request waits no more."""
        self._settle(now)
        self._waiting -= 1

    def reading(self, now: float) -> GatePressure:
        """Return the figures as of now."""
        self._settle(now)
        oldest = _number(now) - _SLOTS + 1
        over_secs = now - max(self._began_at, oldest * _SLOT_SECS)
        if over_secs < 1:
            return GatePressure()  # a rate out of less than a second says nothing
        slots = [slot for slot in self._slots if slot.number >= oldest]
        return GatePressure(
            sent_per_minute=60.0 * sum(slot.sent for slot in slots) / over_secs,
            waited_share=min(1.0, sum(slot.waited_secs for slot in slots) / over_secs),
            over_secs=over_secs,
        )

    def _settle(self, now: float) -> None:
        """Write the time since the last change into its slots, where it was a time of waiting."""
        if self._waiting:
            at = max(self._settled_at, now - _SLOTS * _SLOT_SECS)
            while at < now:
                end = min((_number(at) + 1) * _SLOT_SECS, now)
                self._slot(at).waited_secs += end - at
                at = end
        self._settled_at = now

    def _slot(self, at: float) -> _Slot:
        number = _number(at)
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        return self._slots[-1]


def _number(at: float) -> int:
    return int(at // _SLOT_SECS)
