"""Answers without an end on the control socket: lines as they come, until either side has had enough."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from mcwatch.domain.errors import PermanentError
from mcwatch.domain.tailing import TailNote, TailRequest, Word

T = TypeVar("T")

_FAREWELL_SECS = 1.0
"""A reader that takes nothing must not hold up the daemon's end."""

Lines: TypeAlias = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class StreamRoute:
    """A stream that can be asked for by POST: ``open`` takes the request's body and yields whole lines.

    What ``open`` raises before its first line is answered as an error. ``farewell`` is the last line where it is the
    daemon that ends the stream.
    """

    path: str
    open: Callable[[bytes], Lines]
    farewell: bytes


def question_reader(path: str, kind: type[T]) -> Callable[[bytes], T]:
    """Return what decodes the body of a request to ``path``; it raises PermanentError for one that does not fit."""
    decoder = msgspec.json.Decoder(kind)

    def read(body: bytes) -> T:
        try:
            return decoder.decode(body)
        except msgspec.DecodeError as error:
            raise PermanentError(
                f"{path}: the request cannot be read: {error}", remedy="use the command of the version that runs"
            ) from error

    return read


def tail_route(follow: Callable[[TailRequest], Lines]) -> StreamRoute:
    """Return the route of ``mcwatch tail``."""
    read = question_reader("/tail", TailRequest)
    return StreamRoute("/tail", lambda body: follow(read(body)), TailNote(note=Word.STOPPED).line())


class Streams:
    """The streams of one server. A stream ends when its reader hangs up, or with :meth:`close`."""

    def __init__(self, routes: Sequence[StreamRoute]) -> None:
        self._routes = routes
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Say farewell to every reader."""
        self._closing.set()

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return what aiohttp serves."""
        return [web.post(route.path, self._handler(route)) for route in self._routes]

    def _handler(self, route: StreamRoute) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            async with aclosing(route.open(await request.read())) as lines:
                first = await anext(lines)
                response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
                writer = await response.prepare(request)
                if writer is not None and request.transport is not None:
                    await _Passing(first, lines, writer, request.transport).run(self._closing, route.farewell)
                return response

        return handle


class _Passing:
    """Hands the lines of one stream to its reader."""

    def __init__(self, first: bytes, lines: Lines, writer: AbstractStreamWriter, transport: asyncio.Transport) -> None:
        self._first = first
        self._lines = lines
        self._writer = writer
        self._transport = transport
        self._writing = True

    async def run(self, closing: asyncio.Event, farewell: bytes) -> None:
        """Write lines until the server closes or the reader is gone; what it does not take in time is broken off."""
        async with asyncio.TaskGroup() as group:
            passing = group.create_task(self._pass_on(closing))
            ending = group.create_task(closing.wait())
            await asyncio.wait({passing, ending}, return_when=asyncio.FIRST_COMPLETED)
            if self._writing:
                # Not cancelled: aiohttp cannot wait for a reader again once such waiting was.
                await asyncio.wait({passing}, timeout=_FAREWELL_SECS)
            passing.cancel()
            ending.cancel()
        if self._writing or not await self._said(farewell):
            self._transport.abort()

    async def _pass_on(self, closing: asyncio.Event) -> None:
        lines: bytes | None = self._first
        while lines is not None and not closing.is_set():
            self._writing = True
            try:
                await self._writer.write(lines)
            except ConnectionError:
                return
            self._writing = False
            lines = await anext(self._lines, None)

    async def _said(self, farewell: bytes) -> bool:
        """Write the last line; return whether the reader has taken everything."""
        self._transport.set_write_buffer_limits(high=0)  # drained is then what was taken, not what fits a buffer
        try:
            async with asyncio.timeout(_FAREWELL_SECS):
                await self._writer.write(farewell)
                await self._writer.drain()
        except (ConnectionError, TimeoutError):
            return False
        return True
