"""A strict reader of LEEF 2.0, written from IBM's LEEF guide alone; it shares nothing with the renderer.

It refuses a missing header field, a delimiter that is neither one character nor its code, a line end or other control
character (the delimiter excepted), an attribute without a key, a key that comes twice, and predefined attributes whose
values have not their type.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

HEADER_FIELDS = ("version", "vendor", "product", "product_version", "event_id", "delimiter")

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CODE = re.compile(r"0?x([0-9A-Fa-f]{1,4})")


@dataclass(frozen=True)
class LeefLine:
    """What a line says; ``at`` is its device time."""

    header: Mapping[str, str]
    attributes: Mapping[str, str]
    at: datetime


def parse(payload: bytes) -> LeefLine:
    """Read one line; raises ValueError with what is wrong."""
    text = payload.decode()
    *header, rest = text.split("|", len(HEADER_FIELDS))
    _demand(len(header) == len(HEADER_FIELDS), "a header field is missing")
    named = dict(zip(HEADER_FIELDS, header, strict=True))
    _demand(named["version"] == "LEEF:2.0", "no LEEF:2.0")
    _demand(all(named.values()), "an empty header field")
    delimiter = _delimiter(named["delimiter"])
    pairs = rest.split(delimiter)
    _demand(not any(map(_CONTROL.search, (*header, *pairs))), "a control character or line separator")
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        _demand(equals == "=" and _KEY.fullmatch(key) is not None, f"no attribute: {pair!r}")
        _demand(key not in found, f"{key} comes twice")
        found[key] = value
    _demand(found.get("devTimeFormat") == "MMM dd yyyy HH:mm:ss.SSS z", "a format that this reader does not know")
    at = datetime.strptime(found["devTime"], "%b %d %Y %H:%M:%S.%f GMT").replace(tzinfo=UTC)
    _demand(re.fullmatch("[1-9]|10", found["sev"], re.ASCII) is not None, "sev is not 1 to 10")
    if "src" in found:
        ip_address(found["src"])
    return LeefLine(named, found, at)


def _delimiter(text: str) -> str:
    code = _CODE.fullmatch(text)
    character = chr(int(code[1], 16)) if code else text
    _demand(len(character) == 1, "the delimiter is no character")
    return character


def _demand(fact: bool, problem: str) -> None:
    if not fact:
        raise ValueError(problem)


def carried(text: str, delimiter: str = "\t") -> str:
    """Return what LEEF can carry of a text: no control character, no line end or separator, no delimiter."""
    return re.sub(f"[\t\n\v\f\r\x85\u2028\u2029{re.escape(delimiter)}]", " ", text).translate(
        dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\ufffd")
    )
