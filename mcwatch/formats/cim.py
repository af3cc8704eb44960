"""Splunk's Common Information Model, data model Email (All_Email and its Filtering), as flat JSON.

Source: the published field list of the data model (4.2 to 6.2) and protocol notes §4. What the model has no field for
stands under ``mimecast_`` and the native name. Tags, and the alias of ``recipient{}`` (what Splunk calls the elements
of a JSON list) to ``recipient``, are the add-on's part.

Fields of the model that Mimecast's API says nothing about are left out: ``message_id`` (neither feed has the Message-ID
header), ``dest``, ``user`` (the model's is a process's user, neither sender nor recipient), ``protocol``, ``url``,
``file_*`` and ``retries`` (``attempts`` counts the first one too).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
from pydantic import Field

from mcwatch.formats import base
from mcwatch.interfaces import Format
from mcwatch.option_types import Config

PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # The name of the native layout says nothing about an event in this one.
        "schema": "",
        "event_id": "event_id",
        "kind": "kind",
        "account": "account",
        # `source` is Splunk's own.
        "source": "mimecast_source",
        "occurred_at": "timestamp",
        "observed_at": "observed_at",
        "message.id": "internal_message_id",
        "message.key": "mimecast_key",
        "message.status": "mimecast_status, action, filter_action",
        "message.info": "message_info, signature",
        "message.subject": "subject",
        "message.route": "direction",
        "message.from_envelope.address": "src_user, return_addr",
        "message.from_envelope.name": "mimecast_from_envelope_name",
        "message.from_header.address": "mimecast_from_header_address",
        "message.from_header.name": "mimecast_from_header_name",
        "message.to.address": "recipient, recipient_count, mimecast_to",
        "message.to.name": "mimecast_to",
        "message.sender_ip": "src, mimecast_sender_ip",
        "message.attachments": "mimecast_attachments",
        "message.received_at": "mimecast_received_at",
        "message.sent_at": "mimecast_sent_at",
        "message.spam_score": "filter_score",
        "message.detection_level": "mimecast_detection_level",
        "message.size": "size",
        "message.attempts": "mimecast_attempts",
        "message.created_at": "mimecast_created_at",
        "message.next_attempt_at": "mimecast_next_attempt_at",
        "message.locked_until": "mimecast_locked_until",
        "message.priority": "mimecast_priority",
        "message.extra": "mimecast_extra",
        "previous": "mimecast_previous",
        "queue.type": "mimecast_queue_type",
        "queue.first_seen_at": "mimecast_queue_first_seen_at",
        "queue.last_seen_at": "mimecast_queue_last_seen_at",
        "queue.dwell_secs": "mimecast_queue_dwell_secs, delay",
        "queue.polls": "mimecast_queue_polls",
        "queue.visit": "mimecast_queue_visit",
    }
)
"""Where each native field goes; where there are several places, it stands in all of them that it fits."""

# No status says `delivered`: mail is archived once it was delivered *or* has bounced (Mimecast DOC-2182).
_ACTIONS: Final = MappingProxyType({"held": "quarantined", "rejected": "blocked"})
_FILTERED: Final = frozenset({"accepted", "deferred", "held", "rejected"})
"""The statuses that are a filter's verdict; the others are places where a mail is."""
_STOPPED: Final = frozenset({"deferred", "held", "rejected"})
"""The statuses whose info names the filter that stopped the mail."""

_NOBODY: Final = base.NativeAddress()


