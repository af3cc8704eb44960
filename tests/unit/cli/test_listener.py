"""Asking the HTTP listener whether its daemon lives."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from mcwatch.cli.listener import ask_alive
from mcwatch.domain.errors import FailureReason, PermanentError, TransientError
from mcwatch.httpserver.access import Credentials
from mcwatch.httpserver.certificate import CertificateFiles
from mcwatch.httpserver.server import Listener
from mcwatch.option_types import Secret
from tests.fakes.http_server import HttpServer
from tests.unit.httpserver.answering import answering

_SECS = 5.0


async def _ask(listen: str, *, speaks_tls: bool = False, timeout_secs: float = _SECS) -> None:
    await asyncio.to_thread(ask_alive, listen, speaks_tls=speaks_tls, timeout_secs=timeout_secs)


def _certificate(place: Path) -> CertificateFiles:
    leaf = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("mcwatch.example", key_type=trustme.KeyType.ECDSA)
    files = CertificateFiles(place / "cert.pem", place / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(str(files.cert_file))
    leaf.private_key_pem.write_to_path(str(files.key_file))
    return files


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("assumed", [False, True])
async def test_a_living_daemon(tmp_path: Path, *, tls: bool, assumed: bool) -> None:
    """Without its password, whatever its certificate names, and whether or not TLS was expected."""
    files = _certificate(tmp_path) if tls else None
    listener = Listener("127.0.0.1:0", files, Credentials("ops", Secret("secret")))
    async with answering(listener) as server:
        await _ask(f"127.0.0.1:{server.port}", speaks_tls=assumed)


@pytest.mark.parametrize("listened", ["0.0.0.0", ""])
async def test_one_that_listens_everywhere_is_asked_on_this_machine(listened: str) -> None:
    """As the configuration may write it."""
    async with answering(Listener("127.0.0.1:0")) as server:
        await _ask(f"{listened}:{server.port}")


async def test_one_that_listens_on_ipv6() -> None:
    """In brackets, on one address or on every one."""
    async with answering(Listener("[::1]:0")) as server:
        await _ask(f"[::1]:{server.port}")
        await _ask(f"[::]:{server.port}")


@pytest.fixture
def port() -> Iterator[int]:
    """Give a port on which nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_nobody_listens(port: int) -> None:
    """It is said where, and what to look at."""
    with pytest.raises(PermanentError, match=f"no daemon answers at http.listen 127.0.0.1:{port}") as caught:
        ask_alive(f"127.0.0.1:{port}", speaks_tls=False, timeout_secs=_SECS)
    assert FailureReason.CONNECTION is caught.value.reason


def test_one_that_does_not_answer() -> None:
    """A stopped process takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TransientError, match="did not answer"):
        ask_alive(f"127.0.0.1:{silent.getsockname()[1]}", speaks_tls=False, timeout_secs=0.05)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"])
def test_a_port_that_nobody_knows(listen: str) -> None:
    """A free port is in the log alone."""
    with pytest.raises(PermanentError, match="nobody knows the port"):
        ask_alive(listen, speaks_tls=False, timeout_secs=_SECS)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, '{"alive": false, "reason": "a loop hangs"}', "is not well: a loop hangs"),
        (404, "<h1>Not found</h1>", r"\(404\) is no mcwatch"),
        (200, '{"ok": true}', "is no mcwatch"),
    ],
)
async def test_an_answer_that_is_none_of_a_living_daemon(status: int, body: str, words: str) -> None:
    """A sick one says why, and another program is no daemon."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body, status=status)

    async with HttpServer(answer) as server:
        with pytest.raises(PermanentError, match=words):
            await _ask(f"127.0.0.1:{server.port}")
