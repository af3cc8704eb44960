"""One event as one line for a person. Pure."""

import re
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

_MAX_SUBJECT = 100  # characters; one event stays about one line of a wide terminal
_KIND_WIDTH = len("message.changed")
_KIND_COLOURS = {
    "message.seen": 32,
    "message.changed": 33,
    "queue.entered": 36,
    "queue.changed": 34,
    "queue.left": 35,
}
_BAD_STATES = frozenset({"held", "rejected", "bounced", "deferred"})
_RED, _DIM = 31, 2
_SPACE = re.compile(r"\s+")


class _Address(Struct):
    address: str | None = None


class _Message(Struct):
    status: str | None = None
    info: str | None = None
    subject: str | None = None
    route: str | None = None
    from_envelope: _Address | None = None
    from_header: _Address | None = None
    to: list[_Address] | None = None


class _Previous(Struct):
    status: str | None = None


class _Queue(Struct):
    type: str | None = None
    dwell_secs: float | None = None


class _Event(Struct):
    kind: str
    account: str
    occurred_at: datetime
    message: _Message
    previous: _Previous | None = None
    queue: _Queue | None = None


_EVENTS = msgspec.json.Decoder(_Event)


def readable_line(payload: bytes, *, coloured: bool = False) -> str:
    """Return a native event as a line without its end; any other payload as it is, harmless to a terminal."""
    try:
        event = _EVENTS.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return neutralise(payload.decode("utf-8", "replace"))
    return " ".join(part for part in _parts(event, coloured=coloured) if part)


def neutralise(text: str) -> str:
    """Return ``text`` with everything that could move a cursor, break a line or turn its direction made visible."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in _SPACE.sub(" ", text))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _parts(event: _Event, *, coloured: bool) -> list[str]:
    message = event.message

    def paint(text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if coloured and text else text

    status = neutralise(message.status or (event.queue and event.queue.type) or "-")
    return [
        paint(f"{event.occurred_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z", _DIM),
        paint(neutralise(event.kind).ljust(_KIND_WIDTH), _KIND_COLOURS.get(event.kind, 0)),
        neutralise(event.account),
        neutralise(message.route or "-"),
        paint(_change(event, status), _RED) if status in _BAD_STATES else _change(event, status),
        f"{neutralise(_sender(message))} -> {neutralise(_recipients(message))}",
        f'"{neutralise(_subject(message))}"',
        paint(_dwell(event), _DIM),
    ]


def _change(event: _Event, status: str) -> str:
    before = event.previous and event.previous.status
    return f"{neutralise(before)}>{status}" if before and before != event.message.status else status


def _sender(message: _Message) -> str:
    for sender in (message.from_header, message.from_envelope):
        if sender and sender.address:
            return sender.address
    return "<>"


def _recipients(message: _Message) -> str:
    known = [entry.address for entry in message.to or () if entry.address]
    if not known:
        return "-"
    return known[0] if len(known) == 1 else f"{known[0]} (+{len(known) - 1})"


def _subject(message: _Message) -> str:
    subject = message.subject or ""
    return subject if len(subject) <= _MAX_SUBJECT else f"{subject[: _MAX_SUBJECT - 1]}…"


def _dwell(event: _Event) -> str:
    if not event.queue or event.queue.dwell_secs is None or event.kind != "queue.left":
        return ""
    return f"after {event.queue.dwell_secs:.0f} s"
