"""The receiver of a run: a sink in memory that outlives restarts, and fails now and then after having accepted."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import TransientError
from mcwatch.domain.event import QUEUE
from tests.virtual.clock import VirtualClock

Row = tuple[object, ...]
"""Feed, id and state of a row, as :func:`tests.virtual.witness.row_of` writes those that were shown."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event at its first arrival; times in seconds since 1970, 0 where the event names none."""

    row: Row | None
    """None for a departure, which shows no row."""
    visit: int
    """Which stay in the queue it belongs to; 0 in the finder."""
    kind: str
    arrived_at: float
    received_at: float
    digest: bytes


class Receiver:
    """Keeps what arrived, by event id; bytes only as digests, for a long run brings hundreds of thousands.

    Args:
        clock: tells when things arrive.
        rng: decides which batches are accepted and yet answered with an error, or refused for now.
        failing_share: share of batches that meet such a fate.
    """

    def __init__(self, clock: VirtualClock, rng: random.Random, failing_share: float = 0.0) -> None:
        self._clock = clock
        self._rng = rng
        self._failing_share = failing_share
        self.arrivals: dict[str, Arrival] = {}
        self.repeats = 0
        self.differing: list[str] = []
        """Ids that came again with other bytes."""
        self.outages = 0

    def take(self, payloads: Sequence[bytes]) -> None:
        """Keep a batch."""
        for payload in payloads:
            event = json.loads(payload)
            digest = blake2b(payload, digest_size=8).digest()
            before = self.arrivals.get(event["event_id"])
            if before is None:
                self.arrivals[event["event_id"]] = self._arrival(event, digest)
                continue
            self.repeats += 1
            if before.digest != digest:
                self.differing.append(event["event_id"])

    def deliver(self, batch: Batch) -> Verdicts:
        """Take a batch, unless this one is to fail."""
        if self._rng.random() >= self._failing_share:
            self.take(batch.payloads)
            return ALL_ACCEPTED
        self.outages += 1
        if self._rng.random() < 0.5:
            # Accepted, but the answer gets lost on the way back.
            self.take(batch.payloads)
        raise TransientError("the receiver is out of order")

    def rows(self) -> dict[Row, str]:
        """Return an event id for each row, departures left out; no row may have two in one stay."""
        found: dict[Row, str] = {}
        for event_id, arrival in self.arrivals.items():
            if arrival.row is not None:
                of_visit = (*arrival.row, arrival.visit)
                assert event_id == found.setdefault(of_visit, event_id), f"two ids for one row: {arrival}"
        return {row[:-1]: event_id for row, event_id in found.items()}

    def _arrival(self, event: Mapping[str, Any], digest: bytes) -> Arrival:
        message = event["message"]
        received = message.get("received_at") or message.get("created_at")
        received_at = datetime.fromisoformat(received).timestamp() if received else 0.0
        row = None if event["kind"] == "queue.left" else _row(event)
        visit = event["queue"]["visit"] if event["source"] == QUEUE else 0
        return Arrival(row, visit, event["kind"], self._clock.true_secs(), received_at, digest)


def _row(event: Mapping[str, Any]) -> Row:
    message, queue = event["message"], event["queue"]
    info = message.get("info") or None
    if event["source"] == "message_finder":
        return event["source"], message["id"], message["status"], info
    locked = message.get("locked_until")
    return (
        event["source"], message["id"], queue["type"], message.get("attempts"), info,
        None if locked is None else int(datetime.fromisoformat(locked).timestamp()),
    )  # fmt: skip


class _ReceiverSink:
    """One life's connection to the receiver."""

    most_at_once = 1
    acknowledgements: None = None

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def deliver(self, batch: Batch) -> Verdicts:
        """Hand the batch over."""
        return self._receiver.deliver(batch)

    async def check(self) -> str:
        """Say that it is there."""
        return "a receiver in memory"


@dataclass(frozen=True)
class ReceiverConfig:
    """Stands in for a sink's configuration."""

    receiver: Receiver

    def build(self, channel: UUID | None = None) -> _ReceiverSink:
        """Return a connection."""
        return _ReceiverSink(self.receiver)
