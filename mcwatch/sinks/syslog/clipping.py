"""Makes a payload that is too long for a syslog message fit, and keeps it valid. Pure.

JSON loses optional members and says so with ``"truncated": true``. Text is cut where a reader does not trip. What
cannot be made to fit comes back as None.
"""

import re

import msgspec

from mcwatch.sinks.syslog.document_clipping import clip_document
from mcwatch.sinks.syslog.native_clipping import clip_event, is_native

_KEY = re.compile(rb"[\w.-]+=", re.ASCII)


def clip_json(payload: bytes, limit_bytes: int) -> bytes | None:
    """Return a JSON document in at most ``limit_bytes``; None when what must stay is longer than that."""
    if len(payload) <= limit_bytes:
        return payload
    try:
        document = msgspec.json.decode(payload)
        if not isinstance(document, dict):
            return None
        return clip_event(document, limit_bytes) if is_native(document) else clip_document(document, limit_bytes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def clip_text(payload: bytes, limit_bytes: int) -> bytes | None:
    """Return the beginning of a text (CEF, LEEF); None when nothing is left.

    The cut is between two characters, never within an escape sequence, and takes with it the rest of a key whose value
    is cut off, which would read as part of the value before it.
    """
    if len(payload) <= limit_bytes:
        return payload
    end = max(limit_bytes, 0)
    while end > 0 and payload[end] & 0xC0 == 0x80:  # 10xxxxxx continues a character (RFC 3629)
        end -= 1
    word = 1 + max(payload.rfind(separator, 0, end) for separator in (b" ", b"\t", b"|"))
    key = _KEY.match(payload, word)
    if key and key.end() > end:
        end = word if payload[:word].endswith(b"|") else max(word - 1, 0)  # the last bar belongs to the CEF header
    text = payload[:end]
    escapes = len(text) - len(text.rstrip(b"\\"))
    return text[: end - escapes % 2] or None
