"""An HTTP server on loopback, in the test's own loop."""

import socket
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class HttpServer:
    """Any HTTP server; ``handler`` answers every request.

    Args:
        handler: answers.
        port: where to listen; 0 for any.
        tls: a context whose certificate is that of ``localhost``.
        unpacks: bodies that came compressed are given to the handler unpacked.
        patience_secs: for requests under way when it stops.
    """

    def __init__(
        self,
        handler: Handler,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        *,
        unpacks: bool = True,
        patience_secs: float = 0.1,
    ) -> None:
        self.port = port
        self._handler = handler
        self._tls = tls
        self._unpacks = unpacks
        self._patience_secs = patience_secs
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{'https://localhost' if self._tls else 'http://127.0.0.1'}:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", self._handler)
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=self._patience_secs, auto_decompress=self._unpacks
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more; connections are closed."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
