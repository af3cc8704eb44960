"""Connections that many clients share: few of them, each client within its own share, none mixed up."""

import asyncio
import resource
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.httpclient.client import ClientOptions, HttpClient
from mcwatch.httpclient.connections import SharedConnections
from tests.unit.httpclient.servers import http_server

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Api:
    """Answers with the path; those of ``/slow`` not before they may. Knows which connections there were."""

    def __init__(self) -> None:
        self.peers: set[object] = set()
        self.waiting = 0
        self.is_full = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        if request.path == "/slow":
            self.waiting += 1
            if self.waiting == 2:
                self.is_full.set()
            await self.may_answer.wait()
        return web.Response(text=request.path)


async def test_clients_take_turns_with_one_connection() -> None:
    """A hundred clients that ask one after the other need one connection, and each gets its own answer."""
    api = _Api()
    async with http_server(api.answer) as port, SharedConnections() as shared:
        for number in range(100):
            async with HttpClient(ClientOptions(), shared) as client:
                answer = await client.request("GET", f"http://127.0.0.1:{port}/{number}")
            assert f"/{number}".encode() == answer.body
    assert len(api.peers) == 1


async def test_a_client_that_hangs_keeps_to_its_own_share() -> None:
    """Its further requests wait for its own, within their time-out; other clients are answered at once."""
    api = _Api()
    slow = ClientOptions(max_connections=2, timeout_secs=0.7)
    async with (
        http_server(api.answer) as port,
        SharedConnections() as shared,
        HttpClient(slow, shared) as hanging,
        HttpClient(ClientOptions(), shared) as other,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(_outcome(hanging, f"http://127.0.0.1:{port}/slow")) for _ in range(5)]
        async with asyncio.timeout(1.0):
            await api.is_full.wait()
        for _ in range(20):
            assert b"/fast" == (await other.request("GET", f"http://127.0.0.1:{port}/fast")).body
        assert api.waiting == 2
        assert [FailureReason.TIMEOUT] * 5 == [await task for task in tasks]
        api.may_answer.set()


async def test_leaving_a_client_leaves_the_connections() -> None:
    """What one client leaves open is the next one's; leaving the shared ones closes all."""
    api = _Api()
    async with http_server(api.answer) as port:
        async with SharedConnections() as shared:
            for _ in range(2):
                async with HttpClient(ClientOptions(), shared) as client:
                    await client.request("GET", f"http://127.0.0.1:{port}/")
            connector = shared.connector
            closed = [connector.closed]
        closed.append(connector.closed)
    assert [False, True] == closed
    with pytest.raises(RuntimeError, match="outside"):
        _ = shared.connector


async def test_an_answer_cut_short_never_reaches_another_client() -> None:
    """A connection whose answer was not read to its end is closed, and not used for the next request."""
    api = _Api()

    async def long(request: web.Request) -> web.StreamResponse:
        if request.path == "/long":
            return web.Response(body=b"x" * 100_000)
        return await api.answer(request)

    async with http_server(long) as port, SharedConnections() as shared:
        async with HttpClient(ClientOptions(max_body_bytes=10), shared) as client:
            with pytest.raises(TransientError, match="larger than"):
                await client.request("GET", f"http://127.0.0.1:{port}/long")
        async with HttpClient(ClientOptions(), shared) as client:
            assert b"/next" == (await client.request("GET", f"http://127.0.0.1:{port}/next")).body


@pytest.mark.parametrize(
    ("limits", "raised_to", "expected"),
    [
        ((1024, 4096), 4096, 4096 - 256),
        ((4096, 4096), None, 4096 - 256),
        ((256, 256), None, 64),
        ((1024, 2**20), 2**16, 2**16 - 256),
        ((1024, resource.RLIM_INFINITY), 2**16, 2**16 - 256),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None, 2**16 - 256),
    ],
)
async def test_files_are_left_for_others(
    limits: tuple[int, int], raised_to: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More files are asked for where the system allows more, and connections never take all of them."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _which, wanted: asked.append(wanted))
    async with SharedConnections() as shared:
        assert expected == shared.connector.limit
    assert ([(raised_to, limits[1])] if raised_to else []) == asked


async def _outcome(client: HttpClient, url: str) -> FailureReason | None:
    try:
        await client.request("GET", url)
    except TransientError as error:
        return error.reason
    return None
