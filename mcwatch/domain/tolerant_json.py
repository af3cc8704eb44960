"""JSON that is hardly JSON, read with replacements.

Texts may hold invalid UTF-8, halves of surrogate pairs and control characters. Numbers that no encoding
could hold (not finite, or too long to be a number of anything) stay as they are written, as text. What is no JSON even
so raises ValueError, what is nested too deeply RecursionError.
"""

import json
import math

_LONGEST_NUMBER = 40
"""Python itself refuses to read beyond 4,300 digits; nothing that is counted has as many as this."""


def read(raw: bytes) -> object:
    """Return the value."""
    text = raw.decode("utf-8-sig", "replace")
    return json.loads(text, strict=False, parse_constant=str, parse_int=_whole, parse_float=_fraction)


def write(value: object) -> bytes:
    """Return the value as JSON that any reader takes, with U+FFFD for halves of surrogate pairs."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


def _fraction(digits: str) -> float | str:
    return number if math.isfinite(number := float(digits)) else digits
