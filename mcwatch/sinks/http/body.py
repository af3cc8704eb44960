"""What one request of the http sink carries."""

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from mcwatch.domain.delivery import Batch
from mcwatch.domain.errors import MisconfiguredError
from mcwatch.domain.event import EVENT_ID_AT
from mcwatch.sinks.base import lines
from mcwatch.sinks.receiver import gzipped, zstandard_packed

Body = Literal["ndjson", "array", "single"]
Compression = Literal["gzip", "zstd", "none"]

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_CONTENT_TYPES: dict[Body, str] = {"ndjson": "application/x-ndjson", "array": _JSON, "single": _JSON}


@dataclass(frozen=True, slots=True)
class Request:
    """A body as it is sent, and the headers that speak of it."""

    body: bytes = field(repr=False)
    headers: dict[str, str]


async def request_of(batch: Batch, body: Body, compression: Compression) -> Request:
    """Build the request for a batch, with ``single`` of one event: the same events make the same request.

    Raises MisconfiguredError for an array of what is not JSON.
    """
    headers = {"Content-Type": _content_type(batch, body), "Idempotency-Key": _key(batch)}
    plain = _plain(batch, body)
    if compression == "none":
        return Request(plain, headers)
    packed = await (gzipped(plain) if compression == "gzip" else zstandard_packed(plain))
    return Request(packed, {**headers, "Content-Encoding": compression})


def _content_type(batch: Batch, body: Body) -> str:
    if batch.content_type == _JSON:
        return _CONTENT_TYPES[body]
    if body == "array":
        raise MisconfiguredError(
            "the destination's format is text, which cannot stand in a JSON array",
            remedy="choose body: ndjson (a line per event) or body: single, or a format that is JSON",
        )
    return _TEXT


def _plain(batch: Batch, body: Body) -> bytes:
    if body == "single":
        return batch.payloads[0]
    return lines(batch.payloads) if body == "ndjson" else b"[" + b",".join(batch.payloads) + b"]"


def _key(batch: Batch) -> str:
    """Return the digest of the events' ids, so that the same events have the same key however often they are sent."""
    return hashlib.sha256(b"".join([native[EVENT_ID_AT] for native in batch.native])).hexdigest()
