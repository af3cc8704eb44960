"""Elastic Common Schema: what it has a field for stands there, the rest under ``mimecast`` with native names.

Checked against ECS 9.4 (tests/schemas/ecs); every field used is in 8.6 already. ``mimecast.extra`` is JSON *text*: the
API's unknown fields may change type from one mail to the next, and Elasticsearch refuses a document whose value does
not fit the mapping that an earlier one made.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field
from pydantic import Field

from mcwatch.formats.base import NativeAddress, NativeEvent, NativeMessage, NativeStay, events, ip_version, spelled_out
from mcwatch.interfaces import Format
from mcwatch.option_types import Config

ECS_VERSION: Final = "9.4.0"

PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "schema": "mimecast.schema",
        "event_id": "event.id",
        "kind": "event.action",
        "account": "cloud.account.name",
        "source": "event.provider, event.dataset",
        "occurred_at": "@timestamp",
        "observed_at": "event.created",
        "message.id": "email.local_id",
        "message.key": "mimecast.key",
        "message.status": "mimecast.status",
        "message.info": "mimecast.info, event.reason",
        "message.subject": "email.subject",
        "message.route": "mimecast.route, email.direction",
        "message.from_envelope.address": "email.sender.address, related.user",
        "message.from_envelope.name": "mimecast.from_envelope.name",
        "message.from_header.address": "email.from.address, related.user",
        "message.from_header.name": "mimecast.from_header.name",
        "message.to.address": "email.to.address, related.user, mimecast.to.address",
        "message.to.name": "mimecast.to.name",
        "message.sender_ip": "source.address, source.ip, related.ip",
        "message.attachments": "mimecast.attachments",
        "message.received_at": "email.delivery_timestamp",
        "message.sent_at": "mimecast.sent_at",
        "message.spam_score": "mimecast.spam_score",
        "message.detection_level": "mimecast.detection_level",
        "message.size": "mimecast.size",
        "message.attempts": "mimecast.attempts",
        "message.created_at": "mimecast.created_at",
        "message.next_attempt_at": "mimecast.next_attempt_at",
        "message.locked_until": "mimecast.locked_until",
        "message.priority": "mimecast.priority",
        "message.extra": "mimecast.extra",
        "previous": "mimecast.previous",
        "queue.type": "mimecast.queue.type",
        "queue.first_seen_at": "mimecast.queue.first_seen_at",
        "queue.last_seen_at": "mimecast.queue.last_seen_at",
        "queue.dwell_secs": "mimecast.queue.dwell_secs",
        "queue.polls": "mimecast.queue.polls",
        "queue.visit": "mimecast.queue.visit",
    }
)
"""Where each native field goes: the first place holds it whatever it is, further ones where it fits."""

_OUTCOMES: Final[Mapping[str, str]] = MappingProxyType(
    {"accepted": "success", "archived": "success", "rejected": "failure", "bounced": "failure"}
)
"""What a status says of the mail's success; the other ones leave it open (``unknown``)."""

_DIRECTIONS: Final = frozenset({"inbound", "outbound", "internal", "external"})

_ECS = msgspec.Raw(msgspec.json.encode({"version": ECS_VERSION}))
_OBSERVER = msgspec.Raw(
    msgspec.json.encode({"vendor": "Mimecast", "product": "Email Security", "type": "email-gateway"})
)
# The only type that ECS expects of the category email.
_CATEGORY = msgspec.Raw(b'["email"]')
_TYPE = msgspec.Raw(b'["info"]')


class _Event(Struct, omit_defaults=True, gc=False):
    kind: str
    category: msgspec.Raw
    type: msgspec.Raw
    id: str
    action: str
    module: str
    dataset: str
    provider: str
    created: str
    outcome: str | None = None
    reason: str | None = None


class _Addresses(Struct, gc=False):
    address: list[str]


class _Address(Struct, gc=False):
    address: str


class _Email(Struct, omit_defaults=True, gc=False, rename={"from_": "from"}):
    local_id: str | None = None
    subject: str | None = None
    direction: str | None = None
    from_: _Addresses | None = None
    sender: _Address | None = None
    to: _Addresses | None = None
    delivery_timestamp: str | None = None


class _Source(Struct, omit_defaults=True, gc=False):
    address: str
    ip: str | None = None


class _Related(Struct, omit_defaults=True, gc=False):
    ip: list[str] | None = None
    user: list[str] | None = None
    hosts: list[str] | None = None


class _Name(Struct, gc=False):
    name: str


class _Account(Struct, gc=False):
    account: _Name


