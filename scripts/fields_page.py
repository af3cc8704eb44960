"""docs/FIELDS.md: every native field, and where it goes in each format."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Final, Union, get_args, get_origin, get_type_hints

import msgspec

from mcwatch.domain.event import Event
from mcwatch.formats import FormatConfig

_INTRODUCTION = """# Fields

<!-- Written by `make docs` from the event's classes and the formats' tables of places; changes go there. -->

What an event holds in the native format (`json`), and where each other format puts it. A field that the API did not
fill is left out, but for `message.id`, `previous` and `queue`, which are then `null`; other formats hold no `null`
outside `previous` and `extra`. Times are RFC 3339 in UTC. In a list of places the first one that fits is the field's
own; further ones repeat it where the receiver's schema has another use for it.
"""

_NOTES = """## How the formats read

- **ecs**: `event.outcome` is made from `status`: `success` for `accepted` and `archived` (Mimecast took the mail, which
  does not say that it was delivered), `failure` for `rejected` and `bounced`, else `unknown`. `source.ip` and
  `related.ip` are filled only by a valid address, `source.address` always. `related.user` and `related.hosts` collect
  the addresses and their domains. `mimecast.extra` is JSON *text*, because the API's unknown fields may change their
  type and Elasticsearch refuses what does not fit its mapping. `mimecast.to` holds all recipients where one has a name.
- **cim** is flat JSON; what the data model Email has no field for stands under `mimecast_…`. `action` is `quarantined`
  for `held` and `blocked` for `rejected`; no status says that a mail was delivered. `mimecast_to` holds all recipients
  where one has a name or no address.
- **cef**, **leef**: times are milliseconds in CEF, RFC 3339 in LEEF but for `devTime`. Objects (`extra`, `previous`)
  and recipients with names are JSON text. The severity in CEF's header and LEEF's `sev` follow `status`, without one
  `kind`.
- **ocsf**: `activity_id` is Receive or Send for an inbound or outbound `message.seen`, else Trace. `time` and
  `metadata.logged_time` are milliseconds. A `status` that is neither success nor failure is `status_id` 99, a `route`
  other than inbound, outbound and internal `direction_id` 99. `action_id` and `disposition_id` follow `status`:
  Allowed, Blocked (`rejected`), Quarantined (`held`), Delayed (`deferred`). `email` must say `from` or `to`: where
  neither is known, `to` is an empty list. A `sender_ip` that is none stands in `unmapped.message`.
