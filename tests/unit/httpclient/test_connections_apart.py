"""Shared connections keep apart whoever trusts others, or goes through a proxy under another name."""

import ssl
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from mcwatch.domain.errors import FailureReason, MisconfiguredError
from mcwatch.httpclient.client import ClientOptions, HttpClient
from mcwatch.httpclient.connections import SharedConnections
from mcwatch.tls import TlsOptions
from tests.unit.httpclient.servers import http_server
from tests.unit.httpclient.test_client_proxy import connect_proxy


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority nobody trusts by default."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    """What a server with one of its certificates speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _ask(shared: SharedConnections, port: int, options: ClientOptions) -> bytes:
    async with HttpClient(options, shared) as client:
        return (await client.request("GET", f"https://127.0.0.1:{port}/")).body


async def test_who_verifies_never_uses_a_connection_of_who_does_not(context: ssl.SSLContext) -> None:
    """A connection that was opened without looking at the certificate is none for a client that looks."""
    async with http_server(_ok, tls=context) as port, SharedConnections() as shared:
        assert b"ok" == await _ask(shared, port, ClientOptions(tls=TlsOptions(verify=False)))
        with pytest.raises(MisconfiguredError) as caught:
            await _ask(shared, port, ClientOptions())
        assert FailureReason.TLS == caught.value.reason


async def test_proxies_by_user(context: ssl.SSLContext, authority: trustme.CA, tmp_path: Path) -> None:
    """Accounts with the same proxy, user and password share a tunnel; another user gets one of its own."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    heads: list[bytes] = []
    async with connect_proxy(heads) as proxy, http_server(_ok, tls=context) as port, SharedConnections() as shared:
        for user in ("one", "one", "two", "one"):
            options = ClientOptions(tls=TlsOptions(ca_file=ca_file), proxy=f"http://{user}:pass@127.0.0.1:{proxy}")
            assert b"ok" == await _ask(shared, port, options)
    assert 2 == len(heads)
