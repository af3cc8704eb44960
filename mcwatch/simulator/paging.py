"""Page tokens: an offset into a live list, nothing more (reference notes §E).

There is no snapshot behind them, so rows that arrive between two pages make others repeat, and rows that go make
others skip, as the notes presume of the real queues.
"""

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from mcwatch.simulator.config import Shape
from mcwatch.simulator.envelope import Call, Item, RefusedError


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    offset: int
    size: int
    query: str


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that a call asks for."""

    offset: int
    size: int
    query: str

    def pagination(self, total: int, shape: Shape) -> dict[str, object] | None:
        """Word `meta.pagination` for a list that has `total` rows now; `next` is absent on the last page."""
        if shape.pagination == "absent":
            return None
        if shape.pagination == "zero":
            return {"pageSize": 0}
        worded: dict[str, object] = {"pageSize": self.size}
        if shape.total_count:
            worded["totalCount"] = total
        if shape.next_token and self.offset + self.size < total:
            worded["next"] = self._token(self.offset + self.size)
        if shape.next_token and self.offset > 0:
            worded["previous"] = self._token(max(self.offset - self.size, 0))
        return worded

    def _token(self, offset: int) -> str:
        packed = zlib.compress(msgspec.json.encode(_Token(offset, self.size, self.query)))
        return urlsafe_b64encode(packed).decode().rstrip("=")


def page_of(call: Call, item: Item, scope: str, shape: Shape) -> Page:
    """Return the page a call asks for; a size beyond the cap is cut silently.

    Raises RefusedError `xdk_failure` for a corrupt token, and for one of another query or account.
    """
    query = sha256(scope.encode() + msgspec.json.encode(item, order="deterministic")).hexdigest()[:16]
    size = min(call.page_size or shape.page_default, shape.page_cap)
    if call.page_token is None:
        return Page(0, size, query)
    token = _read(call.page_token)
    if token is None or token.query != query:
        raise RefusedError(200, "xdk_failure", "0007 Invalid token")
    return Page(token.offset, token.size, query)


def _read(text: str) -> _Token | None:
    try:
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(zlib.decompress(packed), type=_Token)
    except (ValueError, binascii.Error, zlib.error, msgspec.DecodeError):
        return None
