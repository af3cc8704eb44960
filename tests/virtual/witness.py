"""What the simulator showed to lives of the daemon that lived on to record it."""

import asyncio
from collections import deque
from collections.abc import Iterable

from mcwatch.simulator import Simulator
from mcwatch.simulator.ledger import Sighting
from tests.virtual.receiver import Row

_ON_ITS_WAY_SECS = 1.0
"""An answer and its commit take no virtual time; a stop may meet what was answered in the same moment."""


class Witness:
    """Listens to the simulator's ledger and sorts out what a stop may have met on its way (contract, section 7)."""

    def __init__(self, simulator: Simulator) -> None:
        self._surely: set[Sighting] = set()
        self.excused = 0
        """Rows in answers that a stop may have met; many were shown at other times too."""
        self._recent: deque[tuple[float, list[Sighting]]] = deque()
        self._answered = asyncio.Event()
        record = simulator.ledger.record

        def witnessed(sightings: Iterable[Sighting], now: float) -> None:
            rows = list(sightings)
            self._settle(now - _ON_ITS_WAY_SECS)
            if rows:
                self._recent.append((now, rows))
                self._answered.set()
            record(rows, now)

        simulator.ledger.record = witnessed  # type: ignore[method-assign]  # what a test listens in on

    async def next_answer(self) -> None:
        """Wait until rows have just been shown, and are on their way to the daemon."""
        self._answered.clear()
        await self._answered.wait()

    def life_ended(self, at: float) -> None:
        """Excuse what was answered in the moment in which the daemon was stopped."""
        self._settle(at - _ON_ITS_WAY_SECS)
        self.excused += sum(len(rows) for _, rows in self._recent)
        self._recent.clear()

    def shown(self) -> set[Sighting]:
        """Return all rows that were shown to a life that went on."""
        return self._surely.union(*(rows for _, rows in self._recent))

    def _settle(self, before: float) -> None:
        while self._recent and self._recent[0][0] < before:
            self._surely.update(self._recent.popleft()[1])


def row_of(sighting: Sighting) -> Row:
    """Return feed, id and state of what was shown; of the queue without the visit, which rows do not tell."""
    if sighting.source == "message_finder":
        return sighting.source, sighting.id, sighting.status, sighting.info
    return (
        sighting.source, sighting.id, sighting.queue, sighting.attempts, sighting.info, sighting.locked_until
    )  # fmt: skip
