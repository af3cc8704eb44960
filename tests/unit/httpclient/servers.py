"""Small other sides on loopback: HTTP servers, and servers that answer raw bytes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def http_server(
    handler: Handler, *, tls: ssl.SSLContext | None = None, unix_socket: Path | None = None
) -> AsyncIterator[int]:
    """Serve every path with ``handler``; gives the port (0 on a Unix socket)."""
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site: web.BaseSite
    if unix_socket:
        site = web.UnixSite(runner, str(unix_socket))
    else:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield 0 if unix_socket else runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(*parts: bytes, reset: bool = False, mute: bool = False) -> AsyncIterator[int]:
    """Read, write ``parts``, then close (``reset``: with RST), or say nothing until left (``mute``)."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(65536)
            for part in parts:
                writer.write(part)
                await writer.drain()
            if mute:
                await over.wait()
            if reset:
                writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
        await server.wait_closed()
