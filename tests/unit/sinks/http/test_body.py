"""Bodies of requests and the headers that speak of them."""

import gzip
import hashlib

import pytest
import zstandard

from mcwatch.domain.delivery import Batch
from mcwatch.domain.errors import MisconfiguredError
from mcwatch.sinks.http.body import Body, Compression, request_of
from tests.contract.sink_events import event, large, numbered

_TEXT = Batch((event(0), event(1)), (b"CEF:0|a=b", b"CEF:0|two\nlines"), "text/plain")


@pytest.mark.parametrize(
    ("batch", "body", "content_type", "expected"),
    [
        (numbered(2), "ndjson", "application/x-ndjson", event(0) + b"\n" + event(1) + b"\n"),
        (numbered(2), "array", "application/json", b"[" + event(0) + b"," + event(1) + b"]"),
        (numbered(1), "single", "application/json", event(0)),
        (_TEXT, "ndjson", "text/plain; charset=utf-8", b"CEF:0|a=b\nCEF:0|two lines\n"),
        (_TEXT.slice(0, 1), "single", "text/plain; charset=utf-8", b"CEF:0|a=b"),
    ],
)
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
async def test_body_and_content_type(
    batch: Batch, body: Body, compression: Compression, content_type: str, expected: bytes
) -> None:
    """Each body is what its option says, JSON or text, under each packing."""
    request = await request_of(batch, body, compression)
    assert content_type == request.headers["Content-Type"]
    assert (None if compression == "none" else compression) == request.headers.get("Content-Encoding")
    assert expected == _unpacked(request.body, compression)


async def test_text_in_an_array_is_a_misconfiguration() -> None:
    """Lines of text in a JSON array would be no JSON: nothing is sent, and the remedy names both ways out."""
    with pytest.raises(MisconfiguredError) as failure:
        await request_of(_TEXT, "array", "none")
    assert "ndjson" in failure.value.remedy
    assert "JSON" in failure.value.remedy


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("batch", [numbered(2), large()], ids=["small", "large"])
async def test_the_same_events_make_the_same_request(batch: Batch, compression: Compression) -> None:
    """A repeated batch is byte for byte the same request, whatever the packing."""
    assert await request_of(batch, "ndjson", compression) == await request_of(batch, "ndjson", compression)


async def test_the_key_is_of_the_events_alone() -> None:
    """The idempotency key is the digest of the ids, the same for every body and format."""
    ids = b"".join(head.event_id.encode() for head in numbered(2).heads)
    requests = [
        await request_of(numbered(2), "ndjson", "gzip"),
        await request_of(numbered(2), "array", "none"),
        await request_of(_TEXT, "ndjson", "none"),
    ]
    assert {hashlib.sha256(ids).hexdigest()} == {request.headers["Idempotency-Key"] for request in requests}
    other = await request_of(numbered(3), "ndjson", "gzip")
    assert requests[0].headers["Idempotency-Key"] != other.headers["Idempotency-Key"]


def _unpacked(body: bytes, compression: Compression) -> bytes:
    if compression == "zstd":
        return zstandard.ZstdDecompressor().decompress(body)
    return gzip.decompress(body) if compression == "gzip" else body
