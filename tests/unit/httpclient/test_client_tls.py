"""TLS on real sockets: whom the client trusts, and what it says when it does not."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from mcwatch.domain.errors import FailureReason, McwatchError, MisconfiguredError
from mcwatch.httpclient.client import ClientOptions, HttpClient
from mcwatch.httpclient.tls_contexts import LiveContext
from mcwatch.tls import TlsOptions
from tests.unit.httpclient.servers import http_server, raw_server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority nobody trusts by default."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Its certificate in a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


async def ok(_request: web.Request) -> web.Response:
    """Answer."""
    return web.Response(text="ok")


@asynccontextmanager
async def tls_server(authority: trustme.CA, name: str, *, client_certs: bool = False) -> AsyncIterator[int]:
    """Serve with a certificate for ``name``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    if client_certs:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    async with http_server(ok, tls=context) as port:
        yield port


async def answer(port: int, tls: TlsOptions) -> bytes:
    """Ask the server."""
    async with HttpClient(ClientOptions(tls=tls)) as client:
        return (await client.request("GET", f"https://127.0.0.1:{port}/")).body


async def failure(port: int, tls: TlsOptions) -> McwatchError:
    """Return the error of asking the server."""
    with pytest.raises(McwatchError) as caught:
        await answer(port, tls)
    return caught.value


async def test_ca_file_is_trusted(authority: trustme.CA, ca_file: Path) -> None:
    """A certificate of the authority in ca_file is accepted."""
    async with tls_server(authority, "127.0.0.1") as port:
        assert b"ok" == await answer(port, TlsOptions(ca_file=ca_file))


async def test_unknown_authority(authority: trustme.CA) -> None:
    """A certificate of nobody known is a TLS misconfiguration whose remedy names ca_file and verify."""
    async with tls_server(authority, "127.0.0.1") as port:
        error = await failure(port, TlsOptions())
    assert (MisconfiguredError, FailureReason.TLS) == (type(error), error.reason)
    assert f"the certificate of 127.0.0.1:{port} is not accepted" in str(error)
    assert "ca_file" in error.remedy
    assert "verify" in error.remedy


async def test_wrong_name(authority: trustme.CA, ca_file: Path) -> None:
    """A certificate for another name is a TLS misconfiguration that says so."""
    async with tls_server(authority, "other.example") as port:
        error = await failure(port, TlsOptions(ca_file=ca_file))
    assert (MisconfiguredError, FailureReason.TLS) == (type(error), error.reason)
    assert "127.0.0.1" in str(error)


async def test_verify_off_accepts_anybody(authority: trustme.CA) -> None:
    """With verify off neither authority nor name counts."""
    async with tls_server(authority, "other.example") as port:
        assert b"ok" == await answer(port, TlsOptions(verify=False))


async def test_client_certificate(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """A server that asks for a client certificate gets it."""
    identity = authority.issue_cert("client.example", key_type=trustme.KeyType.ECDSA)
    pem = tmp_path / "client.pem"
    identity.private_key_and_cert_chain_pem.write_to_path(pem)
    async with tls_server(authority, "127.0.0.1", client_certs=True) as port:
        assert b"ok" == await answer(port, TlsOptions(ca_file=ca_file, cert_file=pem))


async def test_missing_client_certificate(authority: trustme.CA, ca_file: Path) -> None:
    """A server that refuses us for want of one is a TLS misconfiguration whose remedy names cert_file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    # With TLS 1.3 the refusal comes after the handshake and may be lost in a reset.
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def shake_hands(listener: socket.socket) -> None:
        """Serve one connection as OpenSSL's servers do; asyncio's own hang up without an alert."""
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(shake_hands, listener))
            error = await failure(listener.getsockname()[1], TlsOptions(ca_file=ca_file))
    assert (MisconfiguredError, FailureReason.TLS) == (type(error), error.reason)
    assert "cert_file" in error.remedy


async def test_https_to_a_plain_port() -> None:
    """Speaking TLS to a plain HTTP port is named as that."""
    async with http_server(ok) as port:
        error = await failure(port, TlsOptions())
    assert (MisconfiguredError, FailureReason.TLS) == (type(error), error.reason)
    assert f"127.0.0.1:{port} does not speak TLS" == str(error)


async def test_connection_closed_in_the_handshake_is_transient() -> None:
    """A server that hangs up during the handshake may be restarting: that is no misconfiguration."""
    async with raw_server(reset=True) as port:
        error = await failure(port, TlsOptions())
    assert FailureReason.CONNECTION == error.reason


async def test_missing_ca_file_is_found_on_entering(tmp_path: Path) -> None:
    """A CA file that is not there is an error before the first request."""
    with pytest.raises(MisconfiguredError, match=r"nowhere\.pem"):
        async with HttpClient(ClientOptions(tls=TlsOptions(ca_file=tmp_path / "nowhere.pem"))):
            pass


def _exchange(path: Path, text: bytes) -> None:
    path.unlink()
    path.write_bytes(text)


def test_contexts_are_shared_until_a_file_changes(ca_file: Path) -> None:
    """Equal options share one context; a changed CA file gives a new one, to clients at work too."""
    at_work = LiveContext(TlsOptions(ca_file=ca_file))
    first = at_work.get()
    assert first is at_work.get()
    assert first is LiveContext(TlsOptions(ca_file=ca_file)).get()
    _exchange(ca_file, trustme.CA(key_type=trustme.KeyType.ECDSA).cert_pem.bytes())
    assert first is not at_work.get()
    assert at_work.get() is LiveContext(TlsOptions(ca_file=ca_file)).get()


def test_files_that_become_unusable_leave_the_old_context_at_work(ca_file: Path) -> None:
    """A file half written, or gone for a moment, breaks nothing that works, and the trouble is known."""
    text = ca_file.read_bytes()
    context = LiveContext(TlsOptions(ca_file=ca_file))
    first = context.get()
    for half in (b"half", None):
        ca_file.unlink()
        if half:
            ca_file.write_bytes(half)
        assert first is context.get()
        assert context.trouble is not None
        assert str(ca_file) in str(context.trouble)
    ca_file.write_bytes(text)
    assert first is not context.get()
    assert context.trouble is None


async def test_a_refusal_is_put_down_to_files_that_became_unusable(
    authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    """When the old context does not do any more, the error names the file that keeps the new one from being made."""
    other = tmp_path / "other.pem"
    trustme.CA(key_type=trustme.KeyType.ECDSA).cert_pem.write_to_path(other)
    async with (
        tls_server(authority, "127.0.0.1") as port,
        HttpClient(ClientOptions(tls=TlsOptions(ca_file=other))) as client,
    ):
        url = f"https://127.0.0.1:{port}/"
        with pytest.raises(MisconfiguredError, match="not accepted"):
            await client.request("GET", url)
        _exchange(other, b"half")
        with pytest.raises(MisconfiguredError, match=r"other\.pem"):
            await client.request("GET", url)
        _exchange(other, ca_file.read_bytes())
        assert b"ok" == (await client.request("GET", url)).body
