"""HMAC-SHA256 (RFC 2104) of short texts, shortened."""

import hashlib

# 128 bits, as in event_id and message.key: two values meet after 2^64 of them, at half the bytes of the whole digest.
_DIGITS = 32
_BLOCK_BYTES = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


class KeyedDigest:
    """Hashes under one key. Written out: with both blocks hashed beforehand it takes half the time of ``hmac``."""

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= _BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
        self._inner, self._outer = (hashlib.sha256(block.translate(pad)) for pad in (_INNER, _OUTER))

    def of(self, text: str) -> str:
        """Return the first 32 hex digits of the HMAC of a text as UTF-8."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return outer.hexdigest()[:_DIGITS]
