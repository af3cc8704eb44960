"""Events for the sinks to carry: plain ones, and such as attackers write."""

from typing import Any

import msgspec

from mcwatch.domain.delivery import Batch

MAIL_CONTENT = "Kontoauszug-4711-geheim"
"""Stands in every subject, so that it can be looked for where it must not be."""

HOSTILE_SUBJECTS = [
    "a\rb",
    "a\nb",
    "a\r\n<13>1 2026-01-05T09:29:02Z forged app - - - forged",
    "nul\0nul",
    "\x1b[2Jcleared",
    "del\x7f c1\x85",
    "quotes \" ' ` \\",
    'structured ] " data',
    "line\u2028and paragraph\u2029ends",
    "right \u202eot tfel",
    "emoji 👩‍👩‍👧 𝔘",
    "x" * 4096,
    "é" * 2048,
    "",
]


def event(number: int, subject: str = "Quarter update") -> bytes:
    """Return a native event; equal numbers make equal ids."""
    return msgspec.json.encode(event_document(number, subject))


def event_document(number: int, subject: str = "Quarter update") -> dict[str, Any]:
    """Return the same as a document."""
    return {
        "schema": "mcwatch.event/1",
        "event_id": f"{number:032x}",
        "kind": "message.seen",
        "account": "acme",
        "source": "message_finder",
        "occurred_at": "2026-01-05T09:29:02Z",
        "observed_at": "2026-01-05T09:30:00.412Z",
        "message": {
            "id": f"eNp{number}",
            "key": f"{number:032x}",
            "status": "held",
            "info": "Message Hold Applied",
            "subject": f"{subject} {MAIL_CONTENT}",
            "route": "inbound",
            "from_envelope": {"address": "bounce@news.example"},
            "to": [{"address": "amy@corp.example"}],
            "received_at": "2026-01-05T09:29:02Z",
            "extra": {},
        },
        "previous": None,
        "queue": None,
    }


def batch_of(*events: bytes) -> Batch:
    """Return the events as a batch in format json."""
    return Batch(events, events)


def numbered(count: int, start: int = 0) -> Batch:
    """Return a batch of ``count`` events with ids from ``start``."""
    return batch_of(*(event(number) for number in range(start, start + count)))


def large(start: int = 0) -> Batch:
    """Return a batch that is more than any target's buffers hold."""
    return batch_of(*(event(number, "s" * 4000) for number in range(start, start + 250)))