class _Mimecast(Struct, omit_defaults=True, gc=False):
    schema: str
    key: str | None = None
    status: str | None = None
    info: str | None = None
    route: str | None = None
    from_envelope: _Name | None = None
    from_header: _Name | None = None
    to: list[dict[str, str]] | None = None
    attachments: bool | None = None
    sent_at: str | None = None
    spam_score: int | float | None = None
    detection_level: str | None = None
    size: int | None = None
    attempts: int | None = None
    created_at: str | None = None
    next_attempt_at: str | None = None
    locked_until: str | None = None
    priority: str | None = None
    extra: str | None = None
    previous: dict[str, Any] | None = None
    queue: NativeStay | None = None


class _Document(Struct, omit_defaults=True, gc=False):
    timestamp: str = field(name="@timestamp")
    ecs: msgspec.Raw
    event: _Event
    cloud: _Account
    observer: msgspec.Raw
    email: _Email
    mimecast: _Mimecast
    source: _Source | None = None
    related: _Related | None = None


_ENCODER = msgspec.json.Encoder()


def _address_of(sender: NativeAddress | None) -> str | None:
    # The API writes an empty text where there is no address.
    return (sender.address or None) if sender is not None else None


def _name_of(sender: NativeAddress | None) -> _Name | None:
    return _Name(sender.name) if sender is not None and sender.name is not None else None


def _related(addresses: Sequence[str], ip: str | None) -> _Related | None:
    """Collect what to pivot on. A redacted address is a digest, which still joins, or its bare domain."""
    users: list[str] = []
    hosts: list[str] = []
    for address in addresses:
        _, at, domain = address.rpartition("@")
        named = bool(at) or ("." not in address and address != "<>")
        if named and address not in users:
            users.append(address)
        if "." in domain and domain not in hosts:
            hosts.append(domain)
    if not users and not hosts and ip is None:
        return None
    return _Related(None if ip is None else [ip], users or None, hosts or None)


def _mimecast(event: NativeEvent, message: NativeMessage) -> _Mimecast:
    to = message.to
    return _Mimecast(
        event.schema,
        message.key,
        message.status,
        message.info,
        message.route,
        _name_of(message.from_envelope),
        _name_of(message.from_header),
        # Names belong to addresses, so where there is one, all recipients stand here as they came.
        spelled_out(to) if to and any(entry.name is not None for entry in to) else None,
        message.attachments,
        message.sent_at,
        message.spam_score,
        message.detection_level,
        message.size,
        message.attempts,
        message.created_at,
        message.next_attempt_at,
        message.locked_until,
        message.priority,
        _ENCODER.encode(message.extra).decode() if message.extra else None,
        event.previous,
        event.queue,
    )


def _document(event: NativeEvent) -> _Document:
    message = event.message
    header, envelope = _address_of(message.from_header), _address_of(message.from_envelope)
    to = [entry.address for entry in message.to if entry.address] if message.to else []
    address, status, route = message.sender_ip, message.status, message.route
    ip = address if address and ip_version(address) else None
    return _Document(
        event.occurred_at,
        _ECS,
        _Event(
            "event",
            _CATEGORY,
            _TYPE,
            event.event_id,
            event.kind,
            "mimecast",
            f"mimecast.{event.source}",
            event.source,
            event.observed_at,
            None if status is None else _OUTCOMES.get(status, "unknown"),
            message.info,
        ),
        _Account(_Name(event.account)),
        _OBSERVER,
        _Email(
            message.id,
            message.subject,
            route if route in _DIRECTIONS else None,
            None if header is None else _Addresses([header]),
            None if envelope is None else _Address(envelope),
            _Addresses(to) if to else None,
            message.received_at,
        ),
        _mimecast(event, message),
        # ECS wants the raw text in `address`; `ip` would make Elasticsearch refuse whatever is none.
        _Source(address, ip) if address else None,
        _related([found for found in (envelope, header, *to) if found], ip),
    )


class EcsFormat:
    """Puts events into ECS documents: nested objects, nothing invented, nothing null but within ``previous``."""

    content_type = "application/json"

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        """Render each native line as one document."""
        encode = _ENCODER.encode
        return [encode(_document(event)) for event in events(native)]


class EcsFormatConfig(Config):
    """Elastic Common Schema 9, one document per event."""

    type: Literal["ecs"] = Field("ecs", description="Elastic Common Schema, described in docs/FIELDS.md.")

    def build(self) -> Format:
        """Return the format."""
        return EcsFormat()
