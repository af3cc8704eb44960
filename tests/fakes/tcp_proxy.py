"""A wire on loopback that can be cut, or on which everything stands still."""

import asyncio
import time
from types import TracebackType
from typing import NamedTuple, Self

_CHUNK_BYTES = 2**16


class Passage(NamedTuple):
    """A connection that was made to the server, with the port that the server saw it come from."""

    since: float
    """Seconds since 1970."""
    port: int


class TcpProxy:
    """Passes bytes between clients and the server at ``port`` of 127.0.0.1, in the test's own loop."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.passages: list[Passage] = []
        self._behind = port
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        """Reset all connections, and every new one."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def hold(self) -> None:
        """Let nothing pass in either direction; nobody is told, and what waits arrives when it is let go."""
        self._flowing.clear()

    def let_go(self) -> None:
        """Let everything pass again, new connections too."""
        self._is_cut = False
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        self._writers.add(writer)
        try:
            await self._connect(reader, writer)
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._drop(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        if self._is_cut:
            return
        answers, forward = await asyncio.open_connection("127.0.0.1", self._behind)
        self._writers.add(forward)
        self.passages.append(Passage(time.time(), forward.get_extra_info("sockname")[1]))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, forward))
                group.create_task(self._pass(answers, writer))
        finally:
            self._drop(forward)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        await self._flowing.wait()
        writer.close()

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        # Not closed: a reset is what a client of a dead server, or a server of a dead client, is to see.
        writer.transport.abort()
        self._writers.discard(writer)
