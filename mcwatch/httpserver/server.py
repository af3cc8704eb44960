"""The HTTP listener: metrics, probes, the status as JSON and as a page. Nothing can be changed over it."""

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
from mcwatch.httpserver.answers import json_answer
from mcwatch.httpserver.listen import open_socket
from mcwatch.httpserver.readiness import readiness
from mcwatch.httpserver.serving import serving
from mcwatch.telemetry.exposition import render
from mcwatch.telemetry.health import Health
from mcwatch.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

_STATIC = Path(__file__).with_name("static")


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
        timeout_secs: how long any of these may take.
    """

    metrics: Metrics
    health: Health
    status: Callable[[], Awaitable[StatusReport]]
    snapshot: Callable[[], Awaitable[StoreSnapshot]]
    probe: Callable[[], Awaitable[object]]
    now: Callable[[], datetime]
    timeout_secs: float = 5.0


class HttpServer:
    """Listens on ``host:port`` while entered; port 0 takes a free one.

    Entering raises ConfigError when the address cannot be used.
    """

    def __init__(self, listen: str, views: Views) -> None:
        self._listen = listen
        self._views = views
        self._stack = AsyncExitStack()
        self._address: tuple[str, int] = ("", 0)
        # A scrape of a thousand accounts costs a second of CPU: one at a time.
        self._scraping = asyncio.Lock()

    @property
    def port(self) -> int:
        """The port in use."""
        return self._address[1]

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        host = f"[{self._address[0]}]" if ":" in self._address[0] else self._address[0]
        return f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        listening = open_socket(self._listen)
        name = listening.getsockname()
        self._address = (name[0], name[1])
        # Whoever hangs up (a scrape that timed out, a closed page) needs no answer made.
        await self._stack.enter_async_context(serving(self._routes(), listening, cancels=True))
        _log.info("http_listening", url=self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

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
        ]

    async def _report(self) -> StatusReport:
        async with asyncio.timeout(self._views.timeout_secs):
            return await self._views.status()

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(text=page.document(await self._report()), content_type="text/html")

    async def _fragment(self, _request: web.Request) -> web.Response:
        return web.Response(text=page.fragment(await self._report()), content_type="text/html")

    async def _status(self, _request: web.Request) -> web.Response:
        return json_answer(await self._report())

    async def _metrics(self, request: web.Request) -> web.Response:
        async with self._scraping:
            snapshot = await self._snapshot()
            scrape = await asyncio.to_thread(
                render, self._views.metrics, snapshot, self._views.now(), request.headers.get("Accept", "")
            )
        answer = web.Response(body=scrape.body, headers={"Content-Type": scrape.content_type})
        answer.enable_compression()
        return answer

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
        return json_answer({"alive": True})

    async def _readyz(self, _request: web.Request) -> web.Response:
        answer = readiness(self._views.health)
        return json_answer(answer, 200 if answer.ready else 503)


def _file(name: str, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    text = (_STATIC / name).read_text("utf-8")

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type)

    return answer
