"""Comparing what the simulator showed with what receivers got."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from mcwatch.simulator import Sighting, Simulator

Row = tuple[object, ...]

_IN_FLIGHT = 2
"""Answers of one source that a kill may find uncommitted: one per search or queue (contract, section 7)."""
_NOTICE_SECS = 0.2
"""How late a death may be noticed; a new process takes longer to ask its first question."""


class Witness:
    """Remembers every answer with rows, beside the simulator's ledger, to know which ones a kill may have met."""

    def __init__(self, simulator: Simulator) -> None:
        self._ledger = simulator.ledger
        self._answers: list[tuple[float, str, frozenset[Sighting]]] = []
        record = self._ledger.record

        def witnessed(sightings: Iterable[Sighting], now: float) -> None:
            rows = list(sightings)
            if rows:
                self._answers.append((now, rows[0].source, frozenset(rows)))
            record(rows, now)

        self._ledger.record = witnessed  # type: ignore[method-assign]  # what a test listens in on

    def missing(self, events: Iterable[dict[str, Any]], kills: Sequence[float] = ()) -> list[Sighting]:
        """Return what was shown and did not arrive, except what may have been on its way at a kill each time."""
        arrived = recorded(events)
        lost = [sighting for sighting, _ in self._ledger.entries() if row_shown(sighting) not in arrived]
        committed = self._surely_committed(kills) if lost and kills else None
        return [sighting for sighting in lost if committed is None or sighting in committed]

    def excused(self, events: Iterable[dict[str, Any]], kills: Sequence[float]) -> int:
        """Return how many rows :meth:`missing` excuses."""
        arrived = list(events)
        return len(self.missing(arrived)) - len(self.missing(arrived, kills))

    def _surely_committed(self, kills: Sequence[float]) -> set[Sighting]:
        """Return the rows of all answers after which the same process has asked often enough."""
        by_life: dict[tuple[int, str], list[frozenset[Sighting]]] = {}
        for at, source, rows in self._answers:
            life = sum(kill + _NOTICE_SECS < at for kill in kills)
            by_life.setdefault((life, source), []).append(rows)
        sure: set[Sighting] = set()
        for (life, _), answers in by_life.items():
            killed = life < len(kills)
            for rows in answers[:-_IN_FLIGHT] if killed else answers:
                sure |= rows
        return sure


def row_shown(sighting: Sighting) -> Row:
    """Return what a row must show as: its feed, id and state."""
    if sighting.source == "message_finder":
        return sighting.account, sighting.source, sighting.id, sighting.status, sighting.info
    locked = sighting.locked_until
    return sighting.account, sighting.source, sighting.id, sighting.queue, sighting.attempts, sighting.info, locked


def row_recorded(event: dict[str, Any]) -> Row:
    """Return the same of an event."""
    message, info = event["message"], event["message"].get("info") or None
    if event["source"] == "message_finder":
        return event["account"], event["source"], message["id"], message["status"], info
    locked = message.get("locked_until")
    return (
        event["account"], event["source"], message["id"], event["queue"]["type"], message.get("attempts"), info,
        None if locked is None else int(datetime.fromisoformat(locked).timestamp()),
    )  # fmt: skip


def recorded(events: Iterable[dict[str, Any]]) -> set[Row]:
    """Return the rows that reached a receiver; a departure shows no row."""
    return {row_recorded(event) for event in events if event["kind"] != "queue.left"}


def assert_ids_hold(lines: Iterable[bytes]) -> None:
    """Check that an id always comes with the same bytes, and that a row in a state has one id only."""
    by_id: dict[str, bytes] = {}
    ids: dict[Row, str] = {}
    for line in lines:
        event = json.loads(line)
        event_id = event["event_id"]
        first = by_id.setdefault(event_id, line)
        assert first == line, f"a repeat differs from the first sending:\n{first.decode()}\n{line.decode()}"
        state = _state(event)
        assert ids.setdefault(state, event_id) == event_id, f"one row has two ids: {state}"
    assert len(by_id) == len(ids), "one id stands for two rows"


def _state(event: dict[str, Any]) -> Row:
    """Return what makes an event another one: the row's state and the stay it belongs to."""
    queue = event["queue"]
    if event["kind"] == "queue.left":
        return event["account"], event["message"]["id"], queue["type"], queue["visit"], "left"
    return *row_recorded(event), queue and queue["visit"]
