"""ArcSight's Common Event Format, version 0.

Sources: the CEF implementation standard (header, escaping, dictionary of extension keys) and protocol notes §4. Keys
that the dictionary does not have start with ``mimecast``, as the standard asks of a vendor's own keys, and are letters
and digits only. Nothing is cut to the lengths of ArcSight's dictionary: a receiver that has limits applies them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from mcwatch.formats import base
from mcwatch.interfaces import Format
from mcwatch.option_types import Config

PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # The name of the native layout says nothing about an event in this one.
        "schema": "",
        "event_id": "externalId",
        "kind": "Device Event Class ID (header), Name (header), Severity (header)",
        "account": "deviceExternalId",
        "source": "cat",
        "occurred_at": "rt",
        "observed_at": "mimecastObservedAt",
        # externalId holds 40 characters in ArcSight, a Mimecast id has some 350 and changes with the status.
        "message.id": "cs1",
        "message.key": "mimecastKey",
        "message.status": "act, Severity (header)",
        "message.info": "reason",
        "message.subject": "msg",
        "message.route": "cs4, deviceDirection",
        "message.from_envelope.address": "suser",
        "message.from_envelope.name": "mimecastFromEnvelopeName",
        "message.from_header.address": "cs2",
        "message.from_header.name": "cs3",
        "message.to.address": "duser, mimecastTo",
        "message.to.name": "mimecastTo",
        "message.sender_ip": "src, c6a2, mimecastSenderIp",
        "message.attachments": "mimecastAttachments",
        "message.received_at": "start",
        "message.sent_at": "end",
        "message.spam_score": "cfp1",
        "message.detection_level": "cs5",
        "message.size": "cn1",
        "message.attempts": "cn2",
        "message.created_at": "mimecastCreatedAt",
        "message.next_attempt_at": "mimecastNextAttemptAt",
        "message.locked_until": "mimecastLockedUntil",
        "message.priority": "mimecastPriority",
        "message.extra": "mimecastExtra",
        "previous": "mimecastPrevious",
        "queue.type": "cs6",
        "queue.first_seen_at": "deviceCustomDate1",
        "queue.last_seen_at": "deviceCustomDate2",
        "queue.dwell_secs": "cfp2",
        "queue.polls": "cn3",
        "queue.visit": "mimecastQueueVisit",
    }
)
"""Where each native field goes; where there are several places, it stands in all of them that it fits."""

_NAMES: Final = MappingProxyType(
    {
        "message.seen": "Message seen",
        "message.changed": "Message changed",
        "queue.entered": "Message entered the queue",
        "queue.changed": "Message changed in the queue",
        "queue.left": "Message left the queue",
    }
)

_MESSAGE_TEXTS: Final = ("id", "key", "status", "info", "subject", "route", "detection_level", "priority")

_FLAGS: Final = MappingProxyType({True: " mimecastAttachments=true", False: " mimecastAttachments=false", None: ""})
_DIRECTIONS: Final = MappingProxyType({"inbound": " deviceDirection=0", "outbound": " deviceDirection=1"})

_escaped: Final = base.replacer({**base.PLAIN, "\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"})
_header_escaped: Final = base.replacer({**base.PLAIN, "\\": "\\\\", "|": "\\|"})

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY: Final = base.NativeAddress()


class _Milliseconds(dict[str, int]):
    """Times of one batch as milliseconds since 1970, each worked out once: the rows of a page share most of them."""

    def __missing__(self, text: str) -> int:
        found = self[text] = (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
        return found


class CefFormat:
    """One CEF line per event, in UTF-8."""

    content_type = "text/plain; charset=utf-8"

    def __init__(self, vendor: str, product: str, version: str) -> None:
        device = "|".join(map(_header_escaped, (vendor, product, version)))
        self._before = f"CEF:0|{device}|"
        self._headers = {kind: self._header(kind) for kind in _NAMES}

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        """Render events given as native JSON lines."""
        decoded, times = base.events(native), _Milliseconds()
        for raw, event in zip(native, decoded, strict=True):
            if b"=" in raw or not base.is_plain(raw):
                _escape(event)
        line = self._line
        return [line(event, times).encode() for event in decoded]

    def _header(self, kind: str) -> str:
        name = _NAMES.get(kind, kind)
        return f"{self._before}{_header_escaped(kind)}|{_header_escaped(name)}|"

    def _line(self, event: base.NativeEvent, times: _Milliseconds) -> str:
        message = event.message
        envelope, header = message.from_envelope or _NOBODY, message.from_header or _NOBODY
        return "".join(
            (
                f"{self._headers.get(event.kind) or self._header(event.kind)}{base.severity(event)}|",
                f"rt={times[event.occurred_at]} externalId={event.event_id} deviceExternalId={event.account}",
                f" cat={event.source} mimecastObservedAt={times[event.observed_at]}",
                " act=" + text if (text := message.status) else "",
                " suser=" + text if (text := envelope.address) else "",
                _recipients(message.to) if message.to else "",
                _sender_ip(text) if (text := message.sender_ip) else "",
                " msg=" + text if (text := message.subject) else "",
                " reason=" + text if (text := message.info) else "",
                _DIRECTIONS.get(message.route or "", ""),
                f" start={times[text]}" if (text := message.received_at) else "",
                f" end={times[text]}" if (text := message.sent_at) else "",
                " cs1Label=Mimecast ID cs1=" + text if (text := message.id) else "",
                " cs2Label=Header From cs2=" + text if (text := header.address) else "",
                " cs3Label=Header From Name cs3=" + text if (text := header.name) else "",
                " cs4Label=Route cs4=" + text if (text := message.route) else "",
                " cs5Label=Detection Level cs5=" + text if (text := message.detection_level) else "",
                f" cfp1Label=Spam Score cfp1={score}" if (score := message.spam_score) is not None else "",
                _FLAGS[message.attachments],
                " mimecastKey=" + text if (text := message.key) else "",
                " mimecastFromEnvelopeName=" + text if (text := envelope.name) else "",
                _queue_part(message, times),
                _stay(event.queue, times) if event.queue is not None else "",
                _json(" mimecastExtra=", message.extra) if message.extra else "",
                _json(" mimecastPrevious=", event.previous) if event.previous else "",
            )
        )


def _escape(event: base.NativeEvent) -> None:
    """Escape the texts that a line takes as they are; the rest is escaped where it is put in."""
    message = event.message
    event.event_id, event.account, event.source = map(_escaped, (event.event_id, event.account, event.source))
    for name in _MESSAGE_TEXTS:
        if text := getattr(message, name):
            setattr(message, name, _escaped(text))
    for sender in (message.from_envelope, message.from_header):
        if sender is not None:
            sender.address = sender.address and _escaped(sender.address)
            sender.name = sender.name and _escaped(sender.name)


def _recipients(to: Sequence[base.NativeAddress]) -> str:
    """Return the addresses with commas between them, and beside them as JSON what that form cannot say."""
    addresses = [entry.address for entry in to if entry.address]
    text = " duser=" + _escaped(",".join(addresses)) if addresses else ""
    return text if base.is_plain_list(to) else text + _json(" mimecastTo=", base.spelled_out(to))


def _queue_part(message: base.NativeMessage, times: _Milliseconds) -> str:
    """Return what only messages in a queue have."""
    return "".join(
        (
            f" cn1Label=Message Size cn1={number}" if (number := message.size) is not None else "",
            f" cn2Label=Delivery Attempts cn2={number}" if (number := message.attempts) is not None else "",
            f" mimecastCreatedAt={times[text]}" if (text := message.created_at) else "",
            f" mimecastNextAttemptAt={times[text]}" if (text := message.next_attempt_at) else "",
            f" mimecastLockedUntil={times[text]}" if (text := message.locked_until) else "",
            " mimecastPriority=" + text if (text := message.priority) else "",
        )
    )


def _json(key: str, value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    return key + _escaped(base.json_text(value))


def _sender_ip(text: str) -> str:
    """Return the address under the key of its kind; a digest, or what is no address at all, has a key of its own."""
    version = base.ip_version(text)
    if version == 4:
        return f" src={text}"
    if version == 6:
        # Index 2 is the source's by ArcSight's convention, 3 the destination's.
        return f" c6a2Label=Source IPv6 Address c6a2={text}"
    return f" mimecastSenderIp={_escaped(text)}"


def _stay(stay: base.NativeStay, times: _Milliseconds) -> str:
    return (
        f" cs6Label=Queue cs6={_escaped(stay.type)}"
        f" deviceCustomDate1Label=First Seen In Queue deviceCustomDate1={times[stay.first_seen_at]}"
        f" deviceCustomDate2Label=Last Seen In Queue deviceCustomDate2={times[stay.last_seen_at]}"
        f" cfp2Label=Queue Dwell Seconds cfp2={stay.dwell_secs}"
        f" cn3Label=Queue Polls cn3={stay.polls} mimecastQueueVisit={stay.visit}"
    )


_HeaderText = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[ -~]+$")]


class CefFormatConfig(Config):
    """ArcSight CEF, one line per event."""

    type: Literal["cef"] = Field("cef", description="ArcSight Common Event Format (CEF:0).")
    vendor: _HeaderText = Field(
        "Mimecast", description="Device Vendor in the header, by which receivers choose a parser."
    )
    product: _HeaderText = Field("Email Security", description="Device Product in the header.")
    version: _HeaderText = Field("1", description="Device Version in the header; 1 is this mapping's own.")

    def build(self) -> Format:
        """Return the format."""
        return CefFormat(self.vendor, self.product, self.version)
