"""Native events for the formats: a full one, a bare one, what attackers write and what redaction leaves."""

import copy
import hashlib
from pathlib import Path
from typing import Any

import msgspec

SNAPSHOTS = Path(__file__).parents[2] / "snapshots"

HOSTILE_TEXTS = (
    "a\rb",
    "a\nb",
    "a\r\nCEF:0|forged|line|1|1|forged|10|",
    "nul\0nul",
    "\x1b[2Jcleared\x07",
    "tab\tdel\x7f c1\x85 c1\x9b",
    "quotes \" ' ` \\ \\\\ \\n",
    'structured ] " data [x@1 y="z"]',
    "pipe | equals = caret ^ a=b|c=d",
    "line\u2028and paragraph\u2029ends",
    "right \u202eot tfel\u202c \u2066isolate\u2069",
    "emoji 👩‍👩‍👧 𝔘 \U0010ffff",
    "noncharacters \ufffe\uffff and the replacement \ufffd",
    '<script>alert("x")</script> &amp; <b>&lt;',
    "x" * 4096,
    "é" * 2048,
    '{"json": [1, null]}',
    " ",
    "",
)

FULL: dict[str, Any] = {
    "schema": "mcwatch.event/1",
    "event_id": "6f0c0000000000000000000000000001",
    "kind": "message.seen",
    "account": "acme-account",
    "source": "message_finder",
    "occurred_at": "2026-01-05T09:01:01.101Z",
    "observed_at": "2026-01-05T09:02:02.202Z",
    "message": {
        "id": "eNpMimecastId",
        "key": "91ab0000000000000000000000000002",
        "status": "status-of-its-own",
        "info": "info of its own",
        "subject": "subject of its own",
        "route": "route-of-its-own",
        "from_envelope": {"address": "envelope@one.example", "name": "Envelope Name"},
        "from_header": {"address": "header@two.example", "name": "Header Name"},
        "to": [
            {"address": "first@three.example", "name": "First Name"},
            {"address": "second@four.example"},
        ],
        "sender_ip": "198.51.100.77",
        "attachments": True,
        "received_at": "2026-01-05T09:03:03.303Z",
        "sent_at": "2026-01-05T09:04:04.404Z",
        "spam_score": 61234.5,
        "detection_level": "detection-of-its-own",
        "size": 71234,
        "attempts": 81234,
        "created_at": "2026-01-05T09:05:05.505Z",
        "next_attempt_at": "2026-01-05T09:06:06.606Z",
        "locked_until": "2026-01-05T09:07:07.707Z",
        "priority": "priority-of-its-own",
        "extra": {"newField": "extra of its own"},
    },
    "previous": {"status": "previous of its own"},
    "queue": {
        "type": "queue-of-its-own",
        "first_seen_at": "2026-01-05T09:08:08.808Z",
        "last_seen_at": "2026-01-05T09:09:09.909Z",
        "dwell_secs": 91234.5,
        "polls": 10123,
        "visit": 20123,
    },
}
"""Every field filled, each with a value that no other has."""

BARE: dict[str, Any] = {
    **{name: FULL[name] for name in ("schema", "event_id", "kind", "account", "source", "occurred_at", "observed_at")},
    "message": {"id": None, "key": FULL["message"]["key"], "extra": {}},
    "previous": None,
    "queue": None,
}
"""What every event has, and no more."""

KINDS = ("message.seen", "message.changed", "queue.entered", "queue.changed", "queue.left")
STATUSES = (
    "accepted", "processing", "bulk_processing", "delivery", "bulk_delivery", "held", "bounced", "deferred",
    "rejected", "archived", "system",
)  # fmt: skip
ROUTES = ("inbound", "outbound", "internal", "external")


def full(**message: object) -> dict[str, Any]:
    """Return the full event, some fields of its message changed."""
    event = copy.deepcopy(FULL)
    event["message"].update(message)
    return event


def bare(**message: object) -> dict[str, Any]:
    """Return the bare event, some fields added to its message."""
    event = copy.deepcopy(BARE)
    event["message"].update(message)
    return event


def hostile(text: str) -> dict[str, Any]:
    """Return an event whose every free text is ``text``."""
    sender = {"address": f"{text}@evil.example", "name": text}
    return full(
        id=text,
        status=text,
        info=text,
        subject=text,
        route=text,
        from_envelope=sender,
        from_header=sender,
        to=[sender, {"address": text}, {"address": None, "name": text}],
        sender_ip=text,
        detection_level=text,
        priority=text,
        extra={text: text, "nested": {text: [text]}},
    )


def redacted() -> dict[str, Any]:
    """Return what redaction leaves of an event: digests, bare domains and gaps, without extra, info and previous."""
    event = full(
        id=digest("id"),
        from_envelope={"address": digest("envelope")},
        from_header={"address": "two.example"},
        to=[{"address": digest("first"), "name": digest("name")}, {"address": "four.example"}],
        sender_ip=digest("ip"),
    )
    for name in ("subject", "extra", "info"):
        del event["message"][name]
    del event["previous"]
    return event


def digest(text: str) -> str:
    """Return 32 hex digits, as a keyed hash is written."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def lines(*documents: dict[str, Any]) -> list[bytes]:
    """Return events as the store holds them."""
    return [msgspec.json.encode(document) for document in documents]


def snapshot(name: str) -> list[bytes]:
    """Return the lines of a golden file; ``json`` is the input of all others."""
    return (SNAPSHOTS / f"{name}.ndjson").read_bytes().removesuffix(b"\n").split(b"\n")


EVENTS: dict[str, dict[str, Any]] = {
    "full": FULL,
    "bare": BARE,
    "redacted": redacted(),
    **{f"kind {kind}": {**FULL, "kind": kind} for kind in KINDS},
    **{f"status {status}": full(status=status) for status in STATUSES},
    **{f"route {route}": full(route=route) for route in ROUTES},
    **{f"hostile {number}": hostile(text) for number, text in enumerate(HOSTILE_TEXTS)},
    "no recipients": bare(to=[]),
    "empty addresses": bare(from_header={"address": ""}, from_envelope={"address": "<>"}, to=[{"address": None}]),
    "IPv6": full(sender_ip="2001:db8::25"),
    "first and last times": {
        **FULL,
        "occurred_at": "0001-01-01T00:00:00Z",
        "observed_at": "9999-12-31T23:59:59.999999Z",
    },
    "largest numbers": full(size=2**63 - 1, attempts=-(2**63), spam_score=1e300),
}
"""All of them by name; whatever a format promises, it promises for each of these."""
