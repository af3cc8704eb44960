"""IBM QRadar's Log Event Extended Format, version 2.0.

Sources: IBM's LEEF guide (header, delimiter, predefined attributes, ``devTimeFormat``) and protocol notes §4. LEEF has
no escapes: a line end, a control character or the delimiter inside a value becomes a space (other control characters
U+FFFD), and that is all that is lost; inside the values that are JSON they are escaped and nothing is.

``identSrc`` and its like are left out on purpose: from them QRadar writes its asset database, and the address and
name of whoever sent a mail are no asset of the receiver's.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mcwatch.domain.event import EventKind
from mcwatch.formats import base
from mcwatch.interfaces import Format
from mcwatch.option_types import Config

PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # The name of the native layout says nothing about an event in this one.
        "schema": "",
        "event_id": "event_id",
        "kind": "EventID (header)",
        "account": "accountName",
        "source": "source",
        "occurred_at": "devTime",
        "observed_at": "observed_at",
        "message.id": "mimecast_id",
        "message.key": "message_key",
        "message.status": "cat, sev",
        "message.info": "info",
        "message.subject": "subject",
        "message.route": "route",
        "message.from_envelope.address": "usrName",
        "message.from_envelope.name": "from_envelope_name",
        "message.from_header.address": "from_header",
        "message.from_header.name": "from_header_name",
        "message.to.address": "to, to_json",
        "message.to.name": "to_json",
        "message.sender_ip": "src, sender_ip",
        "message.attachments": "attachments",
        "message.received_at": "received_at",
        "message.sent_at": "sent_at",
        "message.spam_score": "spam_score",
        "message.detection_level": "detection_level",
        "message.size": "size",
        "message.attempts": "attempts",
        "message.created_at": "created_at",
        "message.next_attempt_at": "next_attempt_at",
        "message.locked_until": "locked_until",
        "message.priority": "priority",
        "message.extra": "extra",
        "previous": "previous",
        "queue.type": "queue_type",
        "queue.first_seen_at": "queue_first_seen_at",
        "queue.last_seen_at": "queue_last_seen_at",
        "queue.dwell_secs": "queue_dwell_secs",
        "queue.polls": "queue_polls",
        "queue.visit": "queue_visit",
    }
)
"""Where each native field goes; where there are several places, it stands in all of them that it fits."""

_MESSAGE_TEXTS: Final = ("id", "key", "status", "info", "subject", "route", "detection_level", "priority")

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME_FORMAT: Final = "MMM dd yyyy HH:mm:ss.SSS z"
"""One of the patterns that IBM suggests, in the notation of Java's SimpleDateFormat."""

_FLAGS: Final = MappingProxyType({True: "\tattachments=true", False: "\tattachments=false", None: ""})
_NOBODY: Final = base.NativeAddress()


class _DeviceTimes(dict[str, str]):
    """Times of one batch in ``_TIME_FORMAT``, each worked out once: the rows of a page share most of them."""

    def __missing__(self, text: str) -> str:
        year, month, day, clock = text[:4], int(text[5:7]), text[8:10], text[11:19]
        millis = (text[20:-1] + "000")[:3]
        found = self[text] = f"{_MONTHS[month - 1]} {day} {year} {clock}.{millis} GMT"
        return found


