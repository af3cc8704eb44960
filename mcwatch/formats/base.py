"""What formats share: the native event, decoded to be put into other words."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec


class NativeAddress(msgspec.Struct, gc=False):
    """A mail address and the display name beside it."""

    address: str | None = None
    name: str | None = None


class NativeMessage(msgspec.Struct, gc=False):
    """The mail an event speaks of; times are RFC 3339 in UTC as they stand. Redaction may have taken any of it."""

    id: str | None = None
    key: str | None = None
    status: str | None = None
    info: str | None = None
    subject: str | None = None
    route: str | None = None
    from_envelope: NativeAddress | None = None
    from_header: NativeAddress | None = None
    to: list[NativeAddress] | None = None
    sender_ip: str | None = None
    attachments: bool | None = None
    received_at: str | None = None
    sent_at: str | None = None
    spam_score: int | float | None = None
    detection_level: str | None = None
    size: int | None = None
    attempts: int | None = None
    created_at: str | None = None
    next_attempt_at: str | None = None
    locked_until: str | None = None
    priority: str | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class NativeStay(msgspec.Struct, gc=False):
    """How long a mail has been in a processing queue."""

    type: str
    first_seen_at: str
    last_seen_at: str
    dwell_secs: float
    polls: int
    visit: int


class NativeEvent(msgspec.Struct, gc=False):
    """An event of the native schema (docs/FIELDS.md)."""

    schema: str
    event_id: str
    kind: str
    account: str
    source: str
    occurred_at: str
    observed_at: str
    message: NativeMessage
    previous: dict[str, Any] | None = None
    queue: NativeStay | None = None


_EVENTS = msgspec.json.Decoder(NativeEvent)


def events(native: Sequence[bytes]) -> list[NativeEvent]:
    """Decode native JSON lines."""
    decode = _EVENTS.decode
    return [decode(line) for line in native]


_SPACES = "\t\n\v\f\r\x85\u2028\u2029"
_CONTROLS = tuple(map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)))

PLAIN: Final[Mapping[str, str]] = MappingProxyType(
    {control: " " if control in _SPACES else "\ufffd" for control in _CONTROLS}
)
"""What stands for control characters and line separators in a plain text."""

_SEVERITIES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "accepted": 1,
        "archived": 1,
        "processing": 1,
        "bulk_processing": 1,
        "delivery": 1,
        "bulk_delivery": 1,
        "system": 1,
        "deferred": 3,
        "bounced": 4,
        "held": 5,
        "rejected": 6,
        # Queue events have no status: waiting longer asks for a little more of a look than coming and going.
        "queue.entered": 1,
        "queue.left": 1,
        "queue.changed": 2,
    }
)
"""How much a status asks for a look, 0 to 10 (the finder's statuses: reference notes, section G)."""
_UNKNOWN_SEVERITY = 3

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(r"\.".join([_OCTET] * 4), re.ASCII)

_C1 = re.compile(rb"\xc2([\x80-\x9f])")


def holds_controls(line: bytes) -> bool:
    """Tell whether a native line may hold, unescaped, a control character or line separator that JSON leaves as it is.

    May say yes for nothing: the first byte of C1 controls is also that of a few Latin letters and signs.
    """
    if b"\x7f" in line:
        return True
    return not line.isascii() and (b"\xc2" in line or b"\xe2\x80\xa8" in line or b"\xe2\x80\xa9" in line)


def is_plain(line: bytes) -> bool:
    """Tell whether no text of a native line holds a backslash, a control character or a line separator."""
    return b"\\" not in line and not holds_controls(line)


def escape_controls(encoded: bytes) -> bytes:
    """Return JSON with the control characters and line separators escaped that JSON leaves as they are."""
    if not holds_controls(encoded):
        return encoded
    encoded = (
        encoded.replace(b"\x7f", b"\\u007f").replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    )
    return _C1.sub(lambda found: b"\\u00%02x" % ord(found[1]), encoded)


def json_text(value: object) -> str:
    """Return the value as JSON on one line without any control character."""
    return escape_controls(msgspec.json.encode(value)).decode()


def replacer(table: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that replaces single characters in a text."""
    special = re.compile(f"[{''.join(map(re.escape, table))}]")
    printable = [character for character in table if character.isprintable()]

    def replacement(found: re.Match[str]) -> str:
        return table[found[0]]

    def replace(text: str) -> str:
        # Nearly every text has nothing to replace, and these questions are many times quicker than the search.
        if text.isprintable():
            for character in printable:
                if character in text:
                    break
            else:
                return text
        return special.sub(replacement, text)

    return replace


def severity(event: NativeEvent) -> int:
    """Return how much an event asks for a look: 0 to 10, where 0 to 3 is low, 4 to 6 medium (CEF; LEEF begins at 1)."""
    return _SEVERITIES.get(event.message.status or event.kind, _UNKNOWN_SEVERITY)


def ip_version(text: str) -> Literal[0, 4, 6]:
    """Return which kind of IP address a text is, 0 for none (redaction leaves digests). A zone makes it none."""
    if _IPV4.fullmatch(text):
        return 4
    if ":" not in text or "%" in text:
        return 0
    try:
        IPv6Address(text)
    except ValueError:
        return 0
    return 6


def is_plain_list(to: Iterable[NativeAddress]) -> bool:
    """Tell whether recipients are addresses alone, which nobody can take for others when commas join them."""
    for entry in to:  # noqa: SIM110 - the generator that `all` needs costs more than the answer
        if not entry.address or entry.name or "," in entry.address:
            return False
    return True


def spelled_out(to: Iterable[NativeAddress]) -> list[dict[str, str]]:
    """Return recipients as objects that leave out what is missing."""
    pairs = ({"address": entry.address, "name": entry.name} for entry in to)
    return [{key: text for key, text in pair.items() if text is not None} for pair in pairs]
