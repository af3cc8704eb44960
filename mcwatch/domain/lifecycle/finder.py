"""The message finder's rule: which rows are known, and what kind of event each new one is (contract, section 6).

A row is known by its fingerprint (id and state) and then never emitted again. A new row is *classified* by the chains
of states kept under its message key: a Mimecast id changes with the status, so the only thing that links the states of
one mail is what stays the same about it. Classification never suppresses anything.

Everything is kept per second of the row's own ``received_at``: all states of a mail share that second, so one small
stored row holds the fingerprints and the chains that a decision needs, in time order.
"""

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
from mcwatch.domain.fingerprint import join_marks
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
        """Tell whether the id belongs to this chain; rows without one share their key, so they are one mail."""
        return self.id == row_id or row_id in self.older_ids

    def extend(self, row: Record) -> None:
        """Record that the mail was seen in this row's state."""
        row_id = row.id or None
        if self.id != row_id:
            self.older_ids = [*self.older_ids, self.id]
            self.id = row_id
        if row.status not in self.shown:
            self.shown = [*self.shown, row.status]
        self.status, self.info = row.status, row.info


_DECODER = msgspec.msgpack.Decoder(list[Chain])
_ENCODER = msgspec.msgpack.Encoder()


Shown = tuple[str | None, str | None, str | None]
"""Id, status and info of a row."""


class Second:
    """The mails of one second: their chains by message key, and the fingerprints this page adds.

    ``before`` is what each chain had last shown when the page came, by message key, in the order of the chains.
    """

    __slots__ = ("before", "by_key", "chains", "new_marks")

    def __init__(self, stored: bytes | None) -> None:
        self.chains = _DECODER.decode(stored) if stored else []
        self.by_key: dict[str, list[Chain]] = {}
        self.before: dict[str, list[Shown]] = {}
        self.new_marks: list[bytes] = []
        for chain in self.chains:
            self.by_key.setdefault(chain.key, []).append(chain)
            self.before.setdefault(chain.key, []).append((chain.id, chain.status, chain.info))

    def start(self, chain: Chain) -> None:
        """Keep a chain that begins now."""
        self.chains.append(chain)
        self.by_key.setdefault(chain.key, []).append(chain)


class Seconds:
    """The lifecycle state of the seconds a page touches: loaded as stored bytes, changed, handed back to be kept."""

    def __init__(self, marks: Mapping[int, bytes], chains: Mapping[int, bytes]) -> None:
        self._marks = marks
        self.stored = chains
        self._touched: dict[int, Second] = {}

    def at(self, second: int) -> Second:
        """Return what is known of a second."""
        found = self._touched.get(second)
        if found is None:
            found = self._touched[second] = Second(self.stored.get(second))
        return found

    def changed(self) -> Iterable[tuple[int, bytes, bytes]]:
        """Yield (second, fingerprints, chains) of every second that gained a fingerprint."""
        for second, found in self._touched.items():
            if found.new_marks:
                marks = self._marks.get(second, b"") + b"".join(found.new_marks)
                yield second, marks, _ENCODER.encode(found.chains)


Fresh = tuple[bytes, int, Record]
"""A row not known: its fingerprint, the second it is kept in, the row."""


def unknown(
    rows: Sequence[Record], fingerprints: Sequence[bytes], seconds: Sequence[int], marks: Iterable[bytes]
) -> list[Fresh]:
    """Return the rows whose fingerprint is not among the marks, each fingerprint once, in the order of the page."""
    known = join_marks(marks)
    fresh: dict[bytes, Fresh] = {}
    for one in zip(fingerprints, seconds, rows, strict=True):
        mark = one[0]
        if mark not in known and mark not in fresh:
            fresh[mark] = one
    return list(fresh.values())


def classify(chains: list[Chain], row: Record) -> tuple[EventKind, dict[str, Any] | None, Chain | None]:
    """Say what a new row is: (kind, previous, the chain it extends or None to begin one).

    The row extends the chain its id belongs to, else the only chain that has not shown its status. Where several fit,
    the change is certain and its origin is not: ``previous`` stays empty, now and for whatever else these chains do,
    unless the row has the very id that the chain showed last.
    """
    row_id = row.id or None
    own = [chain for chain in chains if chain.names(row_id)]
    fits = own or [chain for chain in chains if row.status not in chain.shown]
    if not fits:
        return EventKind.SEEN, None, None
    chain = fits[0]
    if len(fits) > 1:
        for other in fits:
            other.ambiguous = True
    if chain.ambiguous and not (own and chain.id == row_id):
        return EventKind.CHANGED, None, chain
    return EventKind.CHANGED, {"id": chain.id, "status": chain.status, "info": chain.info}, chain


def decide(fresh: Sequence[Fresh], seconds: Seconds, account: str, observed_at: datetime) -> list[Event]:
    """Turn new rows into events, in the order given, and bring the lifecycle state up to date."""
    observed = timestamp(observed_at)
    seen = EventKind.SEEN
    events = []
    for mark, number, row in fresh:
        second = seconds.at(number)
        key = message_key(row, number)
        chains = second.by_key.get(key)
        kind, previous, chain = classify(chains, row) if chains else (seen, None, None)
        if chain is None:
            second.start(Chain(key, row.id or None, row.status, row.info, [row.status]))
        else:
            chain.extend(row)
        second.new_marks.append(mark)
        message = message_of(row, key)
        occurred = message.received_at if kind is seen and message.received_at is not None else observed
        events.append(Event(SCHEMA, mark.hex(), kind, account, FINDER, occurred, observed, message, previous, None))
    return events


def count_reidentified(
    rows: Sequence[Record], fresh: Sequence[Fresh], events: Sequence[Event], seconds: Seconds
) -> int:
    """Return how many of a page's new rows look like known ones under another id.

    Such a row shows the very status and info that a chain of its key had last shown before the page. Each chain vouches
    for one row, and for none if the page holds a row with the id it showed: then the new one is a twin that came late.
    ``events`` are those of ``fresh``, one each, in its order; ``rows`` is the whole page.
    """
    count, ids = 0, None
    for (_, number, row), event in zip(fresh, events, strict=True):
        if number not in seconds.stored:
            continue
        shown = seconds.at(number).before.get(event.message.key)
        if shown is None:
            continue
        ids = {one.id or None for one in rows} if ids is None else ids
        for at, (row_id, status, info) in enumerate(shown):
            if status == row.status and info == row.info and row_id not in ids:
                count += 1
                del shown[at]
                break
    return count
