"""The HTTP listener on a real socket."""

import asyncio
import dataclasses
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from mcwatch.domain.errors import StoreUnavailable, TransientError
from mcwatch.domain.outbox import StoreSnapshot
from mcwatch.domain.status import StatusReport
from mcwatch.httpclient.client import ClientOptions, HttpClient, Response
from mcwatch.httpserver.access import Credentials
from mcwatch.httpserver.server import HttpServer, Listener, Views
from mcwatch.option_types import Secret
from mcwatch.telemetry.health import STORE, Component, Health
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.unit.httpserver.reports import troubled_report

PATHS = ("/", "/fragment", "/status", "/metrics", "/healthz", "/readyz", "/static/page.css", "/static/page.js")


@dataclass
class Daemon:
    """What stands behind the server; a test changes it to make things go wrong."""

    health: Health
    report: Callable[[], Awaitable[StatusReport]]
    snapshot: Callable[[], Awaitable[StoreSnapshot]]
    probe: Callable[[], Awaitable[object]]
    views: Views = field(init=False)

    async def answer_status(self) -> StatusReport:
        """Answer as the test has set it."""
        return await self.report()

    async def answer_snapshot(self) -> StoreSnapshot:
        """Answer as the test has set it."""
        return await self.snapshot()

    async def answer_probe(self) -> object:
        """Answer as the test has set it."""
        return await self.probe()


async def _report() -> StatusReport:
    return troubled_report()


async def _snapshot() -> StoreSnapshot:
    return StoreSnapshot(store_bytes=4711)


async def _answer() -> None:
    return None


async def _never() -> NoReturn:
    while True:
        await asyncio.Event().wait()


async def _unavailable() -> NoReturn:
    raise StoreUnavailable("the store is away", remedy="wait")


@pytest.fixture
def daemon(registry: CollectorRegistry) -> Daemon:
    """Give a daemon that is well, whose account has not been tried."""
    metrics = Metrics(registry)
    clock = FakeClock()
    health = Health(metrics, clock.now)
    health.expect(Component.of_account("acme"))
    daemon = Daemon(health, _report, _snapshot, _answer)
    daemon.views = Views(
        metrics, health, daemon.answer_status, daemon.answer_snapshot, daemon.answer_probe, clock.now, timeout_secs=0.05
    )
    return daemon


@pytest.fixture
async def server(daemon: Daemon) -> AsyncIterator[HttpServer]:
    """Give a server on a free port."""
    async with HttpServer(Listener("127.0.0.1:0"), daemon.views) as server:
        yield server


async def _get(server: HttpServer, path: str, method: str = "GET", **headers: str) -> Response:
    async with HttpClient(ClientOptions()) as client:
        return await client.request(method, f"{server.url}{path}", headers=headers)


def _json(response: Response) -> dict[str, Any]:
    return msgspec.json.decode(response.body, type=dict[str, Any])


async def test_status_is_the_report(server: HttpServer) -> None:
    """The JSON decodes to the report it was made of."""
    response = await _get(server, "/status")

    assert response.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(response.body, type=StatusReport) == troubled_report()


async def test_the_page_and_its_fragment(server: HttpServer) -> None:
    """The fragment is what the page holds between its main tags."""
    page, fragment = await _get(server, "/"), await _get(server, "/fragment")

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.body.startswith(b"<!doctype html>")
    assert b"<main" in page.body
    assert fragment.body in page.body


@pytest.mark.parametrize("path", [*PATHS, "/nothing-here"])
async def test_every_answer_is_protected(server: HttpServer, path: str) -> None:
    """Policy, sniffing and caching are settled on each path, errors included, and no version is given away."""
    headers = (await _get(server, path)).headers

    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "mcwatch"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed(server: HttpServer, path: str, method: str) -> None:
    """Only reading methods are answered."""
    assert (await _get(server, path, method)).status == 405


async def test_an_unknown_path_is_json(server: HttpServer) -> None:
    """Errors are JSON like the rest."""
    response = await _get(server, "/nothing-here")

    assert (response.status, _json(response)["error"]) == (404, "GET /nothing-here: Not Found")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("application/openmetrics-text;version=1.0.0", "application/openmetrics-text"), ("*/*", "text/plain")],
)
async def test_metrics_come_as_asked(server: HttpServer, accept: str, content_type: str) -> None:
    """Both formats hold live and stored figures."""
    response = await _get(server, "/metrics", Accept=accept)

    assert response.headers["Content-Type"].startswith(content_type)
    assert b"mcwatch_store_bytes 4711.0" in response.body
    assert b"mcwatch_build_info" in response.body


