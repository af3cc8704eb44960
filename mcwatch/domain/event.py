"""What mcwatch emits: the event, its kinds and its ids (contract, section 6).

Ids hash length-prefixed parts, so that no two different inputs have the same bytes: each part is its length in
characters, a colon and the text; a missing part is a single ``-``.
"""

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from mcwatch.domain.record import Address, Record, WireAddress

SCHEMA = "mcwatch.event/1"
_BEFORE_ID = len(f'{{"schema":"{SCHEMA}","event_id":"')
EVENT_ID_AT = slice(_BEFORE_ID, _BEFORE_ID + 32)
"""Where a native line, as encoded here, holds its event id."""
FINDER = "message_finder"
QUEUE = "processing_queue"
NO_SECOND = 2**33
"""Seconds from here on are no time at all (see :mod:`mcwatch.domain.fingerprint`)."""


class EventKind(StrEnum):
    """The five things that can happen to a message, as far as the API shows."""

    SEEN = "message.seen"
    CHANGED = "message.changed"
    QUEUE_ENTERED = "queue.entered"
    QUEUE_CHANGED = "queue.changed"
    QUEUE_LEFT = "queue.left"


class Message(msgspec.Struct, omit_defaults=True, gc=False):
    """The mail an event speaks of. What the API did not say is left out; ``id`` is null for a row without one."""

    id: str | None
    key: str
    status: str | None = None
    info: str | None = None
    subject: str | None = None
    route: str | None = None
    from_envelope: Address | None = None
    from_header: Address | None = None
    to: list[Address] | None = None
    sender_ip: str | None = None
    attachments: bool | None = None
    received_at: datetime | None = None
    sent_at: datetime | None = None
    spam_score: int | float | None = None
    detection_level: str | None = None
    size: int | None = None
    attempts: int | None = None
    created_at: datetime | None = None
    next_attempt_at: datetime | None = None
    locked_until: datetime | None = None
    priority: str | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class Stay(msgspec.Struct, gc=False):
    """How long a message has been in a processing queue; ``visit`` counts its earlier stays.

    A finder's ``message.seen`` holds the stay of the only queue entry that can be its mail, as far as it was known then
    (:mod:`mcwatch.domain.passage`).
    """

    type: str
    first_seen_at: datetime | str
    last_seen_at: datetime | str
    dwell_secs: float
    polls: int
    visit: int


class Event(msgspec.Struct, gc=False):
    """One event as it is encoded; times given as text are RFC 3339 already."""

    schema: str
    event_id: str
    kind: EventKind
    account: str
    source: str
    occurred_at: datetime | str
    observed_at: str
    message: Message
    previous: dict[str, Any] | None
    queue: Stay | None


_ENCODER = msgspec.json.Encoder(enc_hook=str)


def encode_lines(events: Iterable[Event]) -> bytes:
    """Return the events as native JSON, one line each, every line ended by LF."""
    return _ENCODER.encode_lines(list(events))


