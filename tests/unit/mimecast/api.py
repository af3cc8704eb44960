"""A scripted API on loopback: answers in order, and keeps what it was asked."""

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.config import ApiConfig
from mcwatch.mimecast.envelope import AnswerDecoder
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.unit.httpclient.servers import http_server

OAUTH2 = {"type": "oauth2", "client_id": "id", "client_secret": "hunter2"}
HMAC = {
    "type": "hmac",
    "app_id": "a",
    "app_key": "b",
    "access_key": "c",
    "secret_key": "bWN3YXRjaC1kZW1vLXNlY3JldC0wMDAx",
}
ANYTHING = AnswerDecoder(msgspec.Raw)
EMPTY = {"meta": {"status": 200}, "data": [], "fail": []}


@dataclass
class Reply:
    """One scripted answer."""

    status: int = 200
    body: object = field(default_factory=lambda: EMPTY)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        """The body decoded."""
        return json.loads(self.body)


class Api:
    """The API and a client of it, in virtual time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics(CollectorRegistry())
        self.replies: list[Reply] = []
        self.token_replies: list[Reply] = []
        self.asked: list[Asked] = []
        self.server_ahead_secs = 0.0
        self.before_answer: Callable[[], None] | None = None

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with the next of the script; with success when it is at its end."""
        self.asked.append(Asked(request.path, dict(request.headers), await request.read()))
        script, usual = self.replies, Reply()
        if request.path == "/oauth/token":
            token = f"token-{len(self.paths('/oauth/token'))}"
            script, usual = self.token_replies, Reply(body={"access_token": token, "expires_in": 1799})
        if self.before_answer:
            self.before_answer()
        reply = script.pop(0) if script else usual
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        date = self.clock.now().timestamp() + self.server_ahead_secs
        headers = {"Date": format_datetime(self.clock.now().fromtimestamp(date, self.clock.now().tzinfo), usegmt=True)}
        return web.Response(status=reply.status, body=body, headers={**headers, **reply.headers})

    def paths(self, only: str = "") -> list[str]:
        """Return the paths asked for, in order."""
        return [asked.path for asked in self.asked if asked.path.startswith(only)]

    def count(self, endpoint: str, outcome: str) -> float:
        """Return how many requests ended so."""
        labels = {"account": "acme", "endpoint": endpoint, "outcome": outcome}
        return self.metrics.registry.get_sample_value("mcwatch_api_requests_total", labels) or 0.0


@asynccontextmanager
async def scripted(auth: dict[str, str], **keys: object) -> AsyncIterator[tuple[Api, MimecastClient]]:
    """Run the API and enter a client of it."""
    api = Api()
    async with http_server(api.handle) as port:
        config = ApiConfig.model_validate({"auth": auth, "base_url": f"http://127.0.0.1:{port}", **keys})
        client = MimecastClient("acme", config, clock=api.clock, metrics=api.metrics, rng=random.Random(1))
        async with client:
            yield api, client
