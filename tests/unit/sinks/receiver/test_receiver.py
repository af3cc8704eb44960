"""One receiver behind one URL: secrets, connections, proxies, certificates."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from mcwatch.domain.errors import FailureReason, MisconfiguredError, TransientError
from mcwatch.option_types import Secret
from mcwatch.sinks.receiver import Receiver, ReceiverOptions, Target, revealed
from mcwatch.tls import TlsOptions
from tests.unit.httpclient.servers import http_server
from tests.unit.sinks.receiver.servers import receiver_of, servers


async def test_connections_are_kept() -> None:
    """One after the other, requests use one connection, also after a failure."""
    async with servers(1) as (server,):
        receiver = receiver_of(server)
        for status in (200, 500, 429, 200):
            server.status = status
            assert status == (await receiver.send("POST", body=b"x")).response.status
        await receiver.close()
    assert 1 == len(server.connections)


async def test_as_many_at_once_as_promised_and_questions_beside() -> None:
    """Eight deliveries that hang leave room for a question, and close ends them as broken connections."""
    under_way = 0
    full = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal under_way
        if request.method == "POST":
            under_way += 1
            if under_way == Receiver.most_at_once:
                full.set()
            await asyncio.Event().wait()
        return web.Response()

    async def hang(receiver: Receiver) -> None:
        with pytest.raises(TransientError):
            await receiver.send("POST")

    async with http_server(answer) as port, asyncio.TaskGroup() as group:
        receiver = Receiver(ReceiverOptions(targets=[Target(f"http://127.0.0.1:{port}")]))
        for _ in range(Receiver.most_at_once):
            group.create_task(hang(receiver))
        await full.wait()
        assert 200 == (await receiver.send("GET")).response.status
        await receiver.close()


async def test_own_headers_stand_over_those_of_a_request(tmp_path: Path) -> None:
    """Configured headers win whatever their case, and are read anew for each request."""
    token = tmp_path / "token"
    async with servers(1) as (server,):
        receiver = receiver_of(server, headers=[("x-key", Secret(path=token).reveal)])
        for text in ("one\n", "second\n"):
            token.write_text(text)
            await receiver.send("POST", headers={"X-Key": "default", "X-Other": "o"})
        await receiver.close()
    assert ["one", "second"] == [request.headers["X-Key"] for request in server.requests]
    assert "o" == server.requests[0].headers["X-Other"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_secret_changed_meanwhile_is_tried_at_once(status: int) -> None:
    """After a refusal the secrets are read again; the request is repeated once if they differ, and only then."""
    secrets = iter(["old", "new", "new", "new"])

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["X-Key"])
        return web.Response(status=200 if seen[-1] == "new" else status)

    seen: list[str] = []
    async with http_server(answer) as port:
        options = ReceiverOptions(
            targets=[Target(f"http://127.0.0.1:{port}")], headers=[("X-Key", lambda: next(secrets))]
        )
        receiver = Receiver(options)
        assert 200 == (await receiver.send("POST")).response.status
        assert 200 == (await receiver.send("POST")).response.status
        await receiver.close()
    assert ["old", "new", "new"] == seen


async def test_an_unchanged_secret_is_refused_once() -> None:
    """The same credential is not sent twice for one refusal."""
    async with servers(1) as (server,):
        server.status = 401
        receiver = receiver_of(server, headers=[("X-Key", lambda: "old")])
        assert 401 == (await receiver.send("POST")).response.status
        await receiver.close()
    assert 1 == len(server.requests)


@pytest.mark.parametrize(("text", "words"), [("two\nlines", "line break"), (" \n", "empty"), (None, "cannot be read")])
async def test_a_secret_that_cannot_be_sent_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    """Nothing is sent, the header or the file is named, and not its contents."""
    token = tmp_path / "token"
    if text is not None:
        token.write_text(text)
    async with servers(1) as (server,):
        receiver = receiver_of(server, headers=[("X-Key", Secret(path=token).reveal)])
        with pytest.raises(MisconfiguredError, match=words) as failure:
            await receiver.send("POST")
        await receiver.close()
    assert [] == server.requests
    assert "lines" not in str(failure.value)


def test_revealed_is_the_secret() -> None:
    """What can be read and is not empty is handed on as it is."""
    assert " a " == revealed(lambda: " a ", "it")


async def test_a_proxy_changed_on_disk_counts_at_once(tmp_path: Path) -> None:
    """The proxy's URL is a secret like any other: the next request goes the new way."""
    file = tmp_path / "proxy"
    async with servers(2) as (first, second):
        receiver = Receiver(ReceiverOptions(targets=[Target("http://hook.example/")], proxy=Secret(path=file)))
        for server in (first, second, second):
            file.write_text(server.url)
            assert 200 == (await receiver.send("POST")).response.status
        await receiver.close()
    assert [1, 2] == [len(first.requests), len(second.requests)]


def _write_key(authority: trustme.CA, key: Path) -> bytes:
    """Write a new private key and return its certificate."""
    identity = authority.issue_cert("client.example", key_type=trustme.KeyType.ECDSA)
    identity.private_key_pem.write_to_path(key)
    return b"".join(part.bytes() for part in identity.cert_chain_pems)


async def test_certificates_exchanged_on_disk_count_at_once(tmp_path: Path) -> None:
    """The next request shows the new certificate; while key and certificate differ, the old one stays at work."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    ca, cert, key = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.cert_pem.write_to_path(ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    shown: list[object] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport
        shown.append(request.transport.get_extra_info("peercert")["serialNumber"])
        return web.Response()

    cert.write_bytes(_write_key(authority, key))
    async with http_server(answer, tls=context) as port:
        tls = TlsOptions(ca_file=ca, cert_file=cert, key_file=key)
        receiver = Receiver(ReceiverOptions(targets=[Target(f"https://127.0.0.1:{port}")], tls=tls))
        await receiver.send("POST")
        certificate = _write_key(authority, key)  # the new key is there, its certificate is not
        await receiver.send("POST")
        cert.write_bytes(certificate)
        await receiver.send("POST")
        await receiver.close()
    assert shown[0] == shown[1] != shown[2]


async def test_files_that_are_missing_fail_the_delivery_not_the_start(tmp_path: Path) -> None:
    """A missing CA file is named at the first request, and found once it is there."""
    ca = tmp_path / "ca.pem"
    receiver = Receiver(ReceiverOptions(targets=[Target("https://127.0.0.1:9")], tls=TlsOptions(ca_file=ca)))
    with pytest.raises(MisconfiguredError, match=r"ca\.pem") as failure:
        await receiver.send("POST")
    assert FailureReason.TLS == failure.value.reason
    trustme.CA(key_type=trustme.KeyType.ECDSA).cert_pem.write_to_path(ca)
    with pytest.raises(TransientError):  # nobody listens
        await receiver.send("POST")
    await receiver.close()


async def test_close_is_harmless_and_not_the_end() -> None:
    """Unused, twice, or before the next request: all the same."""
    async with servers(1) as (server,):
        receiver = receiver_of(server)
        await receiver.close()
        await receiver.send("POST")
        await receiver.close()
        await receiver.close()
        assert 200 == (await receiver.send("POST")).response.status
        await receiver.close()
    assert 2 == len(server.connections)


async def test_answers_tell_when_they_came() -> None:
    """For what they say of times without telling their own."""
    now = datetime(2026, 1, 5, tzinfo=UTC)
    async with servers(1) as (server,):
        receiver = receiver_of(server, now=lambda: now)
        assert now == (await receiver.send("POST")).response.received_at
        await receiver.close()
