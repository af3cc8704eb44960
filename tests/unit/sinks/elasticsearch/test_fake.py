"""The receiver of the tests is as strict as the API it stands for."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tests.fakes.elasticsearch import BulkReceiver, Options, keep_in_file

_GOOD = b'{"create":{"_id":"1"}}\n{"@timestamp":"2026-01-05T09:29:02Z"}\n'


@pytest.fixture
async def receiver() -> AsyncIterator[BulkReceiver]:
    """Give a running receiver."""
    found = BulkReceiver(Options(max_content_bytes=200))
    await found.start()
    yield found
    await found.stop()


async def _answer(
    receiver: BulkReceiver, body: bytes, query: str = "", content_type: str = "application/x-ndjson"
) -> tuple[int, dict[str, object]]:
    async with (
        aiohttp.ClientSession(headers={"Content-Type": content_type}) as session,
        session.post(f"{receiver.url}/logs-mimecast-default/_bulk{query}", data=body) as response,
    ):
        return response.status, msgspec.json.decode(await response.read())


@pytest.mark.parametrize(
    ("body", "query", "content_type", "status"),
    [
        (_GOOD, "", "application/x-ndjson", 200),
        (_GOOD.rstrip(b"\n"), "", "application/x-ndjson", 400),
        (_GOOD.replace(b"create", b"index"), "", "application/x-ndjson", 400),
        (_GOOD.replace(b'"_id":"1"', b'"_id":"' + b"x" * 600 + b'"'), "", "application/x-ndjson", 413),
        (b"", "", "application/x-ndjson", 400),
        (b"\n", "", "application/x-ndjson", 400),
        (_GOOD, "?wait=1", "application/x-ndjson", 400),
        (_GOOD, "", "text/plain", 406),
    ],
)
async def test_a_request_that_breaks_a_rule_is_refused_whole(
    receiver: BulkReceiver, body: bytes, query: str, content_type: str, status: int
) -> None:
    """The last line end, the action, the parameters, the type and the size are looked at."""
    assert status == (await _answer(receiver, body, query, content_type))[0]
    assert len(receiver.written) == (status == 200)


@pytest.mark.parametrize(
    ("source", "status"),
    [
        (b'{"@timestamp":"2026-01-05T09:29:02Z"}', 409),
        (b'{"a":1}', 400),
        (b'{"@timestamp":"yesterday"}', 400),
        (b'{"@timestamp":"2026-01-05T09:29:02Z","a":1,"a":2}', 400),
        (b'{"@timestamp"', 400),
        (b"[]", 400),
    ],
)
async def test_each_document_has_a_verdict(receiver: BulkReceiver, source: bytes, status: int) -> None:
    """An id is written once, a data stream wants a time, and what is asked for comes back: every item by position."""
    await _answer(receiver, _GOOD)
    _, answer = await _answer(
        receiver, b'{"create":{"_id":"1"}}\n' + source + b"\n", "?filter_path=errors,items.*.status"
    )
    assert {"errors": True, "items": [{"create": {"status": status}}]} == answer


async def test_a_filter_that_fits_nothing_leaves_nothing(receiver: BulkReceiver) -> None:
    """Items of which nothing is kept vanish: a verdict by position needs a field that all have."""
    assert (200, {"errors": False}) == await _answer(receiver, _GOOD, "?filter_path=errors,items.*.error")


async def test_what_the_program_kept_is_known_after_a_restart(receiver: BulkReceiver, tmp_path: Path) -> None:
    """Accepted documents survive, a line cut by a kill does not, and their ids are taken."""
    path = tmp_path / "kept.ndjson"
    keep_in_file(receiver, path)
    await _answer(receiver, _GOOD)
    with path.open("ab") as file:
        file.write(b'{"index":"logs-mime')
    again = BulkReceiver()
    keep_in_file(again, path)
    await again.start()
    await _answer(again, _GOOD + _GOOD.replace(b'"1"', b'"2"'))
    await again.stop()
    kept = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    assert [("logs-mimecast-default", "1"), ("logs-mimecast-default", "2")] == [
        (one["index"], one["id"]) for one in kept
    ]
    assert again.conflicts == 1
