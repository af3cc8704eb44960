"""The model world of the finder: mails, the rows they are shown as, and when; times are seconds of the API's clock."""

import random
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

import msgspec

START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC).timestamp()
DAY = 86_400.0
BRIEF_SECS = 7 * DAY
"""Rejected and deferred rows are shown for so long (reference notes G)."""

DOMAINS = ("corp.example", "corp.org.example", "shop.example")
_ROUTES = ("inbound", "inbound", "inbound", "outbound", "internal", "external")
_FIRST = ("accepted", "held", "delivery", "rejected", "deferred", "archived")
_LATER = ("held", "accepted", "delivery", "archived", "bounced", "rejected")


def when(secs: float) -> datetime:
    """Return a moment of the API's clock."""
    return datetime.fromtimestamp(secs, UTC)


class Sign(NamedTuple):
    """What makes a row an event of its own: its id (else, here, its subject) and its state."""

    name: str
    status: str
    info: str


@dataclass(slots=True, eq=False)
class Shown:
    """A mail in one state, shown from ``begin`` until before ``end``."""

    sign: Sign
    row: bytes
    begin: float
    end: float

    def at(self, moment: float) -> bool:
        """Tell whether it is shown."""
        return self.begin <= moment < self.end

    def through(self, begin: float, end: float) -> bool:
        """Tell whether it is shown at both moments and all the time between."""
        return self.begin <= begin and end < self.end


@dataclass(frozen=True, slots=True, eq=False)
class Mail:
    """One mail; ``alike`` when another one differs by nothing but its ids."""

    number: int
    received: int
    fields: Mapping[str, object]
    states: Sequence[Shown]
    route: str
    alike: bool

    def found_by(self, options: Mapping[str, str]) -> bool:
        """Tell whether a search finds it."""
        return all(self.fields[name] == value for name, value in options.items())

    def leave(self, moment: float) -> None:
        """Let it be shown no more."""
        for state in self.states:
            state.end = max(state.begin, min(state.end, moment))

    def shown(self, moment: float) -> Shown | None:
        """Return its row at a moment."""
        return next((state for state in self.states if state.at(moment)), None)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a number of mails comes: received within ``spread_secs`` before now, all in one second where that is 0."""

    count: int
    spread_secs: int
    twins: bool = False
    hasty: bool = False
    """Shown at once, in one state for ever: what fills a second."""


@dataclass
class World:
    """All mail of one account, in the order of receipt."""

    mails: list[Mail] = field(default_factory=list)
    by_sign: dict[Sign, Mail] = field(default_factory=dict)
    _number: int = 0

    def arrive(self, rng: random.Random, now: float, arrival: Arrival) -> None:
        """Add mails, none of which was shown before now."""
        received = int(now) - rng.randint(0, max(arrival.spread_secs, 30))
        while arrival.count > 0:
            if arrival.spread_secs:
                received = int(now) - rng.randint(0, arrival.spread_secs)
            fields = self._fields(rng)
            alike = arrival.twins and rng.random() < 0.5
            for _ in range(2 if alike else 1):
                self._add(_Maker(rng, now, received, arrival.hasty), fields, alike=alike)
            arrival = Arrival(arrival.count - 1, arrival.spread_secs, arrival.twins, arrival.hasty)

    def _fields(self, rng: random.Random) -> dict[str, object]:
        inbound = rng.random() < 0.7
        ours, theirs = rng.choice(DOMAINS), rng.choice((*DOMAINS, "news.example", "alerts.example"))
        return {
            "from": theirs if inbound else ours,
            "to": ours if inbound else theirs,
            "subject": f"subject {self._number}",
            "senderIP": rng.choice(("198.51.100.7", "198.51.100.8")),
            "route": rng.choice(_ROUTES),
        }

    def _add(self, maker: "_Maker", fields: Mapping[str, object], *, alike: bool) -> None:
        self._number += 1
        states = maker.states(self._number, fields, alike=alike)
        mail = Mail(self._number, maker.received, fields, states, str(fields["route"]), alike)
        insort(self.mails, mail, key=lambda one: one.received)
        for state in states:
            self.by_sign[state.sign] = mail

    def between(self, first: float, last: float) -> Iterator[Mail]:
        """Yield the mails received from ``first`` to ``last``, both included."""
        at = bisect_left(self.mails, first, key=lambda one: one.received)
        while at < len(self.mails) and self.mails[at].received <= last:
            yield self.mails[at]
            at += 1


class _Maker:
    """Makes the states of one mail."""

    def __init__(self, rng: random.Random, now: float, received: int, hasty: bool) -> None:
        self._rng = rng
        self._now = now
        self.received = received
        self._hasty = hasty

    def states(self, number: int, fields: Mapping[str, object], *, alike: bool) -> list[Shown]:
        """Return one to four states, one after the other."""
        rng = self._rng
        begin = max(self._now, self.received + self._delay())
        renames, nameless = rng.random() < 0.7, not alike and rng.random() < 0.05
        status, info = rng.choice(_FIRST), "first"
        found: list[Shown] = []
        for step in range(1 if self._hasty else rng.choice((1, 2, 2, 3, 4))):
            end = begin + self._lasts()
            if status in {"rejected", "deferred"}:
                end = min(end, self.received + BRIEF_SECS)
            if end > begin:
                row_id = None if nameless else f"id-{number}-{status}" if renames else f"id-{number}"
                found.append(_shown(row_id, status, info, (begin, end), {**fields, "received": self.received}))
            gap = rng.choice((0.0, 0.0, 0.0, 30.0, 700.0))
            begin = max(end, begin) + gap
            status = rng.choice(_LATER)
            info = rng.choice(("first", f"step {step}"))
        return found

    def _delay(self) -> float:
        if self._hasty:
            return 0.0
        rng, kind = self._rng, self._rng.random()
        if kind < 0.5:
            return rng.uniform(0, 3)
        if kind < 0.7:
            return rng.uniform(0, 300)
        if kind < 0.85:
            return rng.uniform(300, 1_500)
        return rng.uniform(1_500, 8_000) if kind < 0.95 else rng.uniform(8_000, 30_000)

    def _lasts(self) -> float:
        if self._hasty:
            return inf
        rng, kind = self._rng, self._rng.random()
        if kind < 0.25:
            return rng.uniform(1, 90)
        if kind < 0.6:
            return rng.uniform(90, 1_500)
        return rng.uniform(1_500, 20_000) if kind < 0.75 else inf


def _shown(
    row_id: str | None, status: str, info: str, times: tuple[float, float], fields: Mapping[str, object]
) -> Shown:
    at = when(float(str(fields["received"]))).strftime("%Y-%m-%dT%H:%M:%S+0000")
    row = {
        "id": row_id,
        "status": status,
        "info": info,
        "received": at,
        "sent": at,
        "fromEnv": {"emailAddress": f"someone@{fields['from']}"},
        "fromHdr": {"displayableName": "Some One", "emailAddress": f"someone@{fields['from']}"},
        "to": [{"displayableName": "", "emailAddress": f"amy@{fields['to']}"}],
        "subject": fields["subject"],
        "senderIP": fields["senderIP"],
        "route": fields["route"],
        "attachments": False,
    }
    if row_id is None:
        del row["id"]
    sign = Sign(row_id or str(fields["subject"]), status, info)
    return Shown(sign, msgspec.json.encode(row), *times)
