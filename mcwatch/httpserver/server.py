"""The HTTP listener: metrics, probes, the status as JSON and as a page.

Nothing can be changed over it but what ``POST /-/reload`` reads again, where that is enabled.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from mcwatch.domain.errors import McwatchError
from mcwatch.domain.outbox import StoreSnapshot
from mcwatch.domain.status import StatusReport
from mcwatch.httpserver import page
from mcwatch.httpserver.access import Credentials, guard
from mcwatch.httpserver.answers import failure, json_answer
from mcwatch.httpserver.certificate import Certificate, CertificateFiles
from mcwatch.httpserver.listen import is_loopback, open_socket
from mcwatch.httpserver.readiness import readiness
from mcwatch.httpserver.reloading import Reload, reload_route
from mcwatch.httpserver.serving import serving
from mcwatch.telemetry.exposition import render
from mcwatch.telemetry.health import Health
from mcwatch.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

_STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen, with which certificate, and what to ask whoever comes."""

    listen: str
    certificate: CertificateFiles | None = None
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True)
class Views:
    """Where the answers come from.

    Args:
        metrics: the live metrics.
        health: what is up and down.
        status: makes the report behind ``/status`` and the page.
        snapshot: reads the stored figures for ``/metrics``.
        probe: returns once the store's writer thread has answered; what it answers does not matter.
        now: the wall clock.
        hangs: tells whether a loop of the daemon neither turns nor rests for a known reason, which is a defect.
        reload: reads the configuration file again; None leaves ``/-/reload`` unknown.
        timeout_secs: how long any of these but the reload may take.
    """

    metrics: Metrics
    health: Health
    status: Callable[[], Awaitable[StatusReport]]
    snapshot: Callable[[], Awaitable[StoreSnapshot]]
    probe: Callable[[], Awaitable[object]]
    now: Callable[[], datetime]
    hangs: Callable[[], bool] = lambda: False
    reload: Reload | None = None
    timeout_secs: float = 5.0


class HttpServer:
    """Listens on ``host:port`` while entered; port 0 takes a free one.

    Entering raises ConfigError when the address or a file of the certificate cannot be used, TransientError when the
    address is taken or not there yet.
    """

    def __init__(self, listener: Listener, views: Views) -> None:
        self._listener = listener
        self._views = views
        self._stack = AsyncExitStack()
        self._address: tuple[str, int] = ("", 0)
        # A scrape, or a page, of a thousand accounts costs much of a second of CPU: one at a time.
        self._scraping = asyncio.Lock()
        self._drawing = asyncio.Lock()

    @property
    def port(self) -> int:
        """The port in use."""
        return self._address[1]

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        host = f"[{self._address[0]}]" if ":" in self._address[0] else self._address[0]
        return f"{'https' if self._listener.certificate else 'http'}://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        files, credentials = self._listener.certificate, self._listener.credentials
        certificate = await asyncio.to_thread(Certificate, files) if files else None
        listening = open_socket(self._listener.listen)
        name = listening.getsockname()
        self._address = (name[0], name[1])
        server = serving(
            self._routes(),
            listening,
            cancels=True,  # whoever hangs up (a scrape that timed out, a closed page) needs no answer made
            guard=guard(credentials) if credentials else None,
            tls=certificate.context if certificate else None,
        )
        await self._stack.enter_async_context(server)
        _log.info("http_listening", url=self.url)
        self._warn_of_strangers()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _warn_of_strangers(self) -> None:
        listener = self._listener
        missing = [
            key
            for key, given in (("http.basic_auth", listener.credentials), ("http.tls", listener.certificate))
            if given is None
        ]
        if missing and not is_loopback(self._address[0]):
            _log.warning(
                "http_unprotected",
                url=self.url,
                missing=missing,
                remedy="other machines can read account names and states, or listen in: set what is missing, or see "
                "to it that only a proxy with TLS and a password reaches the port",
            )

    def _routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/", self._page),
            web.get("/fragment", self._fragment),
            web.get("/static/page.css", _file("page.css", "text/css")),
            web.get("/static/page.js", _file("page.js", "text/javascript")),
            web.get("/status", self._status),
            web.get("/metrics", self._metrics),
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            *([reload_route(self._views.reload)] if self._views.reload else []),
        ]

    async def _report(self) -> StatusReport:
        async with asyncio.timeout(self._views.timeout_secs):
            return await self._views.status()

    async def _page(self, request: web.Request) -> web.Response:
        try:
            html, status = await self._drawn(page.document, request), 200
        except (McwatchError, TimeoutError) as error:
            # The page goes on asking, and shows the figures once there are any.
            said, status = failure(error)
            html = page.document_without_report(said.error, said.remedy)
        return _html(html, status)

    async def _fragment(self, request: web.Request) -> web.Response:
        return _html(await self._drawn(page.fragment, request))

    async def _drawn(self, draw: Callable[[StatusReport, str], str], request: web.Request) -> str:
        async with self._drawing:
            return await asyncio.to_thread(draw, await self._report(), request.query.get("account", ""))

    async def _status(self, _request: web.Request) -> web.Response:
        return _compressed(json_answer(await self._report()))

    async def _metrics(self, request: web.Request) -> web.Response:
        async with self._scraping:
            snapshot = await self._snapshot()
            scrape = await asyncio.to_thread(
                render, self._views.metrics, snapshot, self._views.now(), request.headers.get("Accept", "")
            )
        return _compressed(web.Response(body=scrape.body, headers={"Content-Type": scrape.content_type}))

    async def _snapshot(self) -> StoreSnapshot | None:
        """Read the stored figures; a store that does not answer leaves the live metrics."""
        try:
            async with asyncio.timeout(self._views.timeout_secs):
                return await self._views.snapshot()
        except (McwatchError, TimeoutError) as error:
            _log.debug("scrape_without_store", error=str(error) or "time-out")
            return None

    async def _healthz(self, _request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(self._views.timeout_secs):
                await self._views.probe()
        except McwatchError:
            # An answer all the same: the thread lives, whatever ails the store.
            return json_answer({"alive": True})
        except TimeoutError:
            return json_answer({"alive": False, "reason": "the store's writer thread does not answer"}, 503)
        if self._views.hangs():
            return json_answer({"alive": False, "reason": "a loop hangs; the log names it"}, 503)
        return json_answer({"alive": True})

    async def _readyz(self, _request: web.Request) -> web.Response:
        answer = readiness(self._views.health)
        # What is down is for those who know the password, and /status tells them.
        told = {"ready": answer.ready} if self._listener.credentials else answer
        return json_answer(told, 200 if answer.ready else 503)


def _html(text: str, status: int = 200) -> web.Response:
    return _compressed(web.Response(text=text, status=status, content_type="text/html"))


def _compressed(answer: web.Response) -> web.Response:
    """Compress for whoever can take it; aiohttp does it in a thread beyond a few KiB."""
    answer.enable_compression()
    return answer


def _file(name: str, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    text = (_STATIC / name).read_text("utf-8")

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type)

    return answer
