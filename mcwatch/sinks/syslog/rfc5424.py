"""The bytes of a syslog message and its frame: RFC 5424 and, around it, RFC 6587. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC
from enum import IntEnum
from functools import lru_cache

from mcwatch.domain.delivery import EventHead

UTF8_BOM = b"\xef\xbb\xbf"
_NIL = "-"
_NOT_PRINTUSASCII = re.compile(r"[^!-~]")
_TAB = 9
_CONTROLS_TO_SPACES = bytes(0x20 if code < 0x20 and code != _TAB else code for code in range(256))
"""TAB stays: it separates the fields of LEEF and breaks no frame."""


class Facility(IntEnum):
    """RFC 5424 table 1, under the names syslog.conf uses."""

    KERN = 0
    USER = 1
    MAIL = 2
    DAEMON = 3
    AUTH = 4
    SYSLOG = 5
    LPR = 6
    NEWS = 7
    UUCP = 8
    CRON = 9
    AUTHPRIV = 10
    FTP = 11
    LOCAL0 = 16
    LOCAL1 = 17
    LOCAL2 = 18
    LOCAL3 = 19
    LOCAL4 = 20
    LOCAL5 = 21
    LOCAL6 = 22
    LOCAL7 = 23


class Severity(IntEnum):
    """RFC 5424 table 2, as far as it is used."""

    NOTICE = 5
    INFO = 6


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks: what is the same in the header of every message."""

    facility: Facility
    hostname: str
    app_name: str
    procid: str


def severity_of(_head: EventHead) -> Severity:
    """Return the severity of an event; every kind is informational, none asks for action."""
    return Severity.INFO


def header(head: EventHead, origin: Origin) -> bytes:
    """Return the header up to and with the space before MSG (RFC 5424 section 6): no structured data."""
    stamp = head.occurred_at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    pri = origin.facility * 8 + severity_of(head)
    return f"<{pri}>1 {stamp}Z {_names(origin, head.kind)} - ".encode("ascii")


def neutralised(payload: bytes) -> bytes:
    """Return the payload with a space for each control character, so that no frame and no receiver trips over one."""
    return payload.translate(_CONTROLS_TO_SPACES)


def octet_counted(message: bytes) -> bytes:
    """Frame a message by its length in octets (RFC 6587 section 3.4.1, RFC 5425 section 4.3)."""
    return b"%d %b" % (len(message), message)


def lf_framed(message: bytes) -> bytes:
    """Frame a message, which holds no LF, by a trailing one (RFC 6587 section 3.4.2)."""
    return message + b"\n"


@lru_cache(maxsize=64)
def _names(origin: Origin, kind: str) -> str:
    """Return HOSTNAME APP-NAME PROCID MSGID: a handful of combinations, the same for every event."""
    host, app, procid = _name(origin.hostname, 255), _name(origin.app_name, 48), _name(origin.procid, 128)
    return f"{host} {app} {procid} {_name(kind, 32)}"


def _name(text: str, limit: int) -> str:
    """Return ``text`` as a header field: PRINTUSASCII, cut to its limit, ``-`` when nothing is left."""
    return _NOT_PRINTUSASCII.sub("_", text[:limit]) or _NIL
