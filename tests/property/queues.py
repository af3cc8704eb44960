"""The model world of the processing queues, and the API before it: offsets into a list that moves while it is paged."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, NamedTuple

import msgspec

from mcwatch.mimecast.endpoints import Endpoint
from tests.property.api import TOKEN_UNKNOWN, WorldTime
from tests.property.model import when

Queue = Literal["processing", "bulk_processing"]
QUEUES: tuple[Queue, ...] = ("processing", "bulk_processing")
_FORMAT = "%Y-%m-%dT%H:%M:%S+0000"


class State(NamedTuple):
    """What makes an entry another event."""

    attempts: int | None
    info: str | None
    locked_until: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """An entry in one queue and state, from ``begin`` until before ``end``."""

    queue: Queue
    state: State
    begin: float
    end: float


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One entry; ``name`` is its id, or its subject where it has none."""

    name: str
    row_id: str | None
    created: int
    presences: Sequence[Presence]

    def at(self, moment: float) -> Presence | None:
        """Return where it is at a moment."""
        return next((one for one in self.presences if one.begin <= moment < one.end), None)

    def stays_in(self, queue: Queue, begin: float, end: float) -> bool:
        """Tell whether it is in the queue at both moments and all the time between."""
        at = begin
        for one in self.presences:
            if one.queue == queue and one.begin <= at < one.end:
                at = one.end
        return at > end

    def row(self, state: State) -> bytes:
        """Return the row that the API shows."""
        row: dict[str, object] = {
            "id": self.row_id,
            "fromEnv": {"emailAddress": "someone@news.example"},
            "to": {"emailAddress": "amy@corp.example"},
            "subject": self.name,
            "remoteIp": "198.51.100.7",
            "routing": "inbound",
            "created": when(self.created).strftime(_FORMAT),
        }
        if self.row_id is None:
            del row["id"]
        if state.attempts is not None:
            row["attempts"] = state.attempts
        if state.info is not None:
            row["info"] = state.info
        if state.locked_until is not None:
            row["lockedUntil"] = when(state.locked_until).strftime(_FORMAT)
        return msgspec.json.encode(row)


def make_entry(rng: random.Random, number: int, now: float) -> Entry:
    """Return an entry that enters now or soon, changes, leaves, returns, moves to the other queue."""
    created = int(now) - rng.choice((0, 0, 5, 4_000, 8 * 86_400))
    begin, queue = now + rng.choice((0.0, 0.0, rng.uniform(0, 100))), rng.choice(QUEUES)
    state = State(rng.choice((None, 0)), rng.choice((None, "waiting")), None)
    presences = []
    for _ in range(rng.choice((1, 2, 3, 5))):
        end = begin + rng.choice((rng.uniform(0.1, 40), rng.uniform(20, 300), rng.uniform(100, 2_000), inf))
        presences.append(Presence(queue, state, begin, end))
        gap = rng.choice((0.0, 0.0, 0.2, 35.0, 65.0, 500.0))
        begin = end + gap
        if rng.random() < 0.2:
            queue = rng.choice(QUEUES)
        attempts = rng.choice((state.attempts, (state.attempts or 0) + 1, 0))
        locked = rng.choice((None, None, created + 60))
        state = State(attempts, rng.choice((state.info, "waiting", "scanning")), locked)
    row_id = None if rng.random() < 0.1 else f"q-{number}"
    return Entry(row_id or f"subject {number}", row_id, created, presences)


@dataclass(frozen=True, slots=True)
class QueueManner:
    """How the API lists a queue: up to ``cap`` rows per page, with next tokens or cut, with ``totalCount`` or not."""

    cap: int
    pages: bool
    totals: bool


@dataclass(eq=False)
class QueuePass:
    """All pages of one list, from the first."""

    queue: Queue
    begun_at: float
    present: list[Entry]
    shown: set[Entry] = field(default_factory=set)
    capped: bool = False


class QueueApi:
    """Answers snapshots out of the world, newest entries first."""

    def __init__(self, entries: list[Entry], manner: QueueManner, time: WorldTime) -> None:
        self._entries = entries
        self._manner = manner
        self._time = time
        self._generation = 0
        self._open: dict[Queue, QueuePass] = {}

    def forget_tokens(self) -> None:
        """Let every page token die."""
        self._generation += 1

    def last_pass(self, queue: Queue) -> QueuePass:
        """Return the pass over this queue that was begun last."""
        return self._open[queue]

    def answer(self, endpoint: Endpoint, item: Mapping[str, Any], size: int, token: str | None, harm: str) -> bytes:
        """Return the body of an answer; ``harm`` is done to it by the adversary."""
        queue: Queue = item["type"]
        now, skip = self._time.now, 0
        found = [(entry, at) for entry in self._entries if (at := entry.at(now)) is not None and at.queue == queue]
        found.sort(key=lambda one: (one[0].created, one[0].name), reverse=True)
        if token is not None:
            generation, _, offset = token.partition(":")
            if int(generation) != self._generation:
                return TOKEN_UNKNOWN
            skip = int(offset)
        else:
            self._open[queue] = QueuePass(queue, now, [entry for entry, _ in found])
        read = self._open[queue]
        part = found[skip : skip + min(size, self._manner.cap)]
        more = self._manner.pages and skip + len(part) < len(found)
        if harm == "cut" and self._manner.totals:
            part, more = part[: len(part) // 2], False
        read.capped = not more and skip + len(part) < len(found)
        read.shown |= {entry for entry, _ in part}
        bodies = [entry.row(presence.state) for entry, presence in part]
        if harm == "repeat":
            bodies += bodies[:2]
        if harm == "odd":
            bodies.append(b"17")
        pagination: dict[str, object] = {"totalCount": len(found) + (harm == "odd")} if self._manner.totals else {}
        if more:
            pagination["next"] = f"{self._generation}:{skip + len(part)}"
        head = msgspec.json.encode({"status": 200, "pagination": pagination})
        return b'{"fail":[],"meta":' + head + b',"data":[{"messages":[' + b",".join(bodies) + b"]}]}"
