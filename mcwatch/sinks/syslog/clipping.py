"""Makes a payload that is too long for a syslog message fit, and keeps it valid. Pure.

A native event loses its optional fields, the largest and least telling first, and says so with ``"truncated": true``.
Text that is no JSON is cut between two characters. What cannot be made to fit comes back as None.
"""

from collections.abc import Callable
from typing import Any

import msgspec

_KEPT = ("schema", "event_id", "kind", "account", "source", "occurred_at", "observed_at")
_KEPT_OF_MESSAGE = ("id", "key")
_EVENT_MARKS = frozenset({"event_id", "kind", "message"})

_encode = msgspec.json.encode
_Document = dict[str, Any]
_Step = Callable[[_Document, int], None]


def clip(payload: bytes, limit_bytes: int) -> bytes | None:
    """Return the payload in at most ``limit_bytes``; None when what must stay is longer than that."""
    if len(payload) <= limit_bytes:
        return payload
    if limit_bytes <= 0:
        return None
    if not payload.lstrip().startswith((b"{", b"[")):
        return _cut_text(payload, limit_bytes)
    document = _event(payload)
    return None if document is None else _clip_event(document, limit_bytes)


def _event(payload: bytes) -> _Document | None:
    try:
        document = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(document, dict) or not document.keys() >= _EVENT_MARKS:
        return None
    return document if isinstance(document["message"], dict) else None


def _cut_text(payload: bytes, limit_bytes: int) -> bytes | None:
    """Cut at a character: a byte 10xxxxxx continues one (RFC 3629)."""
    end = limit_bytes
    while end > 0 and payload[end] & 0xC0 == 0x80:
        end -= 1
    return payload[:end] if end > 0 else None


def _clip_event(document: _Document, limit_bytes: int) -> bytes | None:
    document["truncated"] = True
    for step in _STEPS:
        encoded = _encode(document)
        if len(encoded) <= limit_bytes:
            return encoded
        step(document, len(encoded) - limit_bytes)
    encoded = _encode(document)
    return encoded if len(encoded) <= limit_bytes else None


def _drop(name: str) -> _Step:
    def step(document: _Document, _excess: int) -> None:
        document["message"].pop(name, None)

    return step


def _shorten(name: str) -> _Step:
    """Shorten a text by as much as is too much, or drop it when it is not that long."""

    def step(document: _Document, excess: int) -> None:
        message = document["message"]
        text = message.get(name)
        room = len(_encode(text)) - excess
        if isinstance(text, str) and room > len('""'):
            message[name] = _prefix(text, room)
        else:
            message.pop(name, None)

    return step


def _prefix(text: str, room_bytes: int) -> str:
    """Return the longest beginning whose JSON string has at most ``room_bytes``."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(_encode(text[:middle])) <= room_bytes:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _fewer_recipients(document: _Document, excess: int) -> None:
    """Keep the first recipients that fit; one is worth more than none."""
    recipients = document["message"].get("to")
    if not isinstance(recipients, list):
        document["message"].pop("to", None)
        return
    while len(recipients) > 1 and excess > 0:
        excess -= len(_encode(recipients.pop())) + len(",")


def _bare_previous(document: _Document, _excess: int) -> None:
    document.pop("previous", None)


def _bare_message(document: _Document, _excess: int) -> None:
    """Leave of the message what identifies it, and when it was."""
    message = document["message"]
    document["message"] = {
        name: value for name, value in message.items() if name in _KEPT_OF_MESSAGE or name.endswith("_at")
    }


def _bare_event(document: _Document, _excess: int) -> None:
    message = document["message"]
    kept = {name: document[name] for name in _KEPT if name in document}
    document.clear()
    document.update(kept)
    document["message"] = {name: message[name] for name in _KEPT_OF_MESSAGE if name in message}
    document["truncated"] = True


_STEPS: tuple[_Step, ...] = (
    _drop("extra"),
    _shorten("subject"),
    _shorten("info"),
    _fewer_recipients,
    _bare_previous,
    _drop("to"),
    _bare_message,
    _bare_event,
)
