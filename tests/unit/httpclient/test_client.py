"""The HTTP client against real sockets."""

import asyncio
import contextlib
import gzip
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from mcwatch import __version__
from mcwatch.domain.errors import FailureReason, McwatchError, MisconfiguredError, TransientError
from mcwatch.httpclient.client import ClientOptions, HttpClient, Response
from tests.fakes.http_server import free_port
from tests.unit.httpclient.servers import http_server, raw_server


async def echo(request: web.Request) -> web.Response:
    """Answer with what came."""
    return web.Response(
        body=await request.read(), headers={"X-Method": request.method, "X-Agent": request.headers["User-Agent"]}
    )


async def fetch(url: str, options: ClientOptions | None = None, body: bytes | None = None) -> Response:
    """Send one request through a client of its own."""
    async with HttpClient(options or ClientOptions()) as client:
        return await client.request("POST", url, body=body)


async def test_request_and_answer_pass_whole() -> None:
    """Method, body and headers arrive, and the answer's headers can be read in any case."""
    async with http_server(echo) as port:
        response = await fetch(f"http://127.0.0.1:{port}/a", body=b"hello")
    assert (200, b"hello") == (response.status, response.body)
    assert ("POST", f"mcwatch/{__version__}") == (response.headers["x-method"], response.headers["X-AGENT"])


async def test_large_bodies_pass_both_ways() -> None:
    """Several MiB go out and come back unchanged, without a warning of the library."""
    body = bytes(range(256)) * 4096 * 5
    async with http_server(echo) as port:
        response = await fetch(f"http://127.0.0.1:{port}/a", body=body)
    assert body == response.body


async def test_connections_are_kept_and_errors_leave_the_client_usable() -> None:
    """Two requests in a row use one connection, also after a status of failure."""
    peers: list[object] = []

    async def answer(request: web.Request) -> web.Response:
        peers.append(request.transport.get_extra_info("peername") if request.transport else None)
        return web.Response(status=500)

    async with http_server(answer) as port, HttpClient(ClientOptions()) as client:
        for _ in range(2):
            assert 500 == (await client.request("POST", f"http://127.0.0.1:{port}/")).status
    assert 1 == len(set(peers))


async def test_redirects_are_not_followed() -> None:
    """A redirect is an answer like any other: credentials never travel on."""
    paths: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with http_server(redirect) as port:
        response = await fetch(f"http://127.0.0.1:{port}/start")
    assert (307, ["/start"]) == (response.status, paths)


