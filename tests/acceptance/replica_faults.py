"""What befalls replicas and their database, and how long their accounts were polled by nobody."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.acceptance.lease_history import Reign
from tests.acceptance.replicas import Replica, Replicas
from tests.acceptance.waiting import pass_time
from tests.acceptance.watched_api import Question
from tests.fakes.postgres import PostgresServer

_BEYOND_LEASE = 1.3
"""So many lease durations a replica is stopped or cut off."""
_AWAKE_SECS = 3.0
"""So long after it can work again a process may go on with what it was about, before it knows what it has lost."""
_ANY_TIME = 0.3
"""Share of faults that come whatever the process is doing."""


@dataclass(frozen=True, slots=True)
class Loss:
    """From a moment on (seconds since 1970) a process worked no more or did not reach the database; "" for all."""

    kind: str
    life: str
    at: float


@dataclass
class Faults:
    """Lets things happen; each call returns when all is well again."""

    replicas: Replicas
    server: PostgresServer
    dice: random.Random
    losses: list[Loss] = field(default_factory=list)
    outages: list[Loss] = field(default_factory=list)

    async def happen(self, times: int) -> None:
        """Let every kind of fault happen so many times, in a drawn order."""
        kinds: list[Callable[[int], Awaitable[None]]] = [
            self.kill, self.stop_and_continue, self.cut_off, self.restart_database, self.roll,
        ]  # fmt: skip
        order = [(kind, number) for kind in kinds for number in range(times)]
        self.dice.shuffle(order)
        for kind, number in order:
            await self.replicas.balanced()
            await pass_time(self.dice.uniform(0.2, 1.5))
            await kind(number)

    async def kill(self, number: int) -> None:
        """Kill a process; every second time as if its node was gone, so that nobody tells the database either."""
        victim = self._victim()

        def node_dies() -> None:
            victim.wire.hold()
            victim.daemon.kill()

        if number % 2:
            await self._befall(victim, "killed with its node", node_dies)
        else:
            await self._befall(victim, "killed", victim.daemon.kill)
        await victim.daemon.exit_code()
        if self.dice.random() < 0.5:
            await pass_time(self.replicas.lease_secs)
        await self.replicas.start(victim.name)

    async def stop_and_continue(self, _number: int) -> None:
        """Stop a process for longer than its lease."""
        victim = self._victim()
        await self._befall(victim, "stopped", lambda: victim.daemon.signal(signal.SIGSTOP))
        await pass_time(self.replicas.lease_secs * _BEYOND_LEASE)
        victim.daemon.signal(signal.SIGCONT)

    async def cut_off(self, number: int) -> None:
        """Cut a process off from the database: all is refused, or nothing passes and what waited arrives late."""
        victim = self._victim()
        if number % 2:
            await self._befall(victim, "cut off", victim.wire.cut)
        else:
            await self._befall(victim, "cut off unawares", victim.wire.hold)
        await pass_time(self.replicas.lease_secs * _BEYOND_LEASE)
        victim.wire.let_go()

    async def restart_database(self, number: int) -> None:
        """Crash the database and start it again, every second time after the lease."""
        outage = Loss("database", "", time.time())
        await asyncio.to_thread(self.server.stop, "QUIT")
        if number % 2:
            await pass_time(self.replicas.lease_secs * _BEYOND_LEASE)
        await asyncio.to_thread(self.server.start)
        self.outages.append(outage)

    async def roll(self, _number: int) -> None:
        """Ask a process to end, and start it again."""
        victim = self._victim()
        await self.replicas.stop(victim.name)
        await self.replicas.start(victim.name)

    def _victim(self) -> Replica:
        return self.dice.choice([replica for _, replica in sorted(self.replicas.running.items())])

    async def _befall(self, victim: Replica, kind: str, act: Callable[[], None]) -> None:
        """Act at any time, or while the process waits for an answer of the API, so that it has a page under way."""
        struck = asyncio.Event()

        def strike(question: Question | None) -> None:
            if not struck.is_set() and (question is None or question.life == victim.life):
                act()
                self.losses.append(Loss(kind, victim.life, time.time()))
                struck.set()

        if self.dice.random() < _ANY_TIME:
            strike(None)
        self.replicas.api.when_asked = strike
        await struck.wait()

    def unpolled_secs(self, reigns: Mapping[str, list[Reign]]) -> dict[str, list[float]]:
        """Return by kind of loss how long after it each of the accounts held was asked for by somebody else."""
        found: dict[str, list[float]] = {}
        for loss in self.losses:
            held = {
                account
                for account, rulers in reigns.items()
                if any(one.life == loss.life and one.since <= loss.at < one.until for one in rulers)
            }
            assert held, f"nothing was held at {loss}"
            first: dict[str, float] = {}
            for question in self.replicas.api.questions:
                if question.account in held and question.life != loss.life and question.at > loss.at:
                    first.setdefault(question.account, question.at - loss.at)
            assert held == set(first), f"never asked for again after {loss}: {held - set(first)}"
            found.setdefault(loss.kind, []).extend(first.values())
        return found

    def unexplained(self, trespasses: Sequence[Question]) -> list[Question]:
        """Return those questions out of turn that nobody asked who has just been stopped or cut off, as all may be."""
        away_secs = self.replicas.lease_secs * _BEYOND_LEASE + _AWAKE_SECS
        away = [*self.outages, *(loss for loss in self.losses if not loss.kind.startswith("killed"))]
        return [
            question
            for question in trespasses
            if not any(loss.life in {"", question.life} and 0 < question.at - loss.at < away_secs for loss in away)
        ]
