"""A web hook that keeps what it gets, as it came, and answers what it is told."""

import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import zstandard
from aiohttp import web

from mcwatch.sinks.http import HttpSinkConfig


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> bytes:
        """The body, unpacked."""
        encoding = self.headers.get("Content-Encoding")
        if encoding == "zstd":
            return zstandard.ZstdDecompressor().decompress(self.raw)
        return gzip.decompress(self.raw) if encoding == "gzip" else self.raw


@dataclass(frozen=True)
class Say:
    """One answer; with status 0 none, the connection is dropped."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] | None = None


class Hook:
    """The web hook; ``says`` chooses the answer to each request."""

    def __init__(self) -> None:
        self.says: Callable[[Received], Say] = lambda _: Say()
        self.requests: list[Received] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        """Answer."""
        received = Received(request.method, dict(request.headers), await request.read())
        self.requests.append(received)
        say = self.says(received)
        if not say.status:
            assert request.transport
            request.transport.abort()
            return web.Response()
        return web.Response(status=say.status, headers=say.headers, body=say.body)

    def config(self, **options: Any) -> HttpSinkConfig:  # noqa: ANN401 - as written in YAML
        """Return the configuration of a sink for this hook."""
        return HttpSinkConfig.model_validate({"type": "http", "url": self.url, "timeout": "1s"} | options)


@asynccontextmanager
async def running(hook: Hook) -> AsyncIterator[Hook]:
    """Let the hook listen at its ``url``."""
    application = web.Application(client_max_size=2**26)
    application.router.add_route("*", "/{path:.*}", hook.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/in"
    try:
        yield hook
    finally:
        await runner.cleanup()