class _CimEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """An event in the model's words; ``delay`` is in milliseconds, as the model has it since 4.2."""

    timestamp: str
    event_id: str
    kind: str
    account: str
    observed_at: str
    mimecast_source: str
    action: str | None = None
    src: str | None = None
    src_user: str | None = None
    return_addr: str | None = None
    recipient: list[str] | None = None
    recipient_count: int | None = None
    internal_message_id: str | None = None
    subject: str | None = None
    message_info: str | None = None
    size: int | None = None
    direction: str | None = None
    filter_action: str | None = None
    filter_score: int | float | None = None
    signature: str | None = None
    delay: int | None = None
    mimecast_status: str | None = None
    mimecast_key: str | None = None
    mimecast_from_envelope_name: str | None = None
    mimecast_from_header_address: str | None = None
    mimecast_from_header_name: str | None = None
    mimecast_to: list[dict[str, str]] | None = None
    mimecast_sender_ip: str | None = None
    mimecast_attachments: bool | None = None
    mimecast_received_at: str | None = None
    mimecast_sent_at: str | None = None
    mimecast_detection_level: str | None = None
    mimecast_attempts: int | None = None
    mimecast_created_at: str | None = None
    mimecast_next_attempt_at: str | None = None
    mimecast_locked_until: str | None = None
    mimecast_priority: str | None = None
    mimecast_queue_type: str | None = None
    mimecast_queue_first_seen_at: str | None = None
    mimecast_queue_last_seen_at: str | None = None
    mimecast_queue_dwell_secs: float | None = None
    mimecast_queue_polls: int | None = None
    mimecast_queue_visit: int | None = None
    mimecast_previous: dict[str, Any] | None = None
    mimecast_extra: dict[str, Any] | None = None
    vendor_product: str | None = None


_ENCODER = msgspec.json.Encoder()


class CimFormat:
    """One flat JSON object per event."""

    content_type = "application/json"

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        """Render events given as native JSON lines."""
        encode, escape = _ENCODER.encode, base.escape_controls
        return [escape(encode(_cim(event))) for event in base.events(native)]


def _cim(event: base.NativeEvent) -> _CimEvent:
    message = event.message
    envelope, header = message.from_envelope or _NOBODY, message.from_header or _NOBODY
    status, to = message.status, message.to
    cim = _CimEvent(
        timestamp=event.occurred_at,
        event_id=event.event_id,
        kind=event.kind,
        account=event.account,
        observed_at=event.observed_at,
        mimecast_source=event.source,
        src_user=envelope.address,
        return_addr=envelope.address,
        internal_message_id=message.id,
        subject=message.subject,
        message_info=message.info,
        size=message.size,
        direction=message.route,
        filter_score=message.spam_score,
        mimecast_status=status,
        mimecast_key=message.key,
        mimecast_from_envelope_name=envelope.name,
        mimecast_from_header_address=header.address,
        mimecast_from_header_name=header.name,
        mimecast_attachments=message.attachments,
        mimecast_received_at=message.received_at,
        mimecast_sent_at=message.sent_at,
        mimecast_detection_level=message.detection_level,
        mimecast_attempts=message.attempts,
        mimecast_created_at=message.created_at,
        mimecast_next_attempt_at=message.next_attempt_at,
        mimecast_locked_until=message.locked_until,
        mimecast_priority=message.priority,
        mimecast_previous=event.previous,
        mimecast_extra=message.extra or None,
        vendor_product="Mimecast Email Security",
    )
    if status in _FILTERED:
        cim.action = _ACTIONS.get(status)
        cim.filter_action = status
        cim.signature = message.info if status in _STOPPED else None
    if to is not None:
        _add_recipients(cim, to)
    if message.sender_ip:
        _add_sender_ip(cim, message.sender_ip)
    if event.queue is not None:
        _add_stay(cim, event.queue)
    return cim


def _add_recipients(cim: _CimEvent, to: Sequence[base.NativeAddress]) -> None:
    cim.recipient = [entry.address for entry in to if entry.address]
    cim.recipient_count = len(to)
    if any(entry.name or not entry.address for entry in to):
        cim.mimecast_to = base.spelled_out(to)


def _add_sender_ip(cim: _CimEvent, text: str) -> None:
    """Put the address where lookups expect one, a digest or what is no address at all under a name of its own."""
    if base.ip_version(text):
        cim.src = text
    else:
        cim.mimecast_sender_ip = text


def _add_stay(cim: _CimEvent, stay: base.NativeStay) -> None:
    cim.delay = round(stay.dwell_secs * 1000)
    cim.mimecast_queue_type = stay.type
    cim.mimecast_queue_first_seen_at = stay.first_seen_at
    cim.mimecast_queue_last_seen_at = stay.last_seen_at
    cim.mimecast_queue_dwell_secs = stay.dwell_secs
    cim.mimecast_queue_polls = stay.polls
    cim.mimecast_queue_visit = stay.visit


class CimFormatConfig(Config):
    """Splunk CIM Email, one JSON object per event."""

    type: Literal["cim"] = Field("cim", description="JSON in the field names of Splunk's data model Email.")

    def build(self) -> Format:
        """Return the format."""
        return CimFormat()
