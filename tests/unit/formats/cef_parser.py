"""A strict reader of CEF:0, written from the CEF implementation standard alone; it shares nothing with the renderer.

It refuses what the standard does not allow: a missing header field, a severity that is none, a backslash that escapes
nothing, a character that has to be escaped and is not, a key that is neither in the dictionary nor the vendor's own, a
value of the wrong type, a custom field without its label, a key that comes twice.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

HEADER_FIELDS = ("version", "vendor", "product", "device_version", "class_id", "name", "severity")

_TYPES = MappingProxyType(
    {
        "act": "text", "cat": "text", "deviceDirection": "direction", "deviceExternalId": "text", "duser": "text",
        "end": "time", "externalId": "text", "msg": "text", "reason": "text", "rt": "time", "src": "ipv4",
        "start": "time", "suser": "text",
    }
    | {f"cs{number}": "text" for number in range(1, 7)}
    | {f"cn{number}": "long" for number in range(1, 4)}
    | {f"cfp{number}": "float" for number in range(1, 5)}
    | {f"c6a{number}": "ipv6" for number in range(1, 5)}
    | {f"deviceCustomDate{number}": "time" for number in (1, 2)}
)  # fmt: skip
"""The part of the standard's dictionary that a mail gateway may use, with the types it gives."""

_LABELLED = re.compile(r"(?:cs|cn|cfp|c6a|deviceCustomDate)\d")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_KEY = re.compile(r"(?:^| )([A-Za-z0-9]+)=")
_HEADER_PART = re.compile(r"((?:[^|\\]|\\[|\\])*)\|")
_VALUE = re.compile(r"(?:[^=\\]|\\[=\\nr])*")
_MEANING = MappingProxyType({"\\=": "=", "\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\|": "|"})


@dataclass(frozen=True)
class CefLine:
    """What a line says."""

    header: Mapping[str, str]
    extension: Mapping[str, str]


def parse(payload: bytes) -> CefLine:
    """Read one line; raises ValueError with what is wrong."""
    text = payload.decode()
    _demand(_CONTROL.search(text) is None, "a control character or line separator")
    _demand(text.startswith("CEF:0|"), "no CEF:0")
    header, position = [], len("CEF:")
    for _ in HEADER_FIELDS:
        part = _HEADER_PART.match(text, position)
        _demand(part is not None, "a header field is missing or badly escaped")
        assert part is not None
        header.append(_unescaped(part[1]))
        position = part.end()
    named = dict(zip(HEADER_FIELDS, header, strict=True))
    _demand(all(named.values()), "an empty header field")
    _demand(re.fullmatch("[0-9]|10", named["severity"], re.ASCII) is not None, "severity is not 0 to 10")
    return CefLine(named, _extension(text[position:]))


def _extension(text: str) -> dict[str, str]:
    """Cut at every unescaped ``key=``: one space stands before a key, all others before that belong to the value."""
    keys = list(_KEY.finditer(text))
    _demand(bool(keys) and keys[0].start() == 0, "the extension does not begin with a key")
    found: dict[str, str] = {}
    for number, key in enumerate(keys):
        end = keys[number + 1].start() if number + 1 < len(keys) else len(text)
        raw = text[key.end() : end]
        _demand(_VALUE.fullmatch(raw) is not None, f"a bad escape, or a missing one, in the value of {key[1]}")
        _demand(key[1] not in found, f"{key[1]} comes twice")
        found[key[1]] = _unescaped(raw)
    for name, value in found.items():
        _check(name, value, found)
    return found


def _check(name: str, value: str, found: Mapping[str, str]) -> None:
    if name.endswith("Label"):
        _demand(name.removesuffix("Label") in found, f"{name} labels nothing")
        return
    _demand(not _LABELLED.fullmatch(name) or f"{name}Label" in found, f"{name} has no label")
    kind = "text" if name.startswith("mimecast") else _TYPES.get(name)
    _demand(kind is not None, f"{name} is not in the dictionary")
    if kind == "ipv4":
        IPv4Address(value)
    elif kind == "ipv6":
        IPv6Address(value)
    elif kind == "float":
        float(value)
    elif kind in {"long", "time"}:
        _demand(re.fullmatch(r"-?\d{1,19}", value, re.ASCII) is not None, f"{name} is no whole number")
    elif kind == "direction":
        _demand(value in {"0", "1"}, "deviceDirection is 0 or 1")


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda found: _MEANING[found[0]], text)


def _demand(fact: bool, problem: str) -> None:
    if not fact:
        raise ValueError(problem)


def carried(text: str) -> str:
    """Return what CEF can carry of a text: control characters and line separators are lost, LF and CR excepted."""
    return re.sub("[\t\v\f\x85\u2028\u2029]", " ", text).translate(
        {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\r"}
    )
