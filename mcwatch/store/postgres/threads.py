"""What runs on which thread of a store, each with a connection of its own: so the connections are bounded too."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeVar
from zlib import crc32

import structlog

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.interfaces import Clock
from mcwatch.store.postgres import retention
from mcwatch.store.postgres.connection import Connection, Limits, connect, migrate, place_of
from mcwatch.store.postgres.errors import StoreFull, StoreReadOnly, translated
from mcwatch.store.postgres.link import Link
from mcwatch.store.postgres.options import PostgresOptions
from mcwatch.store.postgres.room import try_to_write
from mcwatch.store.postgres.worker import After, Held, Job, Reader, Work, Worker
from mcwatch.store.postgres.writer import Fence, Writer
from mcwatch.telemetry.metrics import Metrics

T = TypeVar("T")
W = TypeVar("W", bound=Worker)

WRITERS = 4

_LIMITS = Limits()
_LOOK_SECS = 1.0
_GRACE_SECS = 3.0
"""So much longer than a statement may take a server is silent before it is cut off: its own time limit comes first."""

_LEASE_SHARE = 0.15
"""Of the lease's duration: so long a statement of a beat may take, which leaves time for another try."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece of writing is done and what it needs; see worker.Job."""

    writer: int = 0
    accounts: frozenset[int] = frozenset()
    alone: bool = False


def writer_of(account_id: int) -> int:
    """Return which writer the pages of an account go through, in the order in which they come."""
    return account_id % WRITERS


def writer_for(destination: str) -> int:
    """Return which writer the settlements of a destination go through."""
    return crc32(destination.encode()) % WRITERS


class PostgresThreads:
    """Four threads that write, two that read, one for leases, and one that cuts off a server that stands still."""

    def __init__(
        self, options: PostgresOptions, fence: Fence, *, clock: Clock, metrics: Metrics, chance: Random
    ) -> None:
        self._options = options
        self._fence = fence
        self._clock = clock
        self._metrics = metrics
        self._chance = chance
        self._workers: list[tuple[Worker, Limits]] = []
        self._writers: list[Writer] = []
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._cut_silent, name="mcwatch-store-watch", daemon=True)
        self.place = "not opened"
        self.full = False
        """The server has no room or takes no writes: pages are refused until a try shows that it does."""

    async def open(self) -> None:
        """Bring the schema up to date, connect and start the threads."""
        self.place = place_of(self._options)
        try:
            await asyncio.to_thread(self._open)
        except BaseException:
            await asyncio.to_thread(self.shut)
            raise

    def shut(self) -> None:
        """Finish what was asked and close the connections; blocks."""
        for worker, _ in self._workers:
            worker.finish()
        for worker, _ in self._workers:
            worker.join()
        self._ended.set()
        if self._watch.is_alive():
            self._watch.join()

    def _open(self) -> None:
        connection = connect(self._options).connection
        try:
            migrate(connection, self.place)
            with translated(self.place), connection.transaction():
                retention.ensure_partitions(connection, self._clock.now(), self._options.keep)
        finally:
            connection.close()
        longest_secs = min(self._options.lease_duration_secs * _LEASE_SHARE, _LIMITS.statement_secs)
        brief = Limits(longest_secs, min(longest_secs, _LIMITS.lock_secs))
        for number in range(WRITERS):
            self._writers.append(self._begin(self._writer(f"writer-{number}", _LIMITS), _LIMITS))
        self._questions = self._begin(Reader("questions", self._link(_LIMITS), self.place), _LIMITS)
        self._deliveries = self._begin(Reader("deliveries", self._link(_LIMITS), self.place), _LIMITS)
        self._leases = self._begin(self._writer("leases", brief), brief)
        self._watch.start()

    def _link(self, limits: Limits) -> Link:
        return Link(
            partial(connect, self._options, limits),
            monotonic=self._clock.monotonic,
            chance=Random(self._chance.getrandbits(64)),
            patience_secs=limits.statement_secs / 2,
        )

    def _writer(self, name: str, limits: Limits) -> Writer:
        observe, monotonic = self._metrics.store_commit_duration_seconds.observe, self._clock.monotonic
        return Writer(name, self._link(limits), self.place, fence=self._fence, observe=observe, monotonic=monotonic)

    def _begin(self, worker: W, limits: Limits) -> W:
        worker.link.open()
        worker.start()
        self._workers.append((worker, limits))
        return worker

    def _cut_silent(self) -> None:
        while not self._ended.wait(_LOOK_SECS):
            for worker, limits in self._workers:
                if worker.link.cut_if_silent(limits.statement_secs + _GRACE_SECS):
                    logger.warning("store_silent", store=self.place, thread=worker.name)

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """Ask what may take a while, or belongs to nobody in particular."""
        return await self._answered(self._questions, question)

    async def ask_for_delivery(self, question: Callable[[Connection], T]) -> T:
        """Ask what the way to the destinations waits for."""
        return await self._answered(self._deliveries, question)

    @staticmethod
    async def _answered(reader: Reader, question: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        result: T = await reader.put(Job(lambda connection, _: question(connection), loop.create_future(), loop))
        return result

    async def submit(
        self, work: Callable[[Connection, Held], T], place: Place, after: Callable[[T], None] | None = None
    ) -> T:
        """Do work on a writer's thread and commit it; ``after`` gets its result before anybody else."""
        loop = asyncio.get_running_loop()
        job = Job(work, loop.create_future(), loop, after, place.accounts, place.alone)
        try:
            result: T = await self._writers[place.writer].put(job)
        except (StoreFull, StoreReadOnly) as error:
            self._declare_full(error)
            raise
        return result

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do what belongs to no account and needs no lease."""
        return await self.submit(lambda connection, _: work(connection), Place())

    async def lease(self, work: Work, after: After) -> None:
        """Do work on the leases' thread and commit it."""
        loop = asyncio.get_running_loop()
        try:
            await self._leases.put(Job(work, loop.create_future(), loop, after))
        except (StoreFull, StoreReadOnly) as error:
            self._declare_full(error)
            raise

    async def ping(self) -> None:
        """Return when each writer has ended what was asked of it before, whatever became of that."""
        loop = asyncio.get_running_loop()
        for answer in [writer.put(Job(None, loop.create_future(), loop)) for writer in self._writers]:
            await answer

    async def recover(self) -> bool:
        """Try to write if that was refused; return whether there is room.

        Raises StoreUnavailable when the server takes no writes for another reason.
        """
        if not self.full:
            return True
        try:
            await self.ask(try_to_write)
        except StoreFull:
            return False
        self.full = False
        logger.info("store_writable_again", store=self.place)
        return True

    def _declare_full(self, error: StoreUnavailable) -> None:
        if not self.full:
            self.full = True
            logger.error("store_not_writable", store=self.place, error=str(error))
