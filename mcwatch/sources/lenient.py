"""Reading a row that is not as documented: one row at a time, whatever its spelling and types.

Real answers come with integers written as text, one address where a list is due, several spellings of a field, nulls
and keys nobody has described (reference notes F, G and I). All of it ends in the same :class:`Record`; a field that
does not fit its meaning is kept under its own name in ``extra``, as is every unknown one. Only a row that names nothing
to tell it by is unreadable.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from mcwatch.domain import tolerant_json
from mcwatch.domain.record import Record, Unreadable, WireAddress

SPELLINGS: Mapping[str, str] = {
    "id": "id",
    "status": "status",
    "info": "info",
    "subject": "subject",
    "route": "route",
    "routing": "route",
    "fromEnv": "from_envelope",
    "fromEnvelope": "from_envelope",
    "fromHdr": "from_header",
    "fromHeader": "from_header",
    "to": "to",
    "senderIP": "sender_ip",
    "senderIp": "sender_ip",
    "remoteIp": "sender_ip",
    "remoteIP": "sender_ip",
    "attachments": "attachments",
    "attachment": "attachments",
    "received": "received_at",
    "sent": "sent_at",
    "spamScore": "spam_score",
    "detectionLevel": "detection_level",
    "size": "size",
    "attempts": "attempts",
    "created": "created_at",
    "nextAttempt": "next_attempt_at",
    "lockedUntil": "locked_until",
    "priority": "priority",
}
"""Every spelling of a field that either feed has been seen or documented to use, and our name for it."""

_ADDRESS_KEYS = frozenset({"emailAddress", "displayableName", "displayName"})
_DEEPEST = 32
_WHOLE = range(-(2**63), 2**63)
_PARSE_ERRORS = (ValueError, RecursionError, msgspec.DecodeError)


class _Misfit(Exception):  # noqa: N818 - never leaves this module; it is an answer, not an error
    """The value has not the meaning of its field."""


class _TooDeep(Exception):  # noqa: N818 - as above
    """The row is nested deeper than anything that is mail."""


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Misfit
    return str(value)


def _said(value: object) -> str:
    """Read what makes a row another event: whatever its type, two different ones must stay different."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _number(value: object) -> int | float:
    if isinstance(value, bool):
        raise _Misfit
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            value = float(value)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _Misfit
    return value


def _score(value: object) -> int | float:
    number = _number(value)
    if isinstance(number, int) and number not in _WHOLE:
        raise _Misfit
    return number


def _whole(value: object) -> int:
    number = _number(value)
    if number != int(number) or int(number) not in _WHOLE:
        raise _Misfit
    return int(number)


def _flag(value: object) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, (str, int)) and str(value).strip().lower() in known:
        return known[str(value).strip().lower()]
    raise _Misfit


def _time(value: object) -> datetime:
    if not isinstance(value, str):
        raise _Misfit
    at = datetime.fromisoformat(value.strip())
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _address(value: object) -> WireAddress:
    if isinstance(value, str):
        return WireAddress(value)
    if not isinstance(value, dict) or (value and not value.keys() & _ADDRESS_KEYS):
        raise _Misfit
    address = value.get("emailAddress")
    name = value.get("displayableName") or value.get("displayName")
    return WireAddress(None if address is None else _text(address), None if name is None else _text(name))


def _addresses(value: object) -> list[WireAddress]:
    entries = value if isinstance(value, list) else [value]
    return [_address(entry) for entry in entries if entry is not None]


def _says_more(value: object) -> bool:
    """Tell whether an address, or one of several, says something that :class:`WireAddress` has no place for."""
    if isinstance(value, list):
        return any(map(_says_more, value))
    if not isinstance(value, dict):
        return False
    names = [name for name in (value.get("displayableName"), value.get("displayName")) if name not in (None, "")]
    unread = any(name != names[0] or not name for name in names)
    return unread or not value.keys() <= _ADDRESS_KEYS


_READERS: Mapping[str, Callable[[object], Any]] = {
    "status": _said,
    "info": _said,
    "from_envelope": _address,
    "from_header": _address,
    "to": _addresses,
    "attachments": _flag,
    "received_at": _time,
    "sent_at": _time,
    "created_at": _time,
    "next_attempt_at": _time,
    "locked_until": _time,
    "spam_score": _score,
    "size": _whole,
    "attempts": _whole,
}
_ADDRESSES = frozenset({"from_envelope", "from_header", "to"})
_IDENTIFYING = ("id", "subject", "received_at", "created_at", "sender_ip")


def _parse(raw: bytes) -> object:
    """Return the JSON value; where msgspec refuses the text, it is read with replacements."""
    try:
        return msgspec.json.decode(raw)
    except _PARSE_ERRORS:
        return msgspec.json.decode(tolerant_json.write(tolerant_json.read(raw)))


def _tame(value: object, room: int = _DEEPEST) -> object:
    """Return the value with whole numbers as text where no encoding of an event could hold them."""
    if isinstance(value, (dict, list)) and not room:
        raise _TooDeep
    if isinstance(value, dict):
        return {key: _tame(inner, room - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_tame(inner, room - 1) for inner in value]
    return str(value) if isinstance(value, int) and value not in _WHOLE else value


def _fields(row: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (our fields, what is left under its own names)."""
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in row.items():
        name = SPELLINGS.get(key)
        if name is None or name in fields:
            extra[key] = value
            continue
        if value is None:
            continue
        try:
            fields[name] = _READERS.get(name, _text)(value)
        except (_Misfit, ValueError, OverflowError):
            extra[key] = value
        if name in _ADDRESSES and _says_more(value):
            extra[key] = value
    return fields, extra


def _names_a_mail(fields: Mapping[str, Any]) -> bool:
    addresses = [fields.get("from_envelope"), *(fields.get("to") or ())]
    return any(fields.get(name) for name in _IDENTIFYING) or any(entry and entry.address for entry in addresses)


def read_row(raw: bytes) -> Record | Unreadable:
    """Read the JSON bytes of one row of either feed."""
    try:
        row = _tame(_parse(raw))
    except _PARSE_ERRORS:
        return Unreadable(raw, "the row is no JSON that can be read")
    except _TooDeep:
        return Unreadable(raw, f"the row is nested more than {_DEEPEST} levels deep")
    if not isinstance(row, dict):
        return Unreadable(raw, f"the row is no object but {_kind(row)}")
    fields, extra = _fields(row)
    if not _names_a_mail(fields):
        return Unreadable(raw, "the row has no id and nothing else to tell it by")
    return Record(**fields, extra=extra)


def _kind(value: object) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
