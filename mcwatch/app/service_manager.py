"""What a service manager such as systemd is told (sd_notify(3)): ready, how it is, still alive, stopping.

The sign of life is not a bare timer: it is given only while the event loop turns, the store's thread answers and every
other loop turns or rests. Loops that hang are reported in the log also where no service manager listens.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Never

import structlog

from mcwatch.interfaces import Clock
from mcwatch.settings.environment import ServiceManagerAddress
from mcwatch.telemetry.health import ComponentKind, Condition, Health
from mcwatch.telemetry.liveness import Liveness, resting, turns

_LOOK_SECS = 5.0
_FROZEN_SECS = 30.0
"""Whoever looks so much later than it meant to stood still with the whole process: a suspended machine, SIGSTOP."""
_EXTENSION_SECS = 60.0
"""How much more time the end gets with each look; closing the store, after the last one, takes less."""
_COUNTED = (ComponentKind.ACCOUNT, ComponentKind.DESTINATION)
_MOST_NAMED = 3
_MOST_CHARACTERS = 400

logger = structlog.get_logger(__name__)


class Notifier:
    """Sends messages to the service manager's socket, a path or an abstract name that begins with @.

    Without one it does nothing, and says that it is sent.
    """

    def __init__(self, address: str | None) -> None:
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._owed: list[str] = []
        self._fails = False
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Give the socket back."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def send(self, *lines: str, lasting: bool = False) -> bool:
        """Send a message without waiting and tell whether it was taken; a ``lasting`` one waits for the next if not."""
        if not self._address:
            return True
        self._owed.append("\n".join(lines))
        try:
            self._socket = self._socket or socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            while self._owed:
                self._socket.sendto(self._owed[0].encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, self._address)
                self._owed.pop(0)
        except OSError as error:
            self._report(error)
            if not lasting:
                self._owed.pop()
            return False
        self._fails = False
        return True

    def _report(self, error: OSError) -> None:
        if not self._fails:
            logger.warning(
                "service_manager_unreachable",
                reason=error.strerror or type(error).__name__,
                remedy="start mcwatch as a service with Type=notify, or without NOTIFY_SOCKET in its environment",
            )
        self._fails = True


class ServiceManager:
    """Keeps the service manager informed about one daemon; :meth:`run` is a loop beside the daemon's others."""

    def __init__(
        self,
        address: ServiceManagerAddress | None,
        *,
        liveness: Liveness,
        health: Health,
        ping: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._notifier = Notifier(address.socket if address else None)
        self._liveness = liveness
        self._health = health
        self._ping = ping
        self._clock = clock
        watchdog_secs = address.watchdog_secs if address else None
        self._feed_secs = watchdog_secs / 2 if watchdog_secs else None
        # Looks often enough, and one of them falls on the time to give a sign of life.
        often = self._feed_secs or _LOOK_SECS
        self._look_secs = often / ceil(often / _LOOK_SECS)
        self._fed_at: float | None = None
        self._stuck: dict[str, None] = {}
        self._doing = ""
        self._is_stopping = False
        self._told = ""

    async def run(self) -> Never:
        """Judge the loops, give the sign of life, keep the status text current; for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._liveness.watched("store writer", self._ask_store), name="store writer answers")
                while True:
                    self._look()
                    asked_at = self._clock.monotonic()
                    await self._clock.sleep(self._look_secs)
                    now = self._clock.monotonic()
                    if now - asked_at > self._look_secs + _FROZEN_SECS:
                        self._liveness.pardon(now)
        finally:
            if self._is_stopping:
                self._notifier.send(f"EXTEND_TIMEOUT_USEC={_usec(_EXTENSION_SECS)}")

    def ready(self) -> None:
        """Say that the daemon listens and its loops have begun."""
        self._doing = ""
        self._tell("READY=1", lasting=True)

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that the configuration is read again while the body runs, and afterwards that this is over."""
        self._doing = "reloading the configuration"
        self._tell("RELOADING=1", f"MONOTONIC_USEC={_usec(self._clock.monotonic())}", lasting=True)
        try:
            yield
        finally:
            self.ready()

    def stopping(self) -> None:
        """Say that the daemon ends; as long as :meth:`run` goes on it gets the time it needs."""
        self._doing = "stopping: delivers what is due"
        self._is_stopping = True
        self._tell("STOPPING=1", lasting=True)

    def close(self) -> None:
        """Say nothing more."""
        self._notifier.close()

    async def _ask_store(self) -> None:
        while True:
            turns("commit")
            await self._ping()
            with resting("interval", self._look_secs):
                await self._clock.sleep(self._look_secs)

    def _look(self) -> None:
        now = self._clock.monotonic()
        self._judge(now)
        lines = [f"EXTEND_TIMEOUT_USEC={_usec(self._look_secs + _EXTENSION_SECS)}"] if self._is_stopping else []
        feeds = not self._stuck and self._is_due(now)
        if self._tell(*lines, *(["WATCHDOG=1"] if feeds else [])) and feeds:
            self._fed_at = now

    def _is_due(self, now: float) -> bool:
        if self._feed_secs is None:
            return False
        # Timers may end a moment early.
        return self._fed_at is None or now - self._fed_at >= self._feed_secs - self._look_secs / 2

    def _tell(self, *lines: str, lasting: bool = False) -> bool:
        """Send lines, and the status text when it has changed; tell whether they were taken."""
        status = self._status()
        changed = [status] if status != self._told else []
        if not lines and not changed:
            return True
        taken = self._notifier.send(*lines, *changed, lasting=lasting)
        if taken:
            self._told = status
        return taken

    def _judge(self, now: float) -> None:
        """Find the loops that hang, and log each once."""
        stuck = {one.name: one for one in self._liveness.stuck(now)}
        for name, one in stuck.items():
            if name not in self._stuck:
                logger.error(
                    "loop_stuck",
                    loop=name,
                    doing=one.reason,
                    silent_secs=round(now - one.since),
                    remedy="this is a defect, please report it with the log lines around it; "
                    "a service manager with a watchdog restarts mcwatch now, else restart it: nothing is lost by that",
                )
        for name in self._stuck:
            if name not in stuck:
                logger.info("loop_turns_again", loop=name)
        self._stuck = dict.fromkeys(stuck)

    def _status(self) -> str:
        hanging = self._liveness.summary(self._clock.monotonic())
        parts = [part for part in (self._doing, hanging, describe(self._health)) if part]
        return "STATUS=" + _one_line("; ".join(parts))


def describe(health: Health) -> str:
    """Say in one line what works and what does not."""
    conditions = list(health.conditions())
    counts = ", ".join(
        _counted(sum(one.up is True and one.component.kind is kind for one in conditions), kind) for kind in _COUNTED
    )
    parts = [f"{counts} up"]
    if down := list(_down(conditions)):
        named = [f"{one.component} ({one.reason})" for one in down[:_MOST_NAMED]]
        more = [f"{len(down) - _MOST_NAMED} more"] if len(down) > _MOST_NAMED else []
        parts.append(f"{len(down)} down: {', '.join(named + more)}")
    if untried := sum(one.up is None and one.component.kind in _COUNTED for one in conditions):
        parts.append(f"{untried} not tried yet")
    if degraded := [str(one.component) for one in conditions if one.up and one.reason]:
        parts.append(f"{len(degraded)} degraded: {', '.join(degraded[:_MOST_NAMED])}")
    return "; ".join(parts)


def _down(conditions: list[Condition]) -> Iterator[Condition]:
    """Yield what is down, but no source of an account that is down as a whole."""
    accounts = {
        one.component.name for one in conditions if one.component.kind is ComponentKind.ACCOUNT and one.up is False
    }
    for one in conditions:
        if one.up is False and one.component.account not in accounts:
            yield one


def _counted(number: int, kind: ComponentKind) -> str:
    return f"{number} {kind}" if number == 1 else f"{number} {kind}s"


def _one_line(text: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= _MOST_CHARACTERS else plain[: _MOST_CHARACTERS - 1] + "…"


def _usec(secs: float) -> int:
    return round(secs * 1e6)
