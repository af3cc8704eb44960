"""The other sides of the daemon, on real sockets in the test's own loop: web hook, syslog server, front of the API."""

import asyncio
import json
import ssl
import zlib
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp import web

from tests.fakes.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable

Event = dict[str, Any]


class Hook(HttpServer):
    """A web hook that keeps what it accepts; ``refuse`` returns an answer for a batch it does not want."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self.lines: list[bytes] = []
        self.requests = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.before_answer: Callable[[], None] = lambda: None
        self.refuse: Callable[[list[bytes]], web.Response | None] = lambda _lines: None

    @property
    def events(self) -> list[Event]:
        """The accepted events."""
        return [json.loads(line) for line in self.lines]

    @property
    def event_ids(self) -> list[str]:
        """The ids of the accepted events in their order."""
        return [event["event_id"] for event in self.events]

    async def stop(self) -> None:
        """Listen no more; what waits for an answer gets it."""
        self.may_answer.set()
        await super().stop()

    def subjects(self) -> list[str | None]:
        """The subjects of the accepted events in their order."""
        return [event["message"].get("subject") for event in self.events]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.method != "POST":
            return web.Response(status=204)
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = zlib.decompress(body, wbits=31)
        lines = body.split(b"\n")[:-1]
        self.requests += 1
        await self.may_answer.wait()
        refusal = self.refuse(lines)
        if refusal is not None:
            return refusal
        self.lines += lines
        self.before_answer()
        return web.Response(status=204)


class SyslogServer:
    """A syslog server over TCP with one message per line."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.lines: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more; connections are closed."""
        if self._server:
            self._server.close()
            for writer in self._writers:
                writer.close()
            await self._server.wait_closed()
            self._server = None

    @property
    def event_ids(self) -> list[str]:
        """The ids of the events in their order."""
        return [json.loads(line[line.index(b"{") :])["event_id"] for line in self.lines]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                if line.endswith(b"\n"):
                    self.lines.append(line)
        except ConnectionError:
            return
        finally:
            self._writers.discard(writer)
            writer.close()


class Tap:
    """A wire to a server behind it, or to nobody, that keeps every byte a client sends."""

    def __init__(self, behind: int | None = None) -> None:
        self.taken = bytearray()
        self.port = 0
        self._behind = behind
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Its base URL, when what is behind it speaks HTTP."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._behind is None:
                await self._pass(reader, None, self.taken)
                return
            answers, forward = await asyncio.open_connection("127.0.0.1", self._behind)
            self._writers.add(forward)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, forward, self.taken))
                group.create_task(self._pass(answers, writer, bytearray()))
        except* ConnectionError:
            pass
        finally:
            writer.close()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, taken: bytearray) -> None:
        while data := await reader.read(2**16):
            taken += data
            if writer:
                writer.write(data)
                await writer.drain()
        if writer:
            writer.close()


class Front(HttpServer):
    """Stands before the API and passes everything on, unless ``instead`` answers in its place."""

    def __init__(self, behind: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._pass, tls=tls)
        self.behind = behind
        self.instead: Callable[[web.Request], web.Response | None] = lambda _request: None
        self.answered_instead = 0

    async def _pass(self, request: web.Request) -> web.Response:
        answer = self.instead(request)
        if answer is not None:
            self.answered_instead += 1
            return answer
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, self.behind + request.path, headers=headers, data=body) as response,
        ):
            kept = {name: value for name, value in response.headers.items() if name.startswith(("Date", "X-", "x-"))}
            return web.Response(
                status=response.status,
                body=await response.read(),
                content_type=response.content_type,
                headers=kept,
            )
