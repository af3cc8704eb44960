"""The link from the processing queue to the message finder: which mail a queue entry became, where that is certain.

The two feeds share no id (reference notes, section K). What they share is the envelope sender, the recipients, the
subject, the sender's IP and, nearly, the time: the finder's ``received`` lies close to the queue's ``created``. So the
stay of an entry is kept under a hash of the former, in a place that its time gives, and a mail new to the finder is
linked to the only entry that fits, if no other mail fits it too.

This is the best that can be told, not a proof: of two alike mails within minutes, of which the queue showed only one
and the finder shows only one for now, it may be the wrong one.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from mcwatch.domain.event import Message
from mcwatch.domain.fingerprint import MARK_BYTES, TIMELESS, place_at

TOLERANCE_MS = 120_000
"""How far ``created`` and ``received`` of one mail lie apart at most: "small" (reference notes, section K)."""

_PLACE_MS = 8 * TOLERANCE_MS
"""Wide enough that the places near a time are mostly one; narrow enough that what is written together lies together."""

_TRAIT_BITS = 63
_NO_MARK = bytes(MARK_BYTES)
_ENCODER = msgspec.json.Encoder(enc_hook=str)


class Passage(msgspec.Struct, frozen=True, gc=False):
    """One stay of a queue entry, as the finder is to find it.

    ``ended`` is empty while the entry is in the queue, then what the queue's rule knows of the stay.
    """

    place: int
    traits: int
    entry: bytes
    visit: int
    queue: str
    created_ms: int
    ended: bytes = b""


@dataclass(frozen=True, slots=True)
class KeptPassage:
    """A passage as the store found it. ``live`` is the entry's stay while it is in the queue, ``snapshot`` its queue's.

    ``taken`` is set once a mail was linked to it, or more than one fitted.
    """

    passage: Passage
    taken: bool = False
    live: bytes | None = None
    snapshot: bytes | None = None


class Mail(msgspec.Struct, frozen=True, gc=False):
    """A mail new to the finder, as far as a link goes by it; ``number`` is its place among the page's events."""

    number: int
    traits: int
    received_ms: int


@dataclass(frozen=True, slots=True)
class Links:
    """Which mail (by its number) passed a queue as which stay, and the stays that no later mail is to be linked to."""

    by_mail: Mapping[int, KeptPassage]
    taken: Sequence[Passage]


def traits_of(message: Message) -> int | None:
    """Return what both feeds say alike about a mail, hashed to 63 bits; None for one without sender or recipients.

    A recipient without an address counts as none: the rest of the list would be another mail's.
    """
    sender = message.from_envelope.address if message.from_envelope is not None else None
    if not sender or not message.to:
        return None
    recipients = [entry.address.lower() if entry.address else "" for entry in message.to]
    if len(recipients) > 1:
        recipients.sort()
    # An empty one is the first in order.
    if not recipients[0]:
        return None
    text = _ENCODER.encode((sender.lower(), recipients, message.subject, message.sender_ip))
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) >> (64 - _TRAIT_BITS)


def milliseconds_of(at: datetime | None) -> int | None:
    """Return a time that says something as Unix time, None for a missing one and for a placeholder."""
    if at is None or place_at(at, _NO_MARK) >= TIMELESS:
        return None
    return int(at.timestamp() * 1000)


def passage_of(message: Message, entry: bytes, visit: int, queue: str, ended: bytes = b"") -> Passage | None:
    """Return the stay of an entry to be kept, None where it could never be linked."""
    traits, created_ms = traits_of(message), milliseconds_of(message.created_at)
    if traits is None or created_ms is None:
        return None
    return Passage(created_ms // _PLACE_MS, traits, entry, visit, queue, created_ms, ended)


def mail_of(message: Message, number: int, second: int) -> Mail | None:
    """Return a mail new to the finder as the link sees it, None where it could never be linked.

    ``second`` is the one that its row is kept in: it is known already, and a fraction of one plays no part.
    """
    if message.received_at is None or second >= TIMELESS:
        return None
    traits = traits_of(message)
    return None if traits is None else Mail(number, traits, second * 1000)


def places_near(first_ms: int, last_ms: int) -> range:
    """Return the places of every stay that a mail received between two times can belong to."""
    return range((first_ms - TOLERANCE_MS) // _PLACE_MS, (last_ms + TOLERANCE_MS) // _PLACE_MS + 1)


def places_of(mails: Collection[Mail]) -> set[tuple[int, int]]:
    """Return (place, traits) of every stay that one of these mails can belong to."""
    near = {at: places_near(at, at) for at in {mail.received_ms for mail in mails}}
    return {(place, mail.traits) for mail in mails for place in near[mail.received_ms]}


def link(mails: Iterable[Mail], kept: Collection[KeptPassage]) -> Links:
    """Link mails to stays where exactly one entry and one mail fit each other.

    An entry fits a mail of the same traits created within two minutes of its being received. Of its stays the latest
    counts. An entry with a stay that is taken fits, but is not linked again; one that several mails of the page fit is
    taken from then on.
    """
    by_traits: dict[int, list[KeptPassage]] = {}
    for one in kept:
        by_traits.setdefault(one.passage.traits, []).append(one)
    fits = {mail.number: _fitting(mail, by_traits[mail.traits]) for mail in mails if mail.traits in by_traits}
    suitors: dict[bytes, int] = {}
    for entries in fits.values():
        for entry in entries:
            suitors[entry] = suitors.get(entry, 0) + 1
    gone = {one.passage.entry for one in kept if one.taken}
    by_mail: dict[int, KeptPassage] = {}
    taken = []
    for number, entries in fits.items():
        for entry, stay in entries.items():
            alone = len(entries) == 1 and suitors[entry] == 1 and entry not in gone
            if alone:
                by_mail[number] = stay
            if (alone or suitors[entry] > 1) and not stay.taken:
                taken.append(stay.passage)
    return Links(by_mail, list(dict.fromkeys(taken)))


def _fitting(mail: Mail, kept: Iterable[KeptPassage]) -> dict[bytes, KeptPassage]:
    """Return the latest stay of each entry that can be this mail's."""
    latest: dict[bytes, KeptPassage] = {}
    for one in kept:
        if abs(one.passage.created_ms - mail.received_ms) <= TOLERANCE_MS:
            before = latest.get(one.passage.entry)
            if before is None or before.passage.visit < one.passage.visit:
                latest[one.passage.entry] = one
    return latest