@pytest.mark.parametrize(
    ("path", "words"),
    [("/metrics", b"mcwatch_build_info"), ("/status", b"acme"), ("/", b"acme"), ("/fragment", b"acme")],
)
async def test_answers_are_compressed_for_who_wants_it(server: HttpServer, path: str, words: bytes) -> None:
    """What tells of many accounts is mostly repetition."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.0\r\n".encode() + b"Accept-Encoding: gzip\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()

    assert b"Content-Encoding: gzip" in head
    assert words in gzip.decompress(body)


@pytest.mark.parametrize("trouble", [_never, _unavailable])
async def test_metrics_go_on_without_the_store(
    daemon: Daemon, server: HttpServer, trouble: Callable[[], Awaitable[NoReturn]]
) -> None:
    """The live metrics are answered when the store is slow or away."""
    daemon.snapshot = trouble
    response = await _get(server, "/metrics")

    assert response.status == 200
    assert b"mcwatch_build_info" in response.body
    assert b"mcwatch_store_bytes" not in response.body


async def test_healthz_is_200_whatever_the_store_says(daemon: Daemon, server: HttpServer) -> None:
    """A store that takes no writes has an answering thread: restarting the process would not help."""
    daemon.probe = _unavailable

    assert (await _get(server, "/healthz")).status == 200


async def test_healthz_is_503_when_the_writer_does_not_answer(daemon: Daemon, server: HttpServer) -> None:
    """A hanging writer thread is what a restart may cure."""
    daemon.probe = _never
    response = await _get(server, "/healthz")

    assert (response.status, _json(response)["alive"]) == (503, False)


async def test_healthz_is_503_while_a_loop_hangs(daemon: Daemon) -> None:
    """Kubernetes has no other watchdog; which loop it is, is for the log alone."""
    views = dataclasses.replace(daemon.views, hangs=lambda: True)
    async with HttpServer(Listener("127.0.0.1:0"), views) as server:
        response = await _get(server, "/healthz")

    assert (response.status, _json(response)) == (503, {"alive": False, "reason": "a loop hangs; the log names it"})


async def test_readyz_follows_accounts_and_store(daemon: Daemon, server: HttpServer) -> None:
    """Not before the account was tried, not while the store takes no writes."""
    statuses = [(await _get(server, "/readyz")).status]
    daemon.health.down(Component.of_account("acme"), "refused", "renew")
    response = await _get(server, "/readyz")
    daemon.health.down(STORE, "full")
    statuses += [response.status, (await _get(server, "/readyz")).status]

    assert statuses == [503, 200, 503]
    assert _json(response)["down"][0] | {"since": ""} == {
        "component": "account acme",
        "reason": "refused",
        "remedy": "renew",
        "since": "",
    }


@pytest.mark.parametrize("path", ["/fragment", "/status"])
@pytest.mark.parametrize(("trouble", "reason"), [(_never, "timeout"), (_unavailable, "store")])
async def test_a_report_that_cannot_be_made_is_a_503(
    daemon: Daemon, server: HttpServer, path: str, trouble: Callable[[], Awaitable[NoReturn]], reason: str
) -> None:
    """The page's script says why there are no new figures."""
    daemon.report = trouble
    response = await _get(server, path)

    assert (response.status, _json(response)["reason"]) == (503, reason)


@pytest.mark.parametrize(("trouble", "words"), [(_never, b"did not answer in time"), (_unavailable, b"store is away")])
async def test_the_page_says_why_it_has_no_figures(
    daemon: Daemon, server: HttpServer, trouble: Callable[[], Awaitable[NoReturn]], words: bytes
) -> None:
    """Whoever opens it while the store is away gets a page that asks again, not JSON."""
    daemon.report = trouble
    response = await _get(server, "/")

    assert (response.status, response.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert words in response.body
    assert b"/static/page.js" in response.body


async def test_one_account_has_a_page_of_its_own(server: HttpServer) -> None:
    """The query names it, for the page and for what its script fetches."""
    page, fragment = await _get(server, "/?account=acme"), await _get(server, "/fragment?account=acme")

    assert fragment.body in page.body
    assert b"All accounts" in fragment.body
    assert b"Destinations" not in fragment.body


async def test_a_port_in_use_may_be_free_again(daemon: Daemon, server: HttpServer) -> None:
    """The second server does not start and says which option to change."""
    with pytest.raises(TransientError, match=rf"http.listen: cannot listen on 127.0.0.1:{server.port}"):
        await HttpServer(Listener(f"127.0.0.1:{server.port}"), daemon.views).__aenter__()


async def test_the_port_is_free_again_afterwards(daemon: Daemon) -> None:
    """Stopping does not wait for a connection that is kept open, and the address can be taken at once."""
    async with HttpServer(Listener("127.0.0.1:0"), replace(daemon.views)) as first:
        _, writer = await asyncio.open_connection("127.0.0.1", first.port)
    async with HttpServer(Listener(f"127.0.0.1:{first.port}"), daemon.views) as second:
        assert (await _get(second, "/healthz")).status == 200
    writer.close()


async def test_concurrent_scrapes_are_all_answered(server: HttpServer) -> None:
    """They queue for the rendering."""
    async with asyncio.TaskGroup() as group:
        scrapes = [group.create_task(_get(server, "/metrics")) for _ in range(5)]

    assert [scrape.result().status for scrape in scrapes] == [200] * 5


@pytest.mark.parametrize(
    ("listener", "missing"),
    [
        (Listener("127.0.0.1:0"), None),
        (Listener("[::1]:0"), None),
        (Listener("0.0.0.0:0"), ["http.basic_auth", "http.tls"]),
        (Listener("0.0.0.0:0", credentials=Credentials("ops", Secret("password"))), ["http.tls"]),
    ],
)
async def test_listening_to_strangers_unprotected_is_a_warning(
    daemon: Daemon, listener: Listener, missing: list[str] | None
) -> None:
    """It names what is missing; on loopback nothing is."""
    with capture_logs() as logs:
        async with HttpServer(listener, daemon.views):
            pass

    warnings = [line["missing"] for line in logs if line["event"] == "http_unprotected"]
    assert warnings == ([] if missing is None else [missing])
