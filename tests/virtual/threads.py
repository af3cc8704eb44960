"""What ties the daemon's threads and sockets to virtual time."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

import mcwatch.store.sqlite.threads
from mcwatch.httpclient.client import HttpClient, Response
from mcwatch.simulator.wire import SOUND, Flaw, Reply, Wire
from mcwatch.store.sqlite.writer import After, Work, Writer
from tests.virtual.loop import VirtualLoop, virtual_loop

_NUMBER = "X-Virtual-Request"
"""Tells the simulator which of the loop's requests it answers."""


class HeldWriter(Writer):
    """The store's writer, waited for after each piece of work."""

    def submit(self, work: Work, loop: asyncio.AbstractEventLoop, after: After | None = None) -> "asyncio.Future[Any]":
        """Queue work and wait until the thread is through with it."""
        assert isinstance(loop, VirtualLoop)
        hand_over = super().submit
        return loop.held(lambda: hand_over(work, loop, after))

    def call(self, call: Callable[[], None], loop: asyncio.AbstractEventLoop) -> "asyncio.Future[Any]":
        """Queue a call and wait until the thread is through with it."""
        assert isinstance(loop, VirtualLoop)
        hand_over = super().call
        return loop.held(lambda: hand_over(call, loop))


@contextmanager
def tied_to_virtual_time() -> Iterator[None]:
    """Make stores and HTTP clients built meanwhile hold virtual time still while they work."""
    request, send = HttpClient.request, Wire.send

    async def watched(
        self: HttpClient,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        with virtual_loop().request() as number:
            return await request(self, method, url, headers={**(headers or {}), _NUMBER: str(number)}, body=body)

    async def stalled(
        self: Wire, request: web.Request, reply: Reply, flaw: Flaw, now: float
    ) -> tuple[web.StreamResponse, bool]:
        if flaw.stall_secs:
            with virtual_loop().stalled(int(request.headers[_NUMBER])):
                await self._stall(flaw.stall_secs)
        return await send(self, request, reply, replace(flaw, stall_secs=SOUND.stall_secs), now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mcwatch.store.sqlite.threads, "Writer", HeldWriter)
        patch.setattr(HttpClient, "request", watched)
        patch.setattr(Wire, "send", stalled)
        yield