async def test_cookies_are_not_kept() -> None:
    """A cookie of the server does not come back."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie", ""))
        return web.Response(headers={"Set-Cookie": "sticky=a"})

    async with http_server(answer) as port, HttpClient(ClientOptions()) as client:
        for _ in range(2):
            await client.request("GET", f"http://127.0.0.1:{port}/")
    assert ["", ""] == seen


class _HangingUp:
    """A server that answers so many requests of a connection and drops it at the next, its body read."""

    def __init__(self, *, answers: int, connections: int) -> None:
        self._answers = answers
        self._connections = connections
        self.got: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections -= 1
        last = self._connections <= 0
        count = 0
        with contextlib.suppress(asyncio.IncompleteReadError):
            while last or count <= self._answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.got.append(await reader.readexactly(length))
                count += 1
                if last or count <= self._answers:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.transport.abort()


@contextlib.asynccontextmanager
async def _hanging_up(*, answers: int, connections: int) -> AsyncIterator[tuple[_HangingUp, str]]:
    hanging_up = _HangingUp(answers=answers, connections=connections)
    server = await asyncio.start_server(hanging_up.serve, "127.0.0.1", 0)
    try:
        yield hanging_up, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


@pytest.mark.parametrize("size", [10, 3 * 2**20], ids=["small", "streamed"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_kept_connection_that_was_closed_is_no_failure_on_demand(method: str, size: int) -> None:
    """With ``repeats_stale`` the request goes out again, whole, over a new connection."""
    body = bytes(range(250)) * (size // 250 + 1)
    async with (
        _hanging_up(answers=1, connections=2) as (server, url),
        HttpClient(ClientOptions(repeats_stale=True)) as client,
    ):
        for _ in range(2):
            assert 200 == (await client.request(method, url, body=body)).status
    assert [body] * 3 == server.got


async def test_a_kept_connection_that_was_closed_is_a_failure_by_default() -> None:
    """A POST that may have been taken is not sent again, unless whoever sends it says that it may come twice."""
    async with _hanging_up(answers=1, connections=2) as (server, url), HttpClient(ClientOptions()) as client:
        await client.request("POST", url, body=b"x")
        with pytest.raises(TransientError):
            await client.request("POST", url, body=b"x")
    assert 2 == len(server.got)


async def test_a_new_connection_that_breaks_is_a_failure() -> None:
    """A server that drops every request gets it once per call, not in a loop."""
    async with (
        _hanging_up(answers=0, connections=9) as (server, url),
        HttpClient(ClientOptions(repeats_stale=True)) as client,
    ):
        for _ in range(2):
            with pytest.raises(TransientError):
                await client.request("POST", url, body=b"x")
    assert 2 == len(server.got)


async def test_a_time_out_on_a_kept_connection_is_a_time_out() -> None:
    """A server that hangs is waited for once."""
    count = 0

    async def answer(_request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        if count > 1:
            await asyncio.Event().wait()
        return web.Response()

    options = ClientOptions(repeats_stale=True, timeout_secs=0.1)
    async with http_server(answer) as port, HttpClient(options) as client:
        await client.request("POST", f"http://127.0.0.1:{port}/")
        with pytest.raises(TransientError) as caught:
            await client.request("POST", f"http://127.0.0.1:{port}/")
    assert (FailureReason.TIMEOUT, 2) == (caught.value.reason, count)


async def test_unix_socket(tmp_path: Path) -> None:
    """A request over a Unix socket reaches the server behind it, whatever host the URL names."""
    path = tmp_path / "s"
    async with http_server(echo, unix_socket=path):
        response = await fetch("http://mcwatch/status", ClientOptions(unix_socket=path), b"x")
    assert b"x" == response.body


async def test_missing_unix_socket_is_a_connection_error(tmp_path: Path) -> None:
    """Without a daemon behind the socket the error names the socket."""
    with pytest.raises(TransientError, match="s cannot be reached") as caught:
        await fetch("http://mcwatch/status", ClientOptions(unix_socket=tmp_path / "s"))
    assert FailureReason.CONNECTION == caught.value.reason


async def test_environment_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy named in the environment is not used."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with http_server(echo) as port:
        assert 200 == (await fetch(f"http://127.0.0.1:{port}/")).status


async def failure(url: str, options: ClientOptions | None = None) -> McwatchError:
    """Return the error a request ends in."""
    with pytest.raises(McwatchError) as caught:
        await fetch(url, options)
    return caught.value


async def test_refused_connection() -> None:
    """A closed port is a connection error that names host and port, not path or query."""
    port = free_port()
    error = await failure(f"http://user:secret@127.0.0.1:{port}/path?token=secret")
    assert (TransientError, FailureReason.CONNECTION) == (type(error), error.reason)
    assert f"127.0.0.1:{port} cannot be reached: Connection refused" == str(error)


async def test_unknown_host() -> None:
    """A name that cannot be resolved is a connection error that says so."""
    error = await failure("http://no-such-host.example/path")
    assert (FailureReason.CONNECTION, "the host name of no-such-host.example:80 cannot be resolved") == (
        error.reason,
        str(error),
    )


async def test_silence_is_a_timeout() -> None:
    """An answer that never comes ends in a time-out."""
    async with raw_server(mute=True) as port:
        error = await failure(f"http://127.0.0.1:{port}/", ClientOptions(timeout_secs=0.1))
    assert (TransientError, FailureReason.TIMEOUT) == (type(error), error.reason)


async def test_stall_inside_the_body_is_a_timeout() -> None:
    """An answer that stops half way ends in a time-out too."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    async with raw_server(head, mute=True) as port:
        error = await failure(f"http://127.0.0.1:{port}/", ClientOptions(timeout_secs=0.1))
    assert FailureReason.TIMEOUT == error.reason


@pytest.mark.parametrize(
    ("parts", "reset", "reason"),
    [
        ((), False, FailureReason.CONNECTION),
        ((), True, FailureReason.CONNECTION),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",), False, FailureReason.CONNECTION),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",), True, FailureReason.CONNECTION),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",), False, FailureReason.CONNECTION),
        ((b"SSH-2.0-OpenSSH_9.2\r\n\r\n",), False, FailureReason.BAD_RESPONSE),
        (
            (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",),
            False,
            FailureReason.BAD_RESPONSE,
        ),
    ],
    ids=["closed", "reset", "cut", "reset-in-body", "cut-chunk", "not-http", "bad-gzip"],
)
async def test_broken_answers(parts: tuple[bytes, ...], reset: bool, reason: FailureReason) -> None:
    """Closed, reset, cut and garbled answers are transient errors, each with its reason and the library's as cause."""
    async with raw_server(*parts, reset=reset) as port:
        error = await failure(f"http://127.0.0.1:{port}/")
    assert (TransientError, reason) == (type(error), error.reason)
    assert error.__cause__ is not None


