"""The bytes of a syslog message and its frame: RFC 5424 and, around it, RFC 6587. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache

from mcwatch.domain.delivery import EventHead

UTF8_BOM = b"\xef\xbb\xbf"
EXAMPLE_ENTERPRISE = 32473
"""RFC 5612 sets this number aside for examples; whoever has one of their own uses that."""
_NIL = "-"
_NOT_PRINTUSASCII = re.compile(r"[^!-~]")
_TAB = 9
_CONTROLS_TO_SPACES = bytes(0x20 if code < 0x20 and code != _TAB else code for code in range(256))
"""TAB stays: it separates the fields of LEEF and breaks no frame."""
_PARAM_ESCAPES = {**dict.fromkeys(range(0x20), " "), **{ord(sign): f"\\{sign}" for sign in '"\\]'}}
"""RFC 5424 section 6.3.3: these three are escaped and nothing else; control characters would break LF framing."""
_STAMP = len("2026-01-05T09:29:02.000")  # without its offset, which is 0
_KINDS_OF_HEADER = 1024  # accounts times kinds times statuses: far fewer
_TIMES = 4096  # of mails of some minutes, which share their seconds


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
    """RFC 5424 table 2, under the names syslog.conf uses."""

    EMERG = 0
    ALERT = 1
    CRIT = 2
    ERR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks: what is the same in the header of every message."""

    facility: Facility
    hostname: str
    app_name: str
    procid: str


class Header:
    """Writes what stands before MSG (RFC 5424 section 6).

    Args:
        origin: who speaks.
        severities: by the mail's status or, where it has none of these, by the event's kind; others are informational.
        enterprise_number: under which the structured data stands (section 7.2.2); None leaves it out.
    """

    def __init__(self, origin: Origin, severities: Mapping[str, Severity], enterprise_number: int | None) -> None:
        self._origin = origin
        self._severities = severities
        self._element = None if enterprise_number is None else f"mcwatch@{enterprise_number}"
        # Of an event only its time and id are its own: the rest is put together once per combination.
        self._parts = lru_cache(maxsize=_KINDS_OF_HEADER)(self._around)
        self._stamp = lru_cache(maxsize=_TIMES)(_stamp)

    def write(self, head: EventHead) -> bytes:
        """Return the header up to and with the space before MSG."""
        start, middle, end = self._parts(head.kind, head.account, head.status)
        event_id = head.event_id.translate(_PARAM_ESCAPES) if self._element else ""
        return f"{start}{self._stamp(head.occurred_at)}{middle}{event_id}{end}".encode("utf-8", "replace")

    def _around(self, kind: str, account: str, status: str | None) -> tuple[str, str, str]:
        """Return what stands before the time, between it and the event id, and after that."""
        start = f"<{self._origin.facility * 8 + self._severity(kind, status)}>1 "
        middle = f"Z {_names(self._origin, kind)} "
        if not self._element:
            return start, middle + _NIL, " "
        account, kind = account.translate(_PARAM_ESCAPES), kind.translate(_PARAM_ESCAPES)
        return start, f'{middle}[{self._element} account="{account}" kind="{kind}" event_id="', '"] '

    def _severity(self, kind: str, status: str | None) -> Severity:
        by_kind = self._severities.get(kind, Severity.INFO)
        return by_kind if status is None else self._severities.get(status, by_kind)


def _stamp(at: datetime) -> str:
    """Return a time in UTC to the millisecond, without its offset."""
    return at.astimezone(UTC).isoformat("T", "milliseconds")[:_STAMP]


def neutralised(payload: bytes) -> bytes:
    """Return the payload with a space for each control character, so that no frame and no receiver trips over one."""
    return payload.translate(_CONTROLS_TO_SPACES)


def octet_counted(message: bytes) -> bytes:
    """Frame a message by its length in octets (RFC 6587 section 3.4.1, RFC 5425 section 4.3)."""
    return b"%d %b" % (len(message), message)


def lf_framed(message: bytes) -> bytes:
    """Frame a message, which holds no LF, by a trailing one (RFC 6587 section 3.4.2)."""
    return message + b"\n"


def _names(origin: Origin, kind: str) -> str:
    """Return HOSTNAME APP-NAME PROCID MSGID."""
    host, app, procid = _name(origin.hostname, 255), _name(origin.app_name, 48), _name(origin.procid, 128)
    return f"{host} {app} {procid} {_name(kind, 32)}"


def _name(text: str, limit: int) -> str:
    """Return ``text`` as a header field: PRINTUSASCII, cut to its limit, ``-`` when nothing is left."""
    return _NOT_PRINTUSASCII.sub("_", text[:limit]) or _NIL