class LeefFormat:
    """One LEEF line per event, in UTF-8; ``delimiter`` is the character itself."""

    content_type = "text/plain; charset=utf-8"

    def __init__(self, vendor: str, product: str, version: str, delimiter: str) -> None:
        self._before = f"LEEF:2.0|{vendor}|{product}|{version}|"
        self._after = f"|{delimiter if delimiter.isprintable() else f'x{ord(delimiter):02x}'}|"
        self._delimiter = delimiter
        # In a native line a tab, like any control character, is an escape and so a backslash.
        self._stray = b"\\" if delimiter < " " else delimiter.encode()
        self._delimiter_in_json = f"\\u{ord(delimiter):04x}"
        self._cleaned = base.replacer({**base.PLAIN, delimiter: " "})
        self._headers = {kind.value: self._header(kind.value) for kind in EventKind}

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        """Render events given as native JSON lines."""
        decoded, times = base.events(native), _DeviceTimes()
        stray, delimiter = self._stray, self._delimiter
        for raw, event in zip(native, decoded, strict=True):
            if stray in raw or not base.is_plain(raw):
                self._clean(event)
        line = self._line
        lines = [line(event, times) for event in decoded]
        if delimiter != "\t":
            # A tab is in no value, so every one stands between attributes.
            lines = [text.replace("\t", delimiter) for text in lines]
        return [text.encode() for text in lines]

    def _header(self, kind: str) -> str:
        return f"{self._before}{self._cleaned(kind).replace('|', ' ')}{self._after}"

    def _line(self, event: base.NativeEvent, times: _DeviceTimes) -> str:
        message = event.message
        envelope, header = message.from_envelope or _NOBODY, message.from_header or _NOBODY
        return "".join(
            (
                f"{self._headers.get(event.kind) or self._header(event.kind)}devTime={times[event.occurred_at]}",
                f"\tdevTimeFormat={_TIME_FORMAT}\tsev={base.severity(event)}\tevent_id={event.event_id}",
                f"\taccountName={event.account}\tsource={event.source}\tobserved_at={event.observed_at}",
                "\tcat=" + text if (text := message.status) else "",
                "\tusrName=" + text if (text := envelope.address) else "",
                self._recipients(message.to) if message.to else "",
                self._sender_ip(text) if (text := message.sender_ip) else "",
                "\tsubject=" + text if (text := message.subject) else "",
                "\tinfo=" + text if (text := message.info) else "",
                "\troute=" + text if (text := message.route) else "",
                "\treceived_at=" + text if (text := message.received_at) else "",
                "\tsent_at=" + text if (text := message.sent_at) else "",
                "\tmimecast_id=" + text if (text := message.id) else "",
                "\tfrom_header=" + text if (text := header.address) else "",
                "\tfrom_header_name=" + text if (text := header.name) else "",
                "\tdetection_level=" + text if (text := message.detection_level) else "",
                f"\tspam_score={score}" if (score := message.spam_score) is not None else "",
                _FLAGS[message.attachments],
                "\tmessage_key=" + text if (text := message.key) else "",
                "\tfrom_envelope_name=" + text if (text := envelope.name) else "",
                _queue_part(message),
                self._stay(event.queue) if event.queue is not None else "",
                self._json("extra", message.extra) if message.extra else "",
                self._json("previous", event.previous) if event.previous else "",
            )
        )

    def _clean(self, event: base.NativeEvent) -> None:
        """Clean the texts that a line takes as they are; the rest is cleaned where it is put in."""
        message, cleaned = event.message, self._cleaned
        event.event_id, event.account, event.source = map(cleaned, (event.event_id, event.account, event.source))
        for name in _MESSAGE_TEXTS:
            if text := getattr(message, name):
                setattr(message, name, cleaned(text))
        for sender in (message.from_envelope, message.from_header):
            if sender is not None:
                sender.address = sender.address and cleaned(sender.address)
                sender.name = sender.name and cleaned(sender.name)

    def _json(self, key: str, value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
        # The delimiters that are allowed have no part in JSON's own syntax, so they can only stand in its strings.
        return f"\t{key}={base.json_text(value).replace(self._delimiter, self._delimiter_in_json)}"

    def _recipients(self, to: Sequence[base.NativeAddress]) -> str:
        """Return the addresses with commas between them, and beside them as JSON what that form cannot say."""
        addresses = [entry.address for entry in to if entry.address]
        text = "\tto=" + self._cleaned(",".join(addresses)) if addresses else ""
        return text if base.is_plain_list(to) else text + self._json("to_json", base.spelled_out(to))

    def _sender_ip(self, text: str) -> str:
        """Return the address under its key; a digest, or what is no address at all, has a key of its own."""
        return f"\tsrc={text}" if base.ip_version(text) else f"\tsender_ip={self._cleaned(text)}"

    def _stay(self, stay: base.NativeStay) -> str:
        return (
            f"\tqueue_type={self._cleaned(stay.type)}\tqueue_first_seen_at={stay.first_seen_at}"
            f"\tqueue_last_seen_at={stay.last_seen_at}\tqueue_dwell_secs={stay.dwell_secs}"
            f"\tqueue_polls={stay.polls}\tqueue_visit={stay.visit}"
        )


def _queue_part(message: base.NativeMessage) -> str:
    """Return what only messages in a queue have."""
    return "".join(
        (
            f"\tsize={number}" if (number := message.size) is not None else "",
            f"\tattempts={number}" if (number := message.attempts) is not None else "",
            "\tcreated_at=" + text if (text := message.created_at) else "",
            "\tnext_attempt_at=" + text if (text := message.next_attempt_at) else "",
            "\tlocked_until=" + text if (text := message.locked_until) else "",
            "\tpriority=" + text if (text := message.priority) else "",
        )
    )


_HEX = re.compile(r"0?x([0-9A-Fa-f]{1,4})")
_PUNCTUATION = "^~!#$%&*;?/"


def _read_delimiter(text: str) -> str:
    match = _HEX.fullmatch(text)
    character = chr(int(match[1], 16)) if match else text
    control = len(character) == 1 and "\x00" < character < " " and character not in "\n\r"
    if not control and (len(character) != 1 or character not in _PUNCTUATION):
        raise PydanticCustomError(
            "delimiter", "write x09 (tab), another control character as x01 to x1f, or one of {allowed}",
            {"allowed": " ".join(_PUNCTUATION)},
        )  # fmt: skip
    return character


_HeaderText = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[ -{}~]+$")]


class LeefFormatConfig(Config):
    """QRadar LEEF, one line per event."""

    type: Literal["leef"] = Field("leef", description="QRadar Log Event Extended Format (LEEF:2.0).")
    vendor: _HeaderText = Field("Mimecast", description="Vendor in the header, by which receivers choose a parser.")
    product: _HeaderText = Field("Email Security", description="Product name in the header.")
    version: _HeaderText = Field("1", description="Product version in the header; 1 is this mapping's own.")
    delimiter: Annotated[str, AfterValidator(_read_delimiter)] = Field(
        "x09",
        description="What stands between attributes: one character, or its code as x09 (tab). Choose `^` where a relay "
        "on the way rewrites tabs.",
        validate_default=True,
    )

    def build(self) -> Format:
        """Return the format."""
        return LeefFormat(self.vendor, self.product, self.version, self.delimiter)