@pytest.mark.parametrize("chunked", [False, True])
async def test_too_large_answer_is_refused(chunked: bool) -> None:
    """An answer over the limit is refused, announced or not, and the client goes on working."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        size = 10 if request.path == "/small" else 300_000
        if not chunked:
            response.content_length = size
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await response.write(b"x" * size)
        return response

    async with http_server(answer) as port, HttpClient(ClientOptions(max_body_bytes=100_000)) as client:
        with pytest.raises(TransientError, match="larger than 100000 bytes") as caught:
            await client.request("GET", f"http://127.0.0.1:{port}/")
        assert 10 == len((await client.request("GET", f"http://127.0.0.1:{port}/small")).body)
    assert FailureReason.TOO_LARGE == caught.value.reason


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", b"x" * 300_000), b"x" * 100),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",), b"half"),
        ((b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",), b""),
    ],
)
async def test_a_cut_body_leaves_the_status(parts: tuple[bytes, ...], expected: bytes) -> None:
    """With ``cut_body`` an answer too long, cut off or garbled has its status and what of it could be read."""
    async with raw_server(*parts) as port:
        response = await fetch(f"http://127.0.0.1:{port}/", ClientOptions(max_body_bytes=100, cut_body=True))
    assert (200, expected) == (response.status, response.body)


async def test_a_body_that_never_ends_leaves_the_status() -> None:
    """With ``cut_body`` a receiver that answers and then stalls is waited for no longer than the time-out."""
    async with raw_server(b"HTTP/1.1 204 OK\r\n\r\n", mute=True) as port:
        assert 204 == (await fetch(f"http://127.0.0.1:{port}/", ClientOptions(cut_body=True))).status
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwell", mute=True) as port:
        options = ClientOptions(timeout_secs=0.2, cut_body=True)
        response = await fetch(f"http://127.0.0.1:{port}/", options)
    assert (200, b"well") == (response.status, response.body)


async def test_compressed_bomb_costs_bounded_memory() -> None:
    """The limit counts unpacked bytes, and reading stops there: 100 MB of zeros in 100 kB cost a few MB."""
    bomb = gzip.compress(bytes(100 * 2**20), 6)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with http_server(answer) as port, HttpClient(ClientOptions(max_body_bytes=2**20)) as client:
        tracemalloc.start()
        try:
            with pytest.raises(TransientError) as caught:
                await client.request("GET", f"http://127.0.0.1:{port}/")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert FailureReason.TOO_LARGE == caught.value.reason
    assert peak < 8 * 2**20


async def test_compressed_answers_are_unpacked() -> None:
    """An answer sent with gzip arrives as it was before."""

    async def answer(request: web.Request) -> web.Response:
        assert "gzip" in request.headers["Accept-Encoding"]
        return web.Response(body=gzip.compress(b"plain"), headers={"Content-Encoding": "gzip"})

    async with http_server(answer) as port:
        assert b"plain" == (await fetch(f"http://127.0.0.1:{port}/")).body


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host/x", "http://", "http://h:notaport/", "https:///path"])
async def test_impossible_urls(url: str) -> None:
    """A URL that cannot be used is a misconfiguration."""
    assert MisconfiguredError is type(await failure(url))


async def test_line_break_in_a_header_is_refused_without_quoting_it() -> None:
    """A secret with a line break inside cannot be sent, and the error does not show it."""
    async with http_server(echo) as port, HttpClient(ClientOptions()) as client:
        with pytest.raises(MisconfiguredError) as caught:
            await client.request("GET", f"http://127.0.0.1:{port}/", headers={"Authorization": "se\r\ncret"})
    assert "cret" not in str(caught.value)


async def test_cancellation_leaves_the_client_usable() -> None:
    """A request that is given up does not spoil the next."""
    arrived, seen = asyncio.Event(), []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        if request.path == "/slow":
            arrived.set()
            await asyncio.Event().wait()
        return web.Response()

    async with http_server(answer) as port, HttpClient(ClientOptions(max_connections=1)) as client:
        slow = asyncio.create_task(client.request("GET", f"http://127.0.0.1:{port}/slow"))
        await arrived.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert 200 == (await client.request("GET", f"http://127.0.0.1:{port}/next")).status
    assert ["/slow", "/next"] == seen


async def test_use_outside_the_context_is_a_programming_error() -> None:
    """A client that was not entered, or was left, refuses to work."""
    client = HttpClient(ClientOptions())
    with pytest.raises(RuntimeError):
        await client.request("GET", "http://127.0.0.1/")


def test_options_do_not_show_the_proxy_password() -> None:
    """The repr of the options is safe to log."""
    assert "hunter2" not in repr(ClientOptions(proxy="http://u:hunter2@127.0.0.1:1"))
