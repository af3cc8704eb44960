"""Requests through an HTTP proxy on a real socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, MisconfiguredError, TransientError
from mcwatch.httpclient.client import ClientOptions, HttpClient
from mcwatch.tls import TlsOptions
from tests.fakes.http_server import free_port
from tests.unit.httpclient.servers import http_server, raw_server


async def ok(_request: web.Request) -> web.Response:
    """Answer."""
    return web.Response(text="ok")


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    except ConnectionError:
        pass
    finally:
        target.close()


@asynccontextmanager
async def connect_proxy(heads: list[bytes]) -> AsyncIterator[int]:
    """Run a proxy that tunnels CONNECT requests and keeps their heads."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        host, port = head.split()[1].decode().rsplit(":", 1)
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, far_writer))
            group.create_task(_copy(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def failure(options: ClientOptions, url: str = "https://127.0.0.1:9/x") -> McwatchError:
    """Return the error of one request."""
    with pytest.raises(McwatchError) as caught:
        async with HttpClient(options) as client:
            await client.request("GET", url)
    return caught.value


async def test_https_is_tunnelled_with_the_proxy_credentials(tmp_path: Path) -> None:
    """TLS runs through the tunnel to the real server; the proxy gets user and password and sees no more."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    heads: list[bytes] = []
    async with http_server(ok, tls=context) as port, connect_proxy(heads) as proxy_port:
        options = ClientOptions(proxy=f"http://user:pass@127.0.0.1:{proxy_port}", tls=TlsOptions(ca_file=ca_file))
        async with HttpClient(options) as client:
            response = await client.request("GET", f"https://127.0.0.1:{port}/secret?q=1", headers={"X-Key": "secret"})
    assert b"ok" == response.body
    assert heads[0].startswith(f"CONNECT 127.0.0.1:{port} ".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz" in heads[0]
    assert b"secret" not in heads[0]


async def test_plain_http_is_asked_of_the_proxy() -> None:
    """An http URL goes to the proxy whole."""
    seen: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.Response(text="through")

    async with http_server(proxy) as port, HttpClient(ClientOptions(proxy=f"http://127.0.0.1:{port}")) as client:
        response = await client.request("GET", "http://127.0.0.1:9/x")
    assert (b"through", ["http://127.0.0.1:9/x"]) == (response.body, seen)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (407, AuthError, FailureReason.AUTH),
        (403, MisconfiguredError, FailureReason.MISCONFIGURED),
        (502, TransientError, FailureReason.CONNECTION),
    ],
)
async def test_proxy_refusals(status: int, kind: type[McwatchError], reason: FailureReason) -> None:
    """A proxy that does not connect says why by its status, and no password shows."""
    head = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_server(head) as port:
        error = await failure(ClientOptions(proxy=f"http://user:hunter2@127.0.0.1:{port}"))
    assert (kind, reason) == (type(error), error.reason)
    assert f"the proxy 127.0.0.1:{port} answered {status}" in str(error)
    assert "hunter2" not in str(error) + error.remedy


async def test_proxy_away() -> None:
    """A proxy that is not there is named."""
    port = free_port()
    error = await failure(ClientOptions(proxy=f"http://user:hunter2@127.0.0.1:{port}"))
    assert (FailureReason.CONNECTION, f"the proxy 127.0.0.1:{port} cannot be reached") == (error.reason, str(error))


@pytest.mark.parametrize("proxy", ["hunter2", "socks5://hunter2@127.0.0.1:1", "http://hunter2:x@h:port"])
async def test_unusable_proxy_is_found_on_entering(proxy: str) -> None:
    """A proxy that is no HTTP proxy is a misconfiguration, without its text in the error."""
    error = await failure(ClientOptions(proxy=proxy))
    assert MisconfiguredError is type(error)
    assert "hunter2" not in str(error) + error.remedy + repr(error.__cause__)
