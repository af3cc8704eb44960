"""The name and password of the HTTP listener."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from mcwatch.httpserver.access import Credentials
from mcwatch.httpserver.server import HttpServer, Listener
from mcwatch.option_types import Secret
from tests.unit.httpserver.answering import answering, ask

PASSWORD = "pässword: with a colon"


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    """Give a listener with a password."""
    async with answering(Listener("127.0.0.1:0", credentials=Credentials("ops", Secret(PASSWORD)))) as server:
        yield server


@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/static/page.css", "/nothing-here"])
async def test_the_password_is_needed(server: HttpServer, path: str) -> None:
    """Without it every path but the probes, existing or not, answers with the challenge of RFC 7617."""
    refused = await ask(server, path)
    known = await ask(server, path, Authorization=_basic("ops", PASSWORD))

    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"] == 'Basic realm="mcwatch", charset="UTF-8"'
    assert refused.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert known.status == (404 if path == "/nothing-here" else 200)


async def test_a_wrong_password_is_logged(server: HttpServer) -> None:
    """With the address it came from, not with what was tried; the first request of a browser, without one, is not."""
    with capture_logs() as logs:
        await ask(server, "/")
        await ask(server, "/", Authorization=_basic("ops", "guess"))

    assert [line for line in logs if line["event"] == "http_login_refused"] == [
        {"event": "http_login_refused", "log_level": "warning", "remote": "127.0.0.1"}
    ]


async def test_an_open_page_is_refused_without_a_dialogue(server: HttpServer) -> None:
    """Browsers ask for a password only on a challenge whose scheme they know; the page's script says the rest."""
    refused = await ask(server, "/fragment")

    assert (refused.status, refused.headers["WWW-Authenticate"].split()[0]) == (401, "X-Basic")
    assert (await ask(server, "/fragment", Authorization=_basic("ops", PASSWORD))).status == 200


@pytest.mark.parametrize(
    "header",
    [
        _basic("ops", "wrong"), _basic("root", PASSWORD), _basic("ops", ""), _basic("", ""), "Basic", "Basic %%%",
        "Basic b3Bz", "Bearer " + _basic("ops", PASSWORD)[6:], _basic("ops", PASSWORD)[6:], "Basic é",
    ],
)  # fmt: skip
def test_what_is_not_the_password(header: str) -> None:
    """Another name, another password, another scheme, and what cannot be read, are refused alike."""
    assert not Credentials("ops", Secret(PASSWORD)).fit(header)


def test_the_scheme_has_no_case() -> None:
    """RFC 9110 section 11.1: schemes are compared without regard to case."""
    assert Credentials("ops", Secret(PASSWORD)).fit(_basic("ops", PASSWORD).replace("Basic", "bAsIc"))


async def test_the_probes_need_no_password_and_tell_little(server: HttpServer) -> None:
    """/readyz tells strangers whether the daemon is ready, and not what is down."""
    alive, ready = await ask(server, "/healthz"), await ask(server, "/readyz")

    assert (alive.status, ready.status) == (200, 200)
    assert msgspec.json.decode(ready.body) == {"ready": True}


async def test_a_password_from_a_file_is_looked_up_anew(tmp_path: Path) -> None:
    """A rotated password counts at once; one that cannot be read lets nobody in and does not say where it lies."""
    file = tmp_path / "password"
    file.write_text("first\n")
    async with answering(Listener("127.0.0.1:0", credentials=Credentials("ops", Secret(path=file)))) as server:
        first = await ask(server, "/status", Authorization=_basic("ops", "first"))
        fresh = tmp_path / "fresh"
        fresh.write_text("second")
        fresh.rename(file)
        second = await ask(server, "/status", Authorization=_basic("ops", "second"))
        file.unlink()
        with capture_logs() as logs:
            gone = await ask(server, "/status", Authorization=_basic("ops", "second"))

    assert (first.status, second.status, gone.status) == (200, 200, 503)
    assert str(tmp_path).encode() not in gone.body
    assert "http_password_unreadable" in [line["event"] for line in logs]
