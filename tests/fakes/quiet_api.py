"""A Mimecast API that has nothing to tell: tokens, empty queues, empty windows, for as many accounts as come.

It knows which account asks, and can leave some without an answer or refuse them.
"""

import asyncio
import math
import time
from collections import defaultdict
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

TOKEN, QUEUE, FINDER = "/oauth/token", "/api/gateway/find-processing-messages", "/api/message-finder/search"
_META = '{"meta":{"status":200,"pagination":{"pageSize":500}},"fail":[],"data":[{"%s":[]}]}'
_BODIES = {QUEUE: (_META % "messages").encode(), FINDER: (_META % "trackedEmails").encode()}


class Asked(msgspec.Struct, frozen=True):
    """How often what has been asked so far, and how many connections are open."""

    tokens: int
    queues: int
    windows: int
    connections: int


class QuietApi:
    """Answers at once; an async context manager. An account is known by its client id, which is its token too."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: dict[str, list[float]] = defaultdict(list)
        """When what was asked, in monotonic seconds, by path."""
        self.asked_by: dict[str, list[float]] = defaultdict(list)
        """The same by account, tokens apart."""
        self.hanging: set[str] = set()
        """Accounts that get no answer."""
        self.refused: set[str] = set()
        """Accounts that get 503."""
        self.is_out = False
        """Whether everybody gets 503."""
        self._ended = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.post(TOKEN, self._token), web.get("/asked", self._tell)])
        app.add_routes([web.post(path, self._answer) for path in _BODIES])
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=3600.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=4096).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._runner:
            await self._runner.cleanup()

    @property
    def figures(self) -> Asked:
        """What has been asked so far."""
        server = self._runner.server if self._runner else None
        tokens, queues, windows = (len(self.asked[path]) for path in (TOKEN, QUEUE, FINDER))
        return Asked(tokens, queues, windows, len(server.connections) if server else 0)

    def asked_since(self, moment: float, within_secs: float = math.inf) -> list[float]:
        """Return when queues and windows were asked for, from a moment on."""
        return [at for path in _BODIES for at in self.asked[path] if moment <= at < moment + within_secs]

    async def _token(self, request: web.Request) -> web.Response:
        self.asked[TOKEN].append(time.monotonic())
        [client_id] = parse_qs(await request.text())["client_id"]
        if self.is_out:
            return web.Response(status=503)
        return web.json_response({"access_token": client_id, "token_type": "Bearer", "expires_in": 1799})

    async def _answer(self, request: web.Request) -> web.Response:
        await request.read()
        account = request.headers["Authorization"].removeprefix("Bearer ")
        now = time.monotonic()
        self.asked[request.path].append(now)
        self.asked_by[account].append(now)
        if account in self.hanging:
            await self._ended.wait()
        if self.is_out or account in self.refused:
            return web.Response(status=503)
        return web.Response(body=_BODIES[request.path], content_type="application/json")

    async def _tell(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self.figures), content_type="application/json")
