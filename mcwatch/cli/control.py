"""Asking the running daemon over its control socket, or the replicas of a shared store, and doing without one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from mcwatch import app
from mcwatch.app.offline import fleet_asker
from mcwatch.cli import local
from mcwatch.domain.backfill import BackfillStep
from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.domain.status import RangeStatus
from mcwatch.domain.verification import VerifyStep
from mcwatch.httpclient.client import ClientOptions, HttpClient
from mcwatch.httpserver.control import ControlRequest, ControlRoute
from mcwatch.httpserver.socket_path import control_socket_path, short_path
from mcwatch.settings import Settings

T = TypeVar("T")
A = TypeVar("A", bound="Answer")
S = TypeVar("S", BackfillStep, VerifyStep)

_STEP_TIMEOUT_SECS = 7_200.0
"""A step takes about a minute, unless a single request has to wait: for a closed quota (15 minutes at a time), behind
all others, through its retries, and behind the steps of other commands."""

_MOST_IDLE = 120
"""So many answers in a row without any progress, each of which took a minute or more, and it is given up."""


class Answer(Protocol):
    """What became of a step, and what of its window is left to be asked for."""

    @property
    def rest(self) -> Sequence[RangeStatus]:
        """The ranges that are left."""


class Talk(Protocol):
    """Whoever does what a command asks for."""

    async def ask(self, path: str, kind: type[T], question: msgspec.Struct) -> T:
        """Have something done and return the answer."""


class DaemonTalk:
    """The running daemon does it."""

    def __init__(self, store_file: Path) -> None:
        self._store_file = store_file

    async def ask(self, path: str, kind: type[T], question: msgspec.Struct) -> T:
        """Have something done; raises TransientError when the daemon has gone away, and as :func:`ask` does."""
        body = msgspec.json.encode(question)
        answer = await _request(self._store_file, "POST", path, kind, body=body, timeout_secs=_STEP_TIMEOUT_SECS)
        if answer is None:
            raise TransientError(
                "the daemon went away before it was done",
                reason=FailureReason.CONNECTION,
                remedy="run the same command again: what has been recorded stays",
            )
        return answer


class OwnTalk:
    """This process does it itself, by the very routes that a daemon has."""

    def __init__(self, routes: Sequence[ControlRoute]) -> None:
        self._routes = {route.path: route for route in routes}

    async def ask(self, path: str, kind: type[T], question: msgspec.Struct) -> T:
        """Do it; raises whatever it raises."""
        answer = await self._routes[path].answer(ControlRequest({}, msgspec.json.encode(question)))
        return msgspec.convert(answer, kind)


async def ask_on(other: Talk, path: str, kind: type[A], step: S) -> AsyncIterator[tuple[S, A]]:
    """Have a step done, and what it leaves as further steps until nothing is left; yield each with its answer.

    Raises TransientError when it comes no farther, and as ``ask`` of the talk does.
    """
    pending, idle = [step], 0
    while pending:
        asked = pending.pop(0)
        answer = await other.ask(path, kind, asked)
        yield asked, answer
        rest = [msgspec.structs.replace(asked, start=one.start, end=one.end) for one in answer.rest]
        idle = idle + 1 if rest == [asked] else 0
        if idle == _MOST_IDLE:
            raise TransientError(
                "nothing could be read or recorded for a long time",
                reason=FailureReason.TIMEOUT,
                remedy="see the daemon's log and mcwatch status (the quota, the destinations, the disk); then run the "
                "same command again",
            )
        pending = rest + pending


@asynccontextmanager
async def talk(settings: Settings) -> AsyncIterator[Talk]:
    """Lend whoever does what a command asks for: the running daemon, else this process with the store's lock.

    With a shared store it is the replicas that run; for what only they can do there is no doing without them.
    """
    if settings.store.is_shared:
        async with fleet_asker(settings) as asker:
            yield asker
        return
    if await ask(settings.store.path, "/status", msgspec.Raw) is not None:
        yield DaemonTalk(settings.store.path)
        return
    async with app.offline_routes(settings) as routes:
        yield OwnTalk(routes)


async def asked(settings: Settings, target: str, kind: type[T]) -> T | None:
    """Ask as :func:`ask` does; None also with a shared store, which is asked without a daemon."""
    return None if settings.store.is_shared else await ask(settings.store.path, target, kind)


async def ask(store_file: Path, target: str, kind: type[T]) -> T | None:
    """Ask ``target`` (path and query) of the daemon that works on this store; None when none runs.

    Raises TransientError when a daemon is there and does not answer, PermanentError when it says no.
    """
    return await _request(store_file, "GET", target, kind, body=None, timeout_secs=local.TIMEOUT_SECS)


async def posted(settings: Settings, path: str, kind: type[T], question: msgspec.Struct) -> T | None:
    """Ask with a body; None when no daemon runs, and as with :func:`asked`. Raises as :func:`ask` does."""
    if settings.store.is_shared:
        return None
    body = msgspec.json.encode(question)
    return await _request(settings.store.path, "POST", path, kind, body=body, timeout_secs=local.TIMEOUT_SECS)


async def _request(
    store_file: Path, method: str, target: str, kind: type[T], *, body: bytes | None, timeout_secs: float
) -> T | None:
    connected = local.connect(store_file)
    if connected is None:
        return None
    connected.close()
    path = control_socket_path(store_file)
    with short_path(path) as short:
        async with HttpClient(ClientOptions(timeout_secs=timeout_secs, unix_socket=short)) as client:
            try:
                response = await client.request(method, f"http://mcwatch{target}", body=body)
            except TransientError as error:
                if error.reason is FailureReason.CONNECTION:
                    return None
                raise local.silent(path, timeout_secs) from error
    return local.decoded(response.status, response.body, kind, target)
