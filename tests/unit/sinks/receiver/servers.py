"""Servers that stand behind one receiver."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from mcwatch.sinks.receiver import Receiver, ReceiverOptions, Target
from tests.fakes.http_server import free_port
from tests.unit.httpclient.servers import http_server


class Server:
    """One server, known by its URL even while it is down."""

    def __init__(self) -> None:
        self.status = 200
        self.url = f"http://127.0.0.1:{free_port()}"
        self.requests: list[web.BaseRequest] = []
        self.connections: set[object] = set()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer with the status set."""
        await request.read()
        self.requests.append(request)
        self.connections.add(request.transport)
        return web.Response(status=self.status, headers={"Set-Cookie": "sticky=a"})


@asynccontextmanager
async def servers(count: int) -> AsyncIterator[list[Server]]:
    """Let some servers run."""
    if not count:
        yield []
        return
    one = Server()
    async with http_server(one.answer) as port, servers(count - 1) as others:
        one.url = f"http://127.0.0.1:{port}"
        yield [one, *others]


def receiver_of(*behind: Server, **options: object) -> Receiver:
    """Return the receiver that these servers are."""
    targets = [Target(server.url) for server in behind]
    return Receiver(ReceiverOptions(targets=targets, **options))  # type: ignore[arg-type]
