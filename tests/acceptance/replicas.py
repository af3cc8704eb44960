"""Several replicas on one PostgreSQL: real processes, each with its own wire to it and its own door to the API."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg

from mcwatch.domain.leasing import LAPSE_SHARE
from tests.acceptance.daemon import Daemon
from tests.acceptance.lease_history import LeaseHistory, Reign
from tests.acceptance.ledgers import Row, row_shown
from tests.acceptance.waiting import eventually, pass_time
from tests.acceptance.watched_api import Question, WatchedApi
from tests.fakes.tcp_proxy import TcpProxy

_LAST_LINES = 12
_ROUNDED_SECS = 0.002
"""How wrong a poll's beginning may be that is told by its end and its length."""
_ASK_SECS = 0.1

Configure = Callable[[str, str, str], Mapping[str, Any]]
"""Makes a configuration of a replica's name, the API's base URL and the store's URL."""


@dataclass
class Replica:
    """One life of a replica, such as ``a2``: the second process called ``a``. ``ahead_secs`` is what its clock is."""

    life: str
    daemon: Daemon
    wire: TcpProxy
    ahead_secs: float = 0.0

    @property
    def name(self) -> str:
        """The replica's name."""
        return self.life[0]

    @cached_property
    def polls(self) -> dict[tuple[str, str], list[tuple[float, float]]]:
        """When its polls that ended well began and ended, by account and source; to be asked at the end."""
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for line in self.daemon.find("poll_done"):
            ended_at = datetime.fromisoformat(line["timestamp"]).timestamp() - self.ahead_secs
            begun_at = ended_at - line["secs"] - _ROUNDED_SECS
            found.setdefault((line["account"], line["source"]), []).append((begun_at, ended_at))
        return found

    def has_committed(self, question: Question) -> bool:
        """Tell whether the poll that a question belongs to ended well, by the process's own log."""
        polls = self.polls.get((question.account, question.source), [])
        return any(begun_at <= question.at and question.answered_at <= ended_at for begun_at, ended_at in polls)

    def last_words(self) -> str:
        """Return the last lines of its log, and the last of those that warn."""
        lines = self.daemon.stderr.splitlines()
        warnings = [line for line in lines if '"level":"info"' not in line]
        return "\n".join([f"--- {self.life}", *warnings[-_LAST_LINES:], "...", *lines[-_LAST_LINES:]])


@dataclass
class Replicas:
    """All lives of all replicas; leaving the context ends what still runs, and a failure gets their last words."""

    place: Path
    api: WatchedApi
    url: str
    configure: Configure
    lease_secs: float
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ahead_secs: Mapping[str, float] = field(default_factory=dict)
    lives: dict[str, Replica] = field(default_factory=dict)
    running: dict[str, Replica] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history = LeaseHistory(self.url, self.life_of, self.lease_secs * LAPSE_SHARE)
        self._stack = AsyncExitStack()
        self._born: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note("\n".join(replica.last_words() for replica in self.lives.values()))
        await self._stack.aclose()

    async def start(self, *names: str) -> None:
        """Start a process for each name, side by side."""
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._start(name))

    async def _start(self, name: str) -> None:
        self._born[name] += 1
        life = f"{name}{self._born[name]}"
        place = self.place / life
        place.mkdir()
        parts = urlsplit(self.url)
        wire = await self._stack.enter_async_context(TcpProxy(parts.port or 0))
        url = urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{wire.port}"))
        config = self.configure(name, await self.api.door(life), url)
        daemon = Daemon(place, config, env=self.environments.get(name))
        self.lives[life] = replica = Replica(life, daemon, wire, self.ahead_secs.get(name, 0.0))
        await self._stack.enter_async_context(daemon)
        self.running[name] = replica

    async def stop(self, name: str) -> None:
        """Ask a replica to end in order, and wait until it has."""
        assert 0 == await self.running.pop(name).daemon.stop(30.0)

    def life_of(self, port: int, at: float) -> str:
        """Tell which process made the connection that the database saw come from a port at a time; "" for none."""
        made = [
            (passage.since, replica.life)
            for replica in self.lives.values()
            for passage in replica.wire.passages
            if passage.port == port and passage.since <= at
        ]
        return max(made)[1] if made else ""

    async def balanced(self, within_secs: float = 30.0) -> None:
        """Wait until those that run, and only they, hold all accounts in equal shares."""

        async def shares_are_equal() -> bool:
            await pass_time(_ASK_SECS)
            try:
                shares = await asyncio.to_thread(self.history.shares)
            except psycopg.OperationalError as error:
                raise AssertionError(str(error)) from error
            accounts, lives = len(self.api.config.accounts), [replica.life for replica in self.running.values()]
            assert set(shares) == set(lives), shares
            assert max(shares.values()) <= -(-accounts // len(lives)), shares
            assert sum(shares.values()) == accounts, shares
            return True

        await eventually(shares_are_equal, within_secs)

    def lost_rows(self, arrived: set[Row]) -> tuple[list[str], int]:
        """Return the rows shown that did not arrive though a poll ended well with them, and how many none did with."""
        lost: dict[tuple[object, ...], str] = {}
        for question in self.api.questions:
            for sighting in question.rows:
                if row_shown(sighting) not in arrived:
                    known = lost.setdefault(sighting, "")
                    if not known and self.lives[question.life].has_committed(question):
                        lost[sighting] = f"{sighting} shown to {question.life} at {question.at}"
        return [text for text in lost.values() if text], sum(not text for text in lost.values())

    def trespasses(self, reigns: Mapping[str, list[Reign]]) -> list[Question]:
        """Return the questions of processes that did not hold the account when they asked."""
        return [
            question
            for question in self.api.questions
            if not any(
                reign.life == question.life and reign.since <= question.at < reign.until
                for reign in reigns[question.account]
            )
        ]
