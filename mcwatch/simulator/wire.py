"""How an answer is written to the socket: whole, cut, reset, late, or not at all."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import msgspec
from aiohttp import web

from mcwatch.simulator.envelope import RefusedError
from mcwatch.simulator.ledger import Sighting
from mcwatch.simulator.times import to_http_date

JSON: Final = "application/json"

# Linger on, for no time: closing then resets the connection.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Reply:
    """An answer in bytes, and the rows it shows if it arrives whole."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    sightings: list[Sighting] = field(default_factory=list)
    codes: tuple[str, ...] = ()
    """Failure codes in it, to be counted."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What goes wrong on the way."""

    stall_secs: float = 0.0
    reset_before: bool = False
    reset_body: bool = False


SOUND: Final = Flaw()


def failure(refused: RefusedError, *, flat: bool) -> Reply:
    """Word a failed call in the flat shape of the 2.0 gateway, or in the nested one (reference notes §E)."""
    if flat:
        content: dict[str, object] = {"fail": [refused.flat()]}
    else:
        content = {"meta": {"status": refused.status}, "data": [], "fail": [refused.nested()]}
    return Reply(refused.status, msgspec.json.encode(content), codes=(refused.code,))


class Wire:
    """Writes replies; knows the clock for the `Date` header and ends stalls when the server closes."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Let stalled answers go on, so that the server can stop."""
        self._closing.set()

    async def send(self, request: web.Request, reply: Reply, flaw: Flaw, now: float) -> tuple[web.StreamResponse, bool]:
        """Write a reply; returns the response, and whether all of it left for the client."""
        if flaw.stall_secs:
            await self._stall(flaw.stall_secs)
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        if flaw.reset_before:
            _reset(request)
            return response, False
        response.content_type = reply.content_type
        response.content_length = len(reply.body)
        response.headers["Date"] = to_http_date(now)
        response.headers["x-request-id"] = str(uuid4())
        try:
            return response, await _write(request, response, reply.body, flaw)
        except ConnectionError:
            return response, False

    async def _stall(self, secs: float) -> None:
        try:
            async with asyncio.timeout(secs):
                await self._closing.wait()
        except TimeoutError:
            return


async def _write(request: web.Request, response: web.StreamResponse, body: bytes, flaw: Flaw) -> bool:
    transport = request.transport
    if transport is None:
        return False
    # Without a buffer a drained writer means that the kernel has taken every byte.
    transport.set_write_buffer_limits(high=0)
    writer = await response.prepare(request)
    if flaw.reset_body:
        await response.write(body[: len(body) // 2])
        _reset(request)
        return False
    await response.write(body)
    await response.write_eof()
    if writer is not None:
        await writer.drain()
    return not transport.is_closing()


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    opened = transport.get_extra_info("socket")
    if opened is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