"""

_MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "schema": ("Name and version of this layout", "mcwatch.event/1"),
    "event_id": ("The event's id, the same however often it is sent", "6f0c…, 32 hex digits"),
    "kind": (
        "What happened: message.seen, message.changed, queue.entered, queue.changed or queue.left",
        "message.seen",
    ),
    "account": ("The account's name in the configuration", "acme"),
    "source": ("The feed: message_finder or processing_queue", "message_finder"),
    "occurred_at": ("When it happened; of changes an upper bound", "2026-01-05T09:29:02Z"),
    "observed_at": ("When mcwatch saw it", "2026-01-05T09:30:00.412Z"),
    "message.id": ("Mimecast's id of the row; another one after each change of status", "eNp…"),
    "message.key": ("Links the states of one mail", "91ab…, 32 hex digits"),
    "message.status": ("Mimecast's status (finder)", "held"),
    "message.info": ("Mimecast's own words on the status", "Message Hold Applied"),
    "message.subject": ("The subject, as its sender wrote it", "Quarter update"),
    "message.route": ("inbound, outbound, internal or external", "inbound"),
    "message.from_envelope.address": ("The envelope's sender", "bounce@news.example"),
    "message.from_envelope.name": ("The display name beside it", "News"),
    "message.from_header.address": ("The sender named in the From header", "news@news.example"),
    "message.from_header.name": ("The display name beside it", "News"),
    "message.to.address": ("A recipient; `to` is a list", "amy@corp.example"),
    "message.to.name": ("The display name beside it", "Amy"),
    "message.sender_ip": ("The sending server's address, as the API wrote it", "198.51.100.7"),
    "message.attachments": ("Whether the mail has attachments", "false"),
    "message.received_at": ("When Mimecast received it (finder)", "2026-01-05T09:29:02Z"),
    "message.sent_at": ("When Mimecast sent or processed it (finder)", "2026-01-05T09:29:02Z"),
    "message.spam_score": ("Mimecast's spam score (finder)", "6"),
    "message.detection_level": ("Strictness of the spam policy that applied (finder)", "relaxed"),
    "message.size": ("Bytes (queue)", "48211"),
    "message.attempts": ("Attempts made (queue)", "2"),
    "message.created_at": ("When the queue entry was made (queue)", "2026-01-05T09:28:30Z"),
    "message.next_attempt_at": ("When it is tried again (queue)", "2026-01-05T09:31:00Z"),
    "message.locked_until": ("Until when the entry is locked (queue)", "2026-01-05T09:30:30Z"),
    "message.priority": ("Priority in the queue", "normal"),
    "message.extra": ("Fields of the API that mcwatch does not know, under their own names", '{"newField": 1}'),
    "previous": ("Of changes: the former values of what changed", '{"status": "held"}'),
    "queue.type": ("processing or bulk_processing", "processing"),
    "queue.first_seen_at": ("When the entry was first seen in its queue", "2026-01-05T09:29:00Z"),
    "queue.last_seen_at": ("When it was last seen there", "2026-01-05T09:31:00Z"),
    "queue.dwell_secs": ("Seconds it has been there", "120.0"),
    "queue.polls": ("Polls that saw it", "5"),
    "queue.visit": ("Its earlier stays in this queue", "0"),
}
_TYPES: Final[Mapping[object, str]] = {
    datetime: "time",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
}


@dataclass(frozen=True)
class NativeField:
    """One field of the native event: its dotted path, and what kind of value it holds."""

    path: str
    type: str


def native_fields() -> list[NativeField]:
    """Return the fields of :class:`Event`, nested ones included, in their order."""
    return list(_fields_of(Event, ""))


@cache
def places() -> dict[str, Mapping[str, str]]:
    """Return each format's table of places by the format's type; an empty place means that a field goes nowhere."""
    tables = {}
    for name in format_types():
        module = importlib.import_module(f"mcwatch.formats.{name}")
        # The native format is the one whose places are the fields.
        tables[name] = module.PLACES if name != "json" else {field.path: field.path for field in native_fields()}
    return tables


def format_types() -> list[str]:
    """Return the type of each format in the union."""
    members = get_args(get_args(FormatConfig)[0])
    return [str(member.model_fields["type"].default) for member in members]


def render() -> str:
    """Return the page."""
    tables = places()
    others = [name for name in tables if name != "json"]
    lines = [_INTRODUCTION, "## The native event", "", "| field | type | meaning | example |", "|---|---|---|---|"]
    fields = native_fields()
    for field in fields:
        meaning, example = _MEANINGS[field.path]
        lines.append(f"| `{field.path}` | {field.type} | {meaning} | `{example}` |")
    lines += ["", "## Places", "", "| json | " + " | ".join(others) + " |", "|---" * (len(others) + 1) + "|"]
    for field in fields:
        cells = [_places_cell(tables[name][field.path]) for name in others]
        lines.append(f"| `{field.path}` | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _NOTES])


def _fields_of(struct: type[msgspec.Struct], prefix: str) -> Iterator[NativeField]:
    hints = get_type_hints(struct)
    for name in struct.__struct_fields__:
        inner = _struct_in(hints[name])
        if inner is None:
            # One time is stored as the text that it is in every event of its page.
            yield NativeField(prefix + name, "time" if name.endswith("_at") else _type_name(hints[name]))
        else:
            yield from _fields_of(inner, f"{prefix}{name}.")


def _alternatives(hint: object) -> list[object]:
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [member for member in members if member is not NoneType]


def _struct_in(hint: object) -> type[msgspec.Struct] | None:
    for member in _alternatives(hint):
        item = get_args(member)[0] if get_origin(member) is list else member
        if isinstance(item, type) and issubclass(item, msgspec.Struct):
            return item
    return None


def _type_name(hint: object) -> str:
    members = _alternatives(hint)
    if any(get_origin(member) is dict for member in members):
        return "object"
    if float in members:
        return "number"
    return "text" if isinstance(members[0], type) and issubclass(members[0], str) else _TYPES[members[0]]


def _places_cell(text: str) -> str:
    if not text:
        return ""
    names = [place.strip().partition(" (") for place in text.split(",")]
    return ", ".join(f"`{name}`{space}{note}" for name, space, note in names)
