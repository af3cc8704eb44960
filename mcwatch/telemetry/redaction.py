"""The second line of defence for logs: secrets that slipped in are masked, control characters made visible.

The first line is that nobody logs secrets or mail contents. This one also sees what libraries log and what the text of
their exceptions quotes.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

MASK = "****"
MAX_CHARS = 4096
"""Longest text value of a log line; tracebacks are exempt."""
_MAX_DEPTH = 6

_SECRET_KEY = re.compile(
    r"(?:^|_)(?:authorization|token|secret|password|passwd|passphrase|cookie|credentials?|(?:api|app|access|secret|private)_?key)$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"(?P<scheme>\b(?:Bearer|Basic|Splunk|ApiKey|MC)\s+)[A-Za-z0-9+/=_.:~-]{6,}"
    r"|(?P<login>://[^/\s:@]*:)[^/\s@]+(?=@)"
    r"|(?P<pair>\b(?:access_token|refresh_token|client_secret|password|token|api_key)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;]{4,}",
    re.IGNORECASE,
)
# C0, DEL, C1, line and paragraph separators, bidirectional controls, lone surrogates: what could forge a line, hide
# text, drive a terminal or not be encoded.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def neutral(text: str) -> str:
    """Return the text with control characters written as escapes, such as backslash x1b."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def without_secrets(text: str) -> str:
    """Return the text with credentials of well-known shapes masked: schemes, URL logins, ``token=…``."""
    return _SECRET_TEXT.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    return (match["scheme"] or match["login"] or match["pair"]) + MASK


def _clean_text(text: str) -> str:
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS] + "…"
    return neutral(without_secrets(text))


def _clean(value: object, depth: int) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "reveal"):
        return MASK
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if depth and isinstance(value, Mapping):
        return {_clean_text(str(key)): _field(str(key), item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, depth - 1) for item in value]
    return _clean_text(str(value))


def _field(key: str, value: object, depth: int) -> object:
    if _SECRET_KEY.search(key.replace("-", "_")) and value is not None and not isinstance(value, bool):
        return MASK
    return _clean(value, depth)


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Clean every field of a log line; a structlog processor, the last before rendering."""
    for key, value in event.items():
        if key == "exception":
            # Its own line ends are meant; everything else in it is as suspect as any field.
            event[key] = "\n".join(neutral(line) for line in without_secrets(str(value)).split("\n"))
        else:
            event[key] = _field(key, value, _MAX_DEPTH)
    return event
