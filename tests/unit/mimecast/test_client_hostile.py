"""Hostile and broken answers cost bounded memory and time, and one call; the next one is sound again."""

import asyncio
import gzip
import json
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, TransientError
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.config import ApiConfig
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.unit.httpclient.servers import http_server
from tests.unit.mimecast.api import ANYTHING, HMAC, OAUTH2, Reply, scripted

MIB = 2**20
FINDER, QUEUE = Endpoint.MESSAGE_FINDER, Endpoint.PROCESSING_QUEUE
USER = {"user_name": "svc", "password": "hunter2"}


class Flood:
    """Answers with as many bytes as the client takes, up to 100 MiB, and counts them."""

    def __init__(self, *, claimed: bool, status: int = 200) -> None:
        self.claimed = claimed
        self.status = status
        self.requests = 0
        self.written_bytes = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Write until the other side is gone."""
        self.requests += 1
        response = web.StreamResponse(status=self.status, headers={"Content-Type": "application/json"})
        if self.claimed:
            response.content_length = 100 * MIB
        await response.prepare(request)
        try:
            for _ in range(400):
                await response.write(b"[" * (MIB // 4))
                self.written_bytes += MIB // 4
        except ConnectionError:
            pass
        return response


@asynccontextmanager
async def client_of(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]], **keys: object
) -> AsyncIterator[MimecastClient]:
    """Serve with the handler and enter a client with 1 MiB for answers."""
    async with http_server(handle) as port:
        section = {"auth": HMAC, "base_url": f"http://127.0.0.1:{port}", "max_answer": "1MiB", **keys}
        metrics, config = Metrics(CollectorRegistry()), ApiConfig.model_validate(section)
        async with MimecastClient("acme", config, clock=FakeClock(), metrics=metrics, rng=random.Random(1)) as client:
            yield client


@contextmanager
def peak_below(limit_bytes: int) -> Iterator[None]:
    """Check how much memory was held at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit_bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("claimed", [True, False], ids=["length told", "chunked"])
async def test_an_answer_of_100_mb_is_not_read(claimed: bool, status: int) -> None:
    """Reading stops at max_answer, whatever the status, and the same is not asked for again."""
    flood = Flood(claimed=claimed, status=status)
    async with client_of(flood.handle) as client:
        with peak_below(16 * MIB), pytest.raises(TransientError) as caught:
            await client.call(FINDER, {}, ANYTHING)
    assert (FailureReason.TOO_LARGE, 1) == (caught.value.reason, flood.requests)
    assert flood.written_bytes < 20 * MIB


async def test_an_answer_that_unpacks_to_100_mb_is_not_unpacked() -> None:
    """max_answer counts what comes out of the compression."""
    bomb = gzip.compress(b" " * (100 * MIB), compresslevel=1)

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with client_of(handle) as client:
        with peak_below(16 * MIB), pytest.raises(TransientError) as caught:
            await client.call(FINDER, {}, ANYTHING)
    assert caught.value.reason in {FailureReason.TOO_LARGE, FailureReason.BAD_RESPONSE}


async def test_an_answer_that_drips_ends_with_the_time_out() -> None:
    """A byte now and then does not hold a poll longer than request_timeout, times the attempts."""
    requests = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal requests
        requests += 1
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" ")
                await asyncio.sleep(0)
        except ConnectionError:
            return response

    began = time.perf_counter()
    async with client_of(handle, request_timeout="100ms", max_answer="1TiB") as client:
        with pytest.raises(TransientError) as caught:
            await client.call(FINDER, {}, ANYTHING)
    assert (FailureReason.TIMEOUT, 2) == (caught.value.reason, requests)
    assert time.perf_counter() - began < 1.9


