"""What people ask of the fleet, done by this replica: commands come as rows of the shared store."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import Context
from functools import partial
from typing import Protocol

import msgspec
import structlog

from mcwatch.domain.errors import LeaseLost, McwatchError, PermanentError, StoreUnavailable
from mcwatch.domain.failure import SentFailure
from mcwatch.httpserver.control import ControlRequest, ControlRoute
from mcwatch.interfaces import Clock
from mcwatch.telemetry.liveness import resting, turns

_EVERY_SECS = 0.5
_MOST_AT_ONCE = 8
"""Steps of one account wait for each other, and those of different accounts share the requests that are allowed."""

logger = structlog.get_logger(__name__)


class Command(Protocol):
    """What somebody asks for. ``question`` is what was asked with it, as JSON."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def path(self) -> str:
        """The route that it would take over a control socket."""

    @property
    def question(self) -> bytes:
        """The body of the request."""


class CommandRows(Protocol):
    """The open commands of the shared store, for one replica; all raise StoreUnavailable."""

    async def pick(self, ready: Collection[int] | None = None) -> Command | None:
        """Take a command that somebody waits for: of an account that is held and ``ready`` here, or of none."""

    async def awaited(self, command_ids: Collection[int]) -> Collection[int]:
        """Return those of these commands that are this replica's still, and that somebody waits for."""

    async def answer(self, command_id: int, *, answer: bytes | None = None, failure: bytes | None = None) -> bool:
        """Answer a command with a result or a failure; return whether that was still this replica's to do."""

    async def give_back(self, command_id: int) -> None:
        """Leave a command to whoever takes it next."""


class Commanding:
    """Takes the commands that are for this replica and answers them, several side by side.

    Args:
        rows: where they come from.
        routes: what can be done; those of a control socket.
        ready: returns the ids of the accounts whose parts are at work here.
        clock: for the pauses.
    """

    def __init__(
        self, rows: CommandRows, routes: Sequence[ControlRoute], ready: Callable[[], Collection[int]], clock: Clock
    ) -> None:
        self._rows = rows
        self._routes: Mapping[str, ControlRoute] = {route.path: route for route in routes}
        self._ready = ready
        self._clock = clock
        self._running: dict[int, asyncio.Task[None]] = {}
        self._is_away = False

    async def run(self) -> None:
        """Look for commands for ever, also while some are being done; those end with this loop."""
        async with asyncio.TaskGroup() as group:
            while True:
                with resting("interval"):
                    await self._clock.sleep(_EVERY_SECS)
                turns("commands")
                try:
                    await self._look(group)
                except StoreUnavailable as error:
                    if not self._is_away:
                        logger.warning("commands_wait", reason=str(error))
                    self._is_away = True
                else:
                    self._is_away = False

    async def _look(self, group: asyncio.TaskGroup) -> None:
        if self._running:
            awaited = set(await self._rows.awaited(list(self._running)))
            for number in self._running.keys() - awaited:
                # Whoever asked has gone away, as when a command hangs up the control socket; or another one does it.
                self._running.pop(number).cancel()
                # Or the store was away, and whoever asked could not say that it waits.
                await self._rows.give_back(number)
        while len(self._running) < _MOST_AT_ONCE:
            command = await self._rows.pick(self._ready())
            if command is None:
                return
            # In a context of its own: a step that takes long is neither a sign of this loop's life nor of its death.
            task = group.create_task(self._do(command), name=f"command {command.path}", context=Context())
            self._running[command.id] = task
            task.add_done_callback(partial(self._ended, command.id))

    def _ended(self, number: int, task: "asyncio.Task[None]") -> None:
        if self._running.get(number) is task:
            del self._running[number]

    async def _do(self, command: Command) -> None:
        """Do what a command asks and say what became of it; without its account it is left to the next holder."""
        rows, number = self._rows, command.id
        try:
            answer = msgspec.json.encode(await self._answer(command))
        except LeaseLost:
            await self._said(lambda: rows.give_back(number))
        except McwatchError as error:
            failure = msgspec.json.encode(SentFailure.of(error))
            await self._said(lambda: rows.answer(number, failure=failure))
        except Exception:
            logger.exception("command_defect", path=command.path)
            defect = McwatchError("a defect in mcwatch", remedy="see the log of the replica that did it")
            failure = msgspec.json.encode(SentFailure.of(defect))
            await self._said(lambda: rows.answer(number, failure=failure))
        else:
            await self._said(lambda: rows.answer(number, answer=answer))

    async def _answer(self, command: Command) -> object:
        route = self._routes.get(command.path)
        if route is None:
            raise PermanentError(
                f"this replica does not know {command.path}: it is of another version",
                remedy="bring the command and all replicas to one version",
            )
        return await route.answer(ControlRequest({}, command.question))

    async def _said(self, say: Callable[[], Awaitable[object]]) -> None:
        """Say what became of a command once the store takes it; nobody else would know that it has been done."""
        while True:
            try:
                await say()
            except StoreUnavailable:
                await self._clock.sleep(_EVERY_SECS)
            else:
                return
