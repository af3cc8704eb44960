"""A wire to the server that can be cut at the worst moment: while a transaction is committed."""

import asyncio
from enum import Enum
from types import TracebackType
from typing import Self

_COMMIT = b"COMMIT"


class Cut(Enum):
    """Where the wire is cut, once."""

    NEVER = "never"
    BEFORE = "before"
    """The commit never arrives, and the server hears that the client is gone."""
    SILENTLY = "silently"
    """The commit never arrives, and the server believes that the client is still there."""
    AFTER = "after"
    """The commit is made, and its answer never arrives."""


class CommitWire:
    """Passes bytes to the server at ``port`` of 127.0.0.1; the next commit meets ``cut``, all others pass."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self.port = 0
        self.cut = Cut.NEVER
        self.was_cut = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            behind = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, behind[1]]
        answers = asyncio.ensure_future(_pass(behind[0], writer))
        try:
            await self._ask(reader, behind[1], answers)
        except (ConnectionError, asyncio.CancelledError):
            pass
        else:
            behind[1].close()
        answers.cancel()
        writer.transport.abort()

    async def _ask(
        self, reader: asyncio.StreamReader, behind: asyncio.StreamWriter, answers: "asyncio.Future[None]"
    ) -> None:
        while chunk := await reader.read(2**16):
            if self.cut is not Cut.NEVER and _COMMIT in chunk:
                cut, self.cut = self.cut, Cut.NEVER
                answers.cancel()
                if cut is Cut.AFTER:
                    behind.write(chunk)
                    await behind.drain()
                    # The server ends by itself once it has answered and finds nobody there.
                    await asyncio.sleep(0.3)
                self.was_cut.set()
                if cut is Cut.SILENTLY:
                    raise ConnectionAbortedError
                return
            behind.write(chunk)
            await behind.drain()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(2**16):
        writer.write(chunk)
        await writer.drain()
    writer.transport.abort()
