"""Makes a native event shorter: its optional fields go, the largest and least telling first. Pure."""

from collections.abc import Callable

from mcwatch.sinks.syslog.document_clipping import Document, beginning, encode

_KEPT = ("schema", "event_id", "kind", "account", "source", "occurred_at", "observed_at")
_KEPT_OF_MESSAGE = ("id", "key")
_EVENT_MARKS = frozenset({"event_id", "kind", "message"})

_Step = Callable[[Document, int], None]


def is_native(document: Document) -> bool:
    """Return whether a document is an event of the native schema."""
    return document.keys() >= _EVENT_MARKS and isinstance(document["message"], dict)


def clip_event(document: Document, limit_bytes: int) -> bytes | None:
    """Return the event, marked as truncated, in at most ``limit_bytes``; None when what must stay is longer."""
    document["truncated"] = True
    for step in _STEPS:
        encoded = encode(document)
        if len(encoded) <= limit_bytes:
            return encoded
        step(document, len(encoded) - limit_bytes)
    encoded = encode(document)
    return encoded if len(encoded) <= limit_bytes else None


def _drop(name: str) -> _Step:
    def step(document: Document, _excess: int) -> None:
        document["message"].pop(name, None)

    return step


def _shorten(name: str) -> _Step:
    """Shorten a text by as much as is too much, or drop it when it is not that long."""

    def step(document: Document, excess: int) -> None:
        message = document["message"]
        text = message.get(name)
        room = len(encode(text)) - excess
        if isinstance(text, str) and room > len('""'):
            message[name] = beginning(text, room)
        else:
            message.pop(name, None)

    return step


def _fewer_recipients(document: Document, excess: int) -> None:
    """Keep the first recipients that fit; one is worth more than none."""
    recipients = document["message"].get("to")
    if not isinstance(recipients, list):
        document["message"].pop("to", None)
        return
    while len(recipients) > 1 and excess > 0:
        excess -= len(encode(recipients.pop())) + len(",")


def _bare_previous(document: Document, _excess: int) -> None:
    document.pop("previous", None)


def _bare_message(document: Document, _excess: int) -> None:
    """Leave of the message what identifies it, and when it was."""
    message = document["message"]
    document["message"] = {
        name: value for name, value in message.items() if name in _KEPT_OF_MESSAGE or name.endswith("_at")
    }


def _bare_event(document: Document, _excess: int) -> None:
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
