"""The control socket: how the commands of this machine talk to the running daemon.

A Unix socket beside the store, open to the daemon's own user alone, that speaks HTTP with JSON. What it can do is a
list of routes; a verb more is a route more.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import structlog
from aiohttp import web

from mcwatch.domain.errors import ConfigError, FailureReason, McwatchError, PermanentError, TransientError
from mcwatch.domain.outbox import DeadLetter
from mcwatch.domain.status import StatusReport
from mcwatch.httpserver.answers import json_answer
from mcwatch.httpserver.serving import serving
from mcwatch.httpserver.socket_path import control_socket_path, short_path
from mcwatch.httpserver.streaming import StreamRoute, Streams, question_reader

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_ANSWERS_SECS = 1.0
_PROBE_SECS = 4.0
"""Less than the five seconds that ``mcwatch health`` waits, so that it can say what is wrong."""
_MAX_LETTERS = 10_000
_MAX_DIGITS = 12


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A question of a command."""

    query: Mapping[str, str]
    body: bytes

    def count(self, name: str, default: int, most: int) -> int:
        """Return a positive number of the query; raises PermanentError when it is not one up to ``most``."""
        text = self.query.get(name) or str(default)
        # Length first: Python refuses to convert thousands of digits.
        if len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= most:
            raise PermanentError(f"{name} is not a number", remedy=f"give a number from 1 to {most}")
        return int(text)


@dataclass(frozen=True, slots=True)
class ControlRoute:
    """One thing that can be asked: ``answer`` returns what msgspec encodes, or raises an error of the tree."""

    method: str
    path: str
    answer: Callable[[ControlRequest], Awaitable[object]]


def reading_routes(
    status: Callable[[], Awaitable[StatusReport]],
    dead_letters: Callable[[str | None, int], Awaitable[list[DeadLetter]]],
) -> list[ControlRoute]:
    """Return the routes that only read; ``dead_letters`` takes a destination (None: all) and a limit."""

    async def report(_request: ControlRequest) -> StatusReport:
        return await status()

    async def letters(request: ControlRequest) -> list[DeadLetter]:
        limit = request.count("limit", 100, _MAX_LETTERS)
        return await dead_letters(request.query.get("destination"), limit)

    return [ControlRoute("GET", "/status", report), ControlRoute("GET", "/dead-letters", letters)]


def health_route(probe: Callable[[], Awaitable[object]], timeout_secs: float = _PROBE_SECS) -> ControlRoute:
    """Return the route of ``mcwatch health``.

    ``probe`` returns once the store's writer thread has answered; what it answers does not matter.
    """

    async def health(_request: ControlRequest) -> object:
        try:
            async with asyncio.timeout(timeout_secs):
                await probe()
        except TimeoutError as error:
            raise TransientError(
                "the store's writer thread does not answer",
                reason=FailureReason.TIMEOUT,
                remedy="look at the disk (it may hang) and the daemon's log; restart the daemon",
            ) from error
        except McwatchError:
            # An answer all the same: the thread lives, whatever ails the store.
            pass
        return {"alive": True}

    return ControlRoute("GET", "/health", health)


def acting_route(path: str, kind: type[T], act: Callable[[T], Awaitable[object]]) -> ControlRoute:
    """Return the route of a command that has something done, described by a body that msgspec decodes as ``kind``."""
    read = question_reader(path, kind)

    async def answer(request: ControlRequest) -> object:
        return await act(read(request.body))

    return ControlRoute("POST", path, answer)


class ControlServer:
    """Listens on the socket while entered. Enter it only while holding the store's lock.

    What a command asked for ends when the command has gone away, a stream also when this is left.

    Entering raises ConfigError when the socket cannot be made or somebody already answers there.
    """

    def __init__(self, store_file: Path, routes: Sequence[ControlRoute], streams: Sequence[StreamRoute] = ()) -> None:
        self.path = control_socket_path(store_file)
        self._routes = routes
        self._streams = Streams(streams)
        self._stack = AsyncExitStack()
        self._made: tuple[int, int] | None = None

    async def __aenter__(self) -> Self:
        listening = self._bind()
        plain = [web.route(route.method, route.path, _handler(route)) for route in self._routes]
        routes = [*plain, *self._streams.routes()]
        await self._stack.enter_async_context(serving(routes, listening, cancels=True))
        _log.debug("control_socket_open", path=str(self.path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._streams.close()
        await self._stack.aclose()
        # Another daemon may have taken the name meanwhile: only our own socket is removed.
        if self._made and _identity(self.path) == self._made:
            self.path.unlink(missing_ok=True)

    def _bind(self) -> socket.socket:
        with short_path(self.path) as short:
            try:
                _remove_stale(short, self.path)
                bound = _private_socket(short)
            except OSError as error:
                problem = f"store.url: the control socket {self.path} cannot be made: {error.strerror or error}"
                remedy = "the store's directory must be writable and able to hold sockets"
                raise ConfigError([f"{problem}; {remedy}"]) from error
            self._made = _identity(short)
            return bound


def _private_socket(path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        # Nobody can connect before the socket listens, which it does only after this.
        path.chmod(0o600)
    except BaseException:
        bound.close()
        raise
    return bound


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _remove_stale(short: Path, path: Path) -> None:
    """Remove a socket that a killed daemon left; anything else of that name stays and is an error."""
    try:
        status = os.lstat(short)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigError([f"store.url: {path} is in the way of the control socket: move that file elsewhere"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(_ANSWERS_SECS)
        try:
            caller.connect(str(short))
        except ConnectionRefusedError:
            short.unlink(missing_ok=True)
            return
        except (TimeoutError, BlockingIOError):
            # Somebody listens, if too busy to answer.
            pass
    raise ConfigError([f"store.url: another mcwatch answers at {path}: stop it, or use another store"])


def _handler(route: ControlRoute) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        question = ControlRequest(dict(request.query), await request.read())
        return json_answer(await route.answer(question))

    return handle
