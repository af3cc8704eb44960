"""The message finder's rule: which rows are known, and what kind of event each new one is (contract, section 6).

A row is known by its fingerprint (id and state) and then never emitted again. A new row is *classified* by the chains
of states kept under its message key: a Mimecast id changes with the status, so the only thing that links the states of
one mail is what stays the same about it. Classification never suppresses anything.

Everything is kept per second of the row's own ``received_at``: all states of a mail share that second, so one small
stored row holds the fingerprints and the chains that a decision needs, in time order.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mcwatch.domain.event import (
    FINDER,
    SCHEMA,
    Event,
    EventKind,
    message_key,
    message_of,
    timestamp,
)
from mcwatch.domain.fingerprint import join_marks, second_of
from mcwatch.domain.record import Record


class Chain(msgspec.Struct, array_like=True, gc=False):
    """The states one mail was seen in: what was last shown, and every status and earlier id shown before.

    ``ambiguous`` means that a row once fitted this chain and another one: what it last showed may be the other's.
    """

    key: str
    id: str | None
    status: str | None
    info: str | None
    shown: list[str | None]
    older_ids: list[str | None] = []
    ambiguous: bool = False

    def names(self, row_id: str | None) -> bool:
        """Tell whether the id belongs to this chain."""
        return row_id is not None and (self.id == row_id or row_id in self.older_ids)

    def extend(self, row: Record) -> None:
        """Record that the mail was seen in this row's state."""
        if self.id != row.id:
            self.older_ids = [*self.older_ids, self.id]
            self.id = row.id
        if row.status not in self.shown:
            self.shown = [*self.shown, row.status]
        self.status, self.info = row.status, row.info


_DECODER = msgspec.msgpack.Decoder(list[Chain])
_ENCODER = msgspec.msgpack.Encoder()


class Seconds:
    """The lifecycle state of the seconds a page touches: loaded as stored bytes, changed, handed back to be kept."""

    def __init__(self, marks: Mapping[int, bytes], chains: Mapping[int, bytes]) -> None:
        self._marks = marks
        self._stored = chains
        self._chains: dict[int, list[Chain]] = {}
        self._by_key: dict[int, defaultdict[str, list[Chain]]] = {}
        self._new_marks: defaultdict[int, list[bytes]] = defaultdict(list)

    def _load(self, second: int) -> defaultdict[str, list[Chain]]:
        stored = self._stored.get(second)
        chains = _DECODER.decode(stored) if stored else []
        index: defaultdict[str, list[Chain]] = defaultdict(list)
        for chain in chains:
            index[chain.key].append(chain)
        self._chains[second], self._by_key[second] = chains, index
        return index

    def under(self, second: int, key: str) -> list[Chain]:
        """Return the chains kept under a key."""
        index = self._by_key.get(second)
        if index is None:
            index = self._load(second)
        return index[key]

    def start(self, second: int, chain: Chain) -> None:
        """Keep a chain that begins now."""
        self._chains[second].append(chain)
        self._by_key[second][chain.key].append(chain)

    def mark(self, second: int, fingerprint: bytes) -> None:
        """Keep a fingerprint."""
        self._new_marks[second].append(fingerprint)

    def changed(self) -> Iterable[tuple[int, bytes, bytes]]:
        """Yield (second, fingerprints, chains) of every second that gained a fingerprint."""
        for second, fresh in self._new_marks.items():
            yield second, self._marks.get(second, b"") + b"".join(fresh), _ENCODER.encode(self._chains[second])


def unknown(
    rows: Sequence[Record], fingerprints: Sequence[bytes], marks: Iterable[bytes]
) -> list[tuple[bytes, Record]]:
    """Return the rows whose fingerprint is not among the marks, each fingerprint once, in the order of the page."""
    known = join_marks(marks)
    fresh: dict[bytes, Record] = {}
    for mark, row in zip(fingerprints, rows, strict=True):
        if mark not in known and mark not in fresh:
            fresh[mark] = row
    return list(fresh.items())


def classify(chains: list[Chain], row: Record) -> tuple[EventKind, dict[str, Any] | None, Chain | None]:
    """Say what a new row is: (kind, previous, the chain it extends or None to begin one).

    The row extends the chain its id belongs to, else the only chain that has not shown its status. Where several fit,
    the change is certain and its origin is not: ``previous`` stays empty, now and for whatever else these chains do.
    """
    own = [chain for chain in chains if chain.names(row.id)]
    fits = own or [chain for chain in chains if row.status not in chain.shown]
    if not fits:
        return EventKind.SEEN, None, None
    chain = fits[0]
    if len(fits) > 1:
        for other in fits:
            other.ambiguous = True
    if chain.ambiguous and not own:
        return EventKind.CHANGED, None, chain
    return EventKind.CHANGED, {"id": chain.id, "status": chain.status, "info": chain.info}, chain


def decide(fresh: Sequence[tuple[bytes, Record]], seconds: Seconds, account: str, observed_at: datetime) -> list[Event]:
    """Turn new rows into events, in the order given, and bring the lifecycle state up to date."""
    observed = timestamp(observed_at)
    events = []
    for mark, row in fresh:
        second = second_of(row, mark)
        key = message_key(row)
        chains = seconds.under(second, key)
        kind, previous = EventKind.SEEN, None
        chain = None
        if chains:
            kind, previous, chain = classify(chains, row)
        if chain is None:
            seconds.start(second, Chain(key, row.id, row.status, row.info, [row.status]))
        else:
            chain.extend(row)
        seconds.mark(second, mark)
        message = message_of(row, key)
        occurred = message.received_at if kind is EventKind.SEEN and message.received_at is not None else observed
        events.append(Event(SCHEMA, mark.hex(), kind, account, FINDER, occurred, observed, message, previous, None))
    return events
