"""What the simulator says it showed: every row of every complete answer, to compare with what a client recorded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mcwatch.simulator.times import to_rfc3339

Source = Literal["message_finder", "processing_queue"]


class Sighting(NamedTuple):
    """One row in one state: what must reach the client's records once.

    Values are those meant, whatever their spelling: attempts is a number even where the row says "2".
    """

    account: str
    source: Source
    id: str | None
    received: int | None = None
    status: str | None = None
    info: str | None = None
    queue: str | None = None
    attempts: int | None = None
    locked_until: int | None = None
    raw: str | None = None
    """Only on rows meant to be unreadable: their JSON, undecodable bytes written as backslash escapes."""


@dataclass(slots=True)
class Tally:
    """How often a row was shown, and when, in seconds since 1970."""

    first_shown_at: float
    last_shown_at: float
    times_shown: int = 1


class Ledger:
    """The rows shown, counted by row and state."""

    def __init__(self) -> None:
        self._tallies: dict[Sighting, Tally] = {}

    def record(self, sightings: Iterable[Sighting], now: float) -> None:
        """Count rows as shown; to be called once the answer is written in full."""
        for sighting in sightings:
            tally = self._tallies.get(sighting)
            if tally is None:
                self._tallies[sighting] = Tally(now, now)
            else:
                tally.last_shown_at = now
                tally.times_shown += 1

    def entries(self, account: str | None = None) -> Iterator[tuple[Sighting, Tally]]:
        """Yield what was shown, in the order of the first showing."""
        for sighting, tally in self._tallies.items():
            if account is None or sighting.account == account:
                yield sighting, tally

    def lines(self, account: str | None = None) -> Iterator[dict[str, object]]:
        """Yield one flat object per row and state, as `GET /_simulator/ledger` answers."""
        for sighting, tally in self.entries(account):
            line = as_line(sighting)
            line["first_shown_at"] = tally.first_shown_at
            line["last_shown_at"] = tally.last_shown_at
            line["times_shown"] = tally.times_shown
            yield line

    def clear(self) -> None:
        """Forget everything shown."""
        self._tallies.clear()

    def __len__(self) -> int:
        """Count the rows and states shown."""
        return len(self._tallies)


def as_line(sighting: Sighting) -> dict[str, object]:
    """Return a sighting as a flat JSON object with times in RFC 3339."""
    line: dict[str, object] = sighting._asdict()
    line["odd"] = sighting.raw is not None
    for key in ("received", "locked_until"):
        line[key] = _moment(line[key])
    return line


def _moment(value: object) -> str | None:
    return to_rfc3339(value) if isinstance(value, int) else None