DEEP = 300_000
NESTED = {
    "lists": b"[" * DEEP,
    "closed lists": b"[" * DEEP + b"]" * DEEP,
    "objects": b'{"a":' * DEEP,
    "data": b'{"meta":{"status":200},"data":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "meta": b'{"meta":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b',"data":[]}',
    "fail": b'{"meta":{"status":200},"data":[],"fail":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "pagination": b'{"meta":{"status":200,"pagination":' + b"[" * DEEP + b"]" * DEEP + b'},"data":[]}',
    "unknown key": b'{"x":' + b"[" * DEEP + b"]" * DEEP + b',"data":[{}],"meta":{"status":200}}',
}


@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED)
async def test_deep_nesting_is_a_broken_answer(body: bytes, status: int) -> None:
    """However deep, wherever and with whatever status: the attempts of one call, little time, no crash."""
    began = time.perf_counter()
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(status, body)] * 4
        with pytest.raises(McwatchError) as caught:
            await client.call(FINDER, {}, ANYTHING)
        assert 4 == len(api.asked)
        await client.call(FINDER, {}, ANYTHING)
    assert isinstance(caught.value, TransientError if status != 401 else AuthError)
    assert time.perf_counter() - began < 1.5


@pytest.mark.parametrize("endpoint", ["token", "login"])
@pytest.mark.parametrize(
    "body", [NESTED["data"], NESTED["lists"], b"<html>hello</html>", b'{"data":[7]}', b"\xff" * 99]
)
async def test_broken_answers_to_token_and_login(endpoint: str, body: bytes) -> None:
    """What gives credentials may answer rubbish too: an error of ours, and nothing of it is shown."""
    async with scripted(OAUTH2 if endpoint == "token" else {**HMAC, **USER}) as (api, client):
        api.token_replies = [Reply(200, body)] * 4
        if endpoint == "login":
            api.replies = [Reply(418, b""), Reply(200, body), Reply(418, b"")]
        with pytest.raises(McwatchError) as caught:
            await client.call(FINDER, {}, ANYTHING)
        assert len(api.asked) <= 4
    assert "hello" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><html>sign in</html>", b"", b"   ", b"OK", b"{}", b"[]", b"null"])
async def test_what_is_no_answer_costs_one_call(body: bytes) -> None:
    """HTML and the like with 200 are tried four times, are told as what stands in between, and then are over."""
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(200, body)] * 4
        with pytest.raises(TransientError) as caught:
            await client.call(FINDER, {}, ANYTHING)
        assert (FailureReason.BAD_RESPONSE, 4) == (caught.value.reason, len(api.asked))
        assert "sign in" not in str(caught.value)
        await client.call(FINDER, {}, ANYTHING)
    assert 1 == api.count("message_finder", "ok")


ODD: tuple[object, ...] = (
    None, True, 0, -1, 7, 10**30, 1.5, 1e308, "", "x", "7", "\ud800", "\x00", [], {}, [[]], [None], {"": None},
    [{"errors": 7}], {"errors": [[]]}, {"status": "200"}, {"status": []}, {"status": 200, "pagination": 7},
    {"status": 200, "pagination": {"next": {}, "totalCount": "many", "pageSize": -1}}, [{"code": {}, "message": []}],
)  # fmt: skip
HEADERS = ("", "nonsense", "-1", "nan", "inf", "1e400", "9" * 4500, "0", "1", "\t", "1767605430")


async def test_wrong_types_everywhere() -> None:
    """Whatever stands in meta, data, fail and the rate headers, a call returns an answer or raises an error of ours."""
    rng, answered, failed = random.Random(7), 0, 0
    async with scripted(HMAC, max_requests_per_minute=100_000) as (api, client):
        for _ in range(120):
            body = {key: rng.choice(ODD) for key in ("meta", "data", "fail", "error") if rng.random() < 0.7}
            headers = {
                name: rng.choice(HEADERS)
                for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After")
                if rng.random() < 0.3
            }
            status = rng.choice((200, 200, 200, 201, 204, 299, 304, 400, 401, 403, 418, 429, 500, 503))
            api.replies = [Reply(status, json.dumps(body).encode(), headers)]
            try:
                await client.call(rng.choice((FINDER, QUEUE)), {}, ANYTHING)
                answered += 1
            except McwatchError:
                failed += 1
    assert min(answered, failed) > 15
