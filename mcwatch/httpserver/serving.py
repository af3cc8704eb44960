"""Answering requests on a socket that is bound already."""

import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Middleware

from mcwatch.httpserver.answers import application

_STOP_SECS = 2.0


@asynccontextmanager
async def serving(
    routes: Iterable[web.AbstractRouteDef],
    bound: socket.socket,
    *,
    cancels: bool = False,
    guard: Middleware | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """Serve while entered, and own the socket; ``cancels`` ends a handler whose asker has hung up."""
    runner = web.AppRunner(
        application(routes, guard), access_log=None, handler_cancellation=cancels, shutdown_timeout=_STOP_SECS
    )
    try:
        await runner.setup()
        await web.SockSite(runner, bound, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()
        bound.close()
