"""The endpoint: tokens, channels, and whatever is to go wrong."""

import asyncio
import json
import re
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from tests.fakes.hec.answers import Refused, said
from tests.fakes.hec.envelopes import envelopes
from tests.fakes.hec.indexer import Envelope, Indexer
from tests.fakes.http_server import HttpServer

TOKEN = "11111111-2222-3333-4444-555555555555"
_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

Scripted = web.Response | Callable[[web.Request], web.Response | None] | None
"""An answer given instead of its own; a callable may decide to leave it at that."""


@dataclass
class Token:
    """What a token may do; ``indexes`` empty allows any."""

    is_enabled: bool = True
    has_ack: bool = True
    indexes: set[str] = field(default_factory=set)


class Hec(HttpServer):
    """The receiver, on loopback. ``indexed`` holds what is indexed, ``requests`` and ``bodies`` all that came.

    To be set by a test: ``is_slow`` leaves what is taken with ack unindexed until :meth:`index`; ``room`` limits how
    many more events are taken before it is busy; ``largest_bytes`` of a body, refused the way of Splunk Cloud if
    ``is_cloud``; ``answers`` are given instead of its own, in turn; ``losing`` answers, after their work is done, are
    lost on the way; ``answering`` holds all answers back while clear.
    """

    def __init__(
        self, *, port: int = 0, tls: ssl.SSLContext | None = None, indexers: int = 1, is_sticky: bool = False
    ) -> None:
        super().__init__(self._answer, port, tls, patience_secs=0)
        self.tokens = {TOKEN: Token()}
        self.indexed: list[Envelope] = []
        self.indexers = [Indexer(self._store) for _ in range(indexers)]
        self.is_slow = False
        self.is_healthy = True
        self.room: int | None = None
        self.largest_bytes = 2**26
        self.is_cloud = False
        self.answers: deque[Scripted] = deque()
        self.losing = 0
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.on_index: Callable[[list[Envelope]], None] = lambda _events: None
        self.answering = asyncio.Event()
        self.answering.set()
        self.engaged = asyncio.Event()
        self._turn = 0
        self._is_sticky = is_sticky

    @property
    def events(self) -> list[Any]:
        """What is indexed, without the envelopes."""
        return [msgspec.json.decode(envelope["event"]) for envelope in self.indexed]

    def posts(self, end: str = "/event") -> list[web.Request]:
        """Return the requests to an endpoint."""
        return [request for request in self.requests if request.method == "POST" and request.path.endswith(end)]

    def index(self) -> None:
        """Index all that was taken, everywhere."""
        for indexer in self.indexers:
            indexer.index()

    def crash(self) -> None:
        """Crash all indexers."""
        for indexer in self.indexers:
            indexer.crash()

    def _store(self, events: list[Envelope]) -> None:
        self.indexed += events
        self.on_index(events)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()  # unpacked, where it came as gzip
        self.requests.append(request)
        self.bodies.append(body)
        self.engaged.set()
        await self.answering.wait()
        scripted = self.answers.popleft() if self.answers else None
        answer = scripted(request) if callable(scripted) else scripted
        if answer is not None:
            return answer
        response = self._own(request, body)
        if self.losing and request.method == "POST" and request.transport is not None:
            self.losing -= 1
            request.transport.abort()
        return response

    def _own(self, request: web.Request, body: bytes) -> web.Response:
        number = self._balanced(request)
        try:
            response = self._routed(request, body, self.indexers[number])
        except Refused as refused:
            response = said(refused.code, refused.event)
        if self._is_sticky and "SRV" not in request.cookies:
            response.set_cookie("SRV", str(number), path="/")
        return response

    def _balanced(self, request: web.Request) -> int:
        """Choose the indexer as a load balancer does: by cookie, else in turn."""
        wanted = request.cookies.get("SRV", "")
        if self._is_sticky and wanted.isdigit() and int(wanted) < len(self.indexers):
            return int(wanted)
        self._turn += 1
        return (self._turn - 1) % len(self.indexers)

    def _routed(self, request: web.Request, body: bytes, indexer: Indexer) -> web.Response:
        match (request.method, request.path.removesuffix("/1.0")):
            case ("GET", "/services/collector/health"):
                return said(17 if self.is_healthy else 18)
            case ("POST", "/services/collector/event" | "/services/collector"):
                token = self._token(request)
                return self._take(body, token, _channel(request) if token.has_ack else None, indexer)
            case ("POST", "/services/collector/ack"):
                if not self._token(request).has_ack:
                    raise Refused(14)
                return web.json_response({"acks": indexer.told(_channel(request), _numbers(body))})
            case _:
                return web.Response(status=404, text="<msg>The requested URL was not found on this server.</msg>")

    def _token(self, request: web.Request) -> Token:
        if "token" in request.query:
            raise Refused(16)
        if "Authorization" not in request.headers:
            raise Refused(2)
        scheme, _, word = request.headers["Authorization"].partition(" ")
        if scheme != "Splunk" or not word:
            raise Refused(3)
        if word not in self.tokens:
            raise Refused(4)
        if not self.tokens[word].is_enabled:
            raise Refused(1)
        return self.tokens[word]

    def _take(self, body: bytes, token: Token, channel: str | None, indexer: Indexer) -> web.Response:
        if not body.strip():
            raise Refused(5)
        if len(body) > self.largest_bytes:
            if self.is_cloud:
                raise Refused(6, 0)
            return web.Response(status=413, text="<html>too large</html>", content_type="text/html")
        good: list[Envelope] = []
        try:
            good.extend(self._with_room(envelopes(body, token.indexes)))
        except _Stopped as stopped:
            self._store(stopped.before)  # indexed, and given no number
            raise stopped.refused from stopped
        if channel is None:
            self._store(good)
            return said(0)
        ack_id = indexer.take(channel, good)
        if not self.is_slow:
            indexer.index()
        return said(0, ack_id=ack_id)

    def _with_room(self, events: Iterable[Envelope]) -> list[Envelope]:
        good: list[Envelope] = []
        try:
            for event in events:
                if self.room is not None:
                    if not self.room:
                        raise Refused(9, len(good))
                    self.room -= 1
                good.append(event)
        except Refused as refused:
            raise _Stopped(good, refused) from refused
        return good


class _Stopped(Exception):  # noqa: N818 - as above
    """A body of which only the beginning was taken."""

    def __init__(self, before: list[Envelope], refused: Refused) -> None:
        super().__init__()
        self.before = before
        self.refused = refused


def _numbers(body: bytes) -> list[int]:
    try:
        numbers = json.loads(body)["acks"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(6) from error
    if not isinstance(numbers, list) or not numbers or not all(type(number) is int for number in numbers):
        raise Refused(6)
    return numbers


def _channel(request: web.Request) -> str:
    channel = request.headers.get("X-Splunk-Request-Channel") or request.query.get("channel")
    if not channel:
        raise Refused(10)
    if not _GUID.fullmatch(channel):
        raise Refused(11)
    return channel.lower()