def timestamp(at: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC with milliseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _part(value: str | None) -> str:
    return "-" if value is None else f"{len(value)}:{value}"


def _sender(record: Record) -> str | None:
    sender = record.from_envelope
    return None if sender is None or sender.address is None else sender.address.lower()


def _recipients(record: Record) -> list[str] | None:
    to = record.to
    if to is None:
        return None
    if len(to) == 1:
        return [(to[0].address or "").lower()]
    return sorted([(entry.address or "").lower() for entry in to])


def _seconds(at: datetime | None) -> str:
    # The semicolon keeps the number apart from what follows: without it second 12, visit 3 reads like second 1, 23.
    return "-" if at is None else f"@{int(at.timestamp())};"


def _traits(record: Record) -> str:
    to = _recipients(record)
    recipients = "-" if to is None else f"{len(to)}[" + "".join(map(_part, to))
    when = _seconds(record.received_at or record.created_at)
    return f"{_part(_sender(record))}{recipients}{_part(record.subject)}{when}{_part(record.sender_ip)}"


def message_key(record: Record, second: int | None = None) -> str:
    """Return the key that links the states of one mail: 32 hex digits.

    SHA-256 over the JSON array of envelope sender, sorted recipients, subject, received (created) second, IP and route;
    addresses in lower case, null for what is missing (reference notes, section K). Identical mails of one second share
    it, so it classifies and never suppresses. ``second`` spares the computation for a caller who has it
    (:func:`mcwatch.domain.fingerprint.second_of`).
    """
    if second is None or second >= NO_SECOND:
        at = record.received_at or record.created_at
        second = None if at is None else int(at.timestamp())
    traits = (_sender(record), _recipients(record), record.subject, second, record.sender_ip, record.route)
    return hashlib.sha256(_ENCODER.encode(traits)).hexdigest()[:32]


def identity(record: Record) -> str:
    """Return the hashed part that names the row: its Mimecast id, or what else identifies a row without one.

    An empty id is none: it would make one mail of all rows that have it.
    """
    if record.id:
        return _part(record.id)
    return "?" + _traits(record)


def content_name(key: str) -> str:
    """Return the hashed part that names a row known by its message key, where ids do not last (``identity: content``).

    Its number among the rows alike is hashed in the place of the visit.
    """
    return "=" + key


def prefix(account: str, source: str) -> str:
    """Return the part of every fingerprint of a feed that never changes."""
    return _part(account) + _part(source)


def finder_state(record: Record) -> str:
    """Return the state of a finder row: what makes it another event (contract, section 2)."""
    return _part(record.status) + _part(record.info)


def queue_state(queue: str, record: Record) -> str:
    """Return the state of a queue entry."""
    attempts = "-" if record.attempts is None else _part(str(record.attempts))
    return f"{_part(queue)}{attempts}{_part(record.info)}{_seconds(record.locked_until)}"


def left_state(queue: str) -> str:
    """Return the state of an entry that left a queue; a mail that moves between two queues leaves both of them."""
    return _part("left") + _part(queue)


def fingerprint(feed: str, row: str, state: str, visit: int = 0) -> bytes:
    """Return the 16 bytes that say "this event is known"; their hex form is the ``event_id``."""
    return hashlib.sha256(f"{feed}{row}{state}{visit}".encode("utf-8", "surrogatepass")).digest()[:16]


def finder_fingerprints(feed: str, rows: Iterable[Record]) -> list[bytes]:
    """Return the fingerprint of each finder row; the same as :func:`fingerprint`, written out for speed.

    This runs for every row of every poll, known or not, and is the larger part of what a repeated row costs.
    """
    digest: Callable[[bytes], Any] = hashlib.sha256
    found = []
    for row in rows:
        name, status, info = row.id, row.status, row.info
        if not name or status is None or info is None:
            found.append(fingerprint(feed, identity(row), finder_state(row)))
        else:
            text = f"{feed}{len(name)}:{name}{len(status)}:{status}{len(info)}:{info}0"
            try:
                found.append(digest(text.encode()).digest()[:16])
            except UnicodeEncodeError:
                found.append(digest(text.encode("utf-8", "surrogatepass")).digest()[:16])
    return found


def _utc(at: datetime) -> datetime:
    if at.tzinfo is UTC:
        return at
    try:
        return at.astimezone(UTC)
    except OverflowError:
        # The calendar's first and last hours are placeholders ("no time"), not moments that an offset could move.
        return at.replace(tzinfo=UTC)


def _plain(entry: WireAddress) -> Address:
    return Address(entry.address, entry.name or None)


def message_of(row: Record, key: str) -> Message:
    """Return the row as an event shows it: our names, UTC, empty display names left out."""
    return Message(
        row.id or None,
        key,
        row.status,
        row.info,
        row.subject,
        row.route,
        None if row.from_envelope is None else _plain(row.from_envelope),
        None if row.from_header is None else _plain(row.from_header),
        None if row.to is None else [_plain(entry) for entry in row.to],
        row.sender_ip,
        row.attachments,
        None if row.received_at is None else _utc(row.received_at),
        None if row.sent_at is None else _utc(row.sent_at),
        row.spam_score,
        row.detection_level,
        row.size,
        row.attempts,
        None if row.created_at is None else _utc(row.created_at),
        None if row.next_attempt_at is None else _utc(row.next_attempt_at),
        None if row.locked_until is None else _utc(row.locked_until),
        row.priority,
        {} if row.extra is msgspec.UNSET else row.extra,
    )
