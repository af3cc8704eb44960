"""Open Cybersecurity Schema Framework: Email Activity (4009), version 1.7.

The schema, its descriptions included, is in tests/schemas/ocsf. Decisions that it leaves to the producer:

* ``activity_id``: a mail first seen is *Receive* (inbound) or *Send* (outbound); all else follows a mail on its way:
  *Trace*, by ``message_trace_uid``, the message key.
* The Mimecast id names one state of a mail, so it is the source's id of the record (``metadata.original_event_uid``);
  ``email.uid`` is that of a thread, ``email.message_uid`` the Message-ID header, which the API does not show.
* ``email`` must say ``from`` or ``to``. Where the API says neither, ``to`` is an empty list.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec
from pydantic import Field

from mcwatch.formats.base import NativeAddress, NativeEvent, NativeMessage, events, ip_version, severity
from mcwatch.formats.ocsf.activity import Activity, Email, Endpoint, Metadata, Name, Rest, Unmapped
from mcwatch.interfaces import Format
from mcwatch.option_types import Config

OCSF_VERSION: Final = "1.7.0"

_CATEGORY: Final = 4
_CLASS: Final = 4009
_SEND, _RECEIVE, _TRACE = 1, 2, 4
_FIRST_SEEN: Final[Mapping[str | None, int]] = MappingProxyType({"inbound": _RECEIVE, "outbound": _SEND})
_DIRECTIONS: Final[Mapping[str | None, tuple[int, str | None]]] = MappingProxyType(
    {None: (0, None), "inbound": (1, "Inbound"), "outbound": (2, "Outbound"), "internal": (3, "Internal")}
)
_INFORMATIONAL, _LOW = 1, 2
_LONGEST_IP: Final = 40
"""Of the schema's type ip_t."""


class _Outcome(NamedTuple):
    """What a status means: success, and what the security control has done."""

    status_id: int | None = None
    status: str | None = None
    action_id: int | None = None
    disposition_id: int | None = None
    disposition: str | None = None


_SUCCESS, _FAILURE, _OTHER = 1, 2, 99
_OUTCOMES: Final[Mapping[str | None, _Outcome]] = MappingProxyType(
    {
        None: _Outcome(),
        "accepted": _Outcome(_SUCCESS, "Success", 1, 1, "Allowed"),
        "archived": _Outcome(_SUCCESS, "Success", 1, 1, "Allowed"),
        "rejected": _Outcome(_FAILURE, "Failure", 2, 2, "Blocked"),
        "bounced": _Outcome(_FAILURE, "Failure"),
        "held": _Outcome(_OTHER, "held", 2, 3, "Quarantined"),
        "deferred": _Outcome(_OTHER, "deferred", 1, 14, "Delayed"),
    }
)

_PRODUCT = msgspec.Raw(msgspec.json.encode({"vendor_name": "Mimecast", "name": "Email Security"}))
_SECURITY_CONTROL = msgspec.Raw(b'["security_control"]')


_ENCODER = msgspec.json.Encoder()
_NOTHING = Rest()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _milliseconds(at: str) -> int:
    return (datetime.fromisoformat(at) - _EPOCH) // _MILLISECOND


def _mailbox(entry: NativeAddress) -> str:
    if entry.name is None:
        return entry.address or ""
    return f"{entry.name} <{entry.address}>" if entry.address else entry.name


def _email(message: NativeMessage) -> Email:
    sender, to = message.from_header, message.to
    # The API writes an empty text where there is no address.
    address = sender.address or None if sender is not None else None
    recipients = [entry.address for entry in to if entry.address] if to else None
    return Email(
        address,
        None if sender is None or sender.name is None else _mailbox(sender),
        [] if address is None and not recipients else recipients or None,
        [_mailbox(entry) for entry in to] if to and any(entry.name is not None for entry in to) else None,
        message.subject,
        message.size,
    )


def _unmapped(event: NativeEvent, message: NativeMessage, broken_ip: str | None) -> Unmapped | None:
    envelope = message.from_envelope
    rest = Rest(
        None if envelope is None or envelope.name is None else Name(envelope.name),
        broken_ip,
        message.attachments,
        message.received_at,
        message.sent_at,
        message.spam_score,
        message.detection_level,
        message.created_at,
        message.next_attempt_at,
        message.locked_until,
        message.priority,
        message.extra or None,
    )
    found = None if rest == _NOTHING else rest
    if found is None and event.previous is None and event.queue is None:
        return None
    return Unmapped(found, event.previous, event.queue)


def _activity(event: NativeEvent) -> Activity:
    message = event.message
    route, status, ip, envelope = message.route, message.status, message.sender_ip, message.from_envelope
    activity = _FIRST_SEEN.get(route, _TRACE) if event.kind == "message.seen" else _TRACE
    direction_id, direction = _DIRECTIONS.get(route) or (_OTHER, route)
    outcome = _OUTCOMES.get(status) or _Outcome(_OTHER, status)
    is_ip = bool(ip and len(ip) <= _LONGEST_IP and ip_version(ip))
    return Activity(
        activity,
        _CATEGORY,
        _CLASS,
        _CLASS * 100 + activity,
        _milliseconds(event.occurred_at),
        _LOW if severity(event) > 3 else _INFORMATIONAL,
        direction_id,
        Metadata(
            OCSF_VERSION,
            _PRODUCT,
            event.event_id,
            event.kind,
            event.account,
            event.source,
            event.schema,
            _milliseconds(event.observed_at),
            message.id,
            None if outcome.disposition_id is None else _SECURITY_CONTROL,
        ),
        _email(message),
        direction,
        outcome.status_id,
        outcome.status,
        status,
        message.info,
        outcome.action_id,
        outcome.disposition_id,
        outcome.disposition,
        message.attempts,
        None if envelope is None else envelope.address or None,
        message.key,
        Endpoint(ip) if is_ip and ip else None,
        _unmapped(event, message, None if is_ip else ip),
    )


class OcsfFormat:
    """Puts events into OCSF: attributes of the class where they say the same, the rest in ``unmapped``."""

    content_type = "application/json"

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        """Render each native line as one event of class 4009."""
        encode = _ENCODER.encode
        return [encode(_activity(event)) for event in events(native)]


class OcsfFormatConfig(Config):
    """OCSF 1.7 Email Activity, one object per event."""

    type: Literal["ocsf"] = Field("ocsf", description="OCSF Email Activity (4009), described in docs/FIELDS.md.")

    def build(self) -> Format:
        """Return the format."""
        return OcsfFormat()
