"""Threads that ask the database: work queues up, and what waits goes together."""

import queue
import threading
from abc import ABC, abstractmethod
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import psycopg

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.store.postgres.connection import Connection
from mcwatch.store.postgres.errors import translate
from mcwatch.store.postgres.link import Link

Held = Collection[int]
Work = Callable[[Connection, Held], Any]
"""Work gets the connection and, of the accounts it was given with, the ids of those whose leases were proved."""

After = Callable[[Any], None]
_GROUP = 64


@dataclass(slots=True)
class Job:
    """A piece of work and who waits for it.

    ``accounts`` are the ids whose leases are to be proved in its transaction; ``alone`` keeps others out of that.
    """

    work: Work | None
    future: "Future[Any]"
    loop: AbstractEventLoop
    after: After | None = None
    accounts: frozenset[int] = field(default=frozenset())
    alone: bool = False
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Tell whoever waits; on the thread of its loop."""
        if self.error is None and self.after is not None:
            try:
                self.after(self.result)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it rather than wait for ever
                self.error = error
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Worker(ABC):
    """A thread with a connection of its own. Subclasses say how a group of jobs is done."""

    def __init__(self, name: str, link: Link, place: str) -> None:
        self.link = link
        self._place = place
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"mcwatch-store-{name}", daemon=True)

    @property
    def name(self) -> str:
        """What the thread is called."""
        return self._thread.name

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, job: Job) -> "Future[Any]":
        """Queue a job; its future ends when it is done, and cancelling that does not stop it.

        A job without work ends when those queued before it have ended.
        """
        self._jobs.put(job)
        return job.future

    def finish(self) -> None:
        """Take no more; what is queued is done as far as the server answers."""
        self._jobs.put(None)
        self.link.end()

    def join(self) -> None:
        """Wait for the end of what is queued and close the connection; blocks."""
        if self._thread.is_alive():
            self._thread.join()
        self.link.close()

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            self.link.begins()
            try:
                self.do([job for job in group if job.work is not None])
            finally:
                self.link.ends()
            for loop in {job.loop for job in group}:
                mine = [job for job in group if job.loop is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle_all, mine)
            del group

    def _next_group(self) -> list[Job] | None:
        first = self._jobs.get()
        if first is None:
            return None
        group = [first]
        while len(group) < _GROUP:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            group.append(job)
        return group

    @abstractmethod
    def do(self, jobs: list[Job]) -> None:
        """Do the jobs; each has its result or its error then, and nothing is raised."""

    def meaning(self, error: BaseException) -> BaseException:
        """Return what an error means for whoever waits."""
        if not isinstance(error, psycopg.Error):
            return error
        meaning = translate(error, self._place)
        meaning.__cause__ = error
        return meaning


def _settle_all(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()


class Reader(Worker):
    """Answers questions, each by itself; work makes the transactions it needs."""

    def do(self, jobs: list[Job]) -> None:
        """Ask each; once nobody can be reached, the others are not kept waiting for that."""
        away: StoreUnavailable | None = None
        for job in jobs:
            if away is not None:
                job.error = away
                continue
            try:
                self._ask(job)
            except StoreUnavailable as error:
                job.error = away = error
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                job.error = error

    def _ask(self, job: Job) -> None:
        connection = self.link.connection()
        self._try(connection, job)
        if job.error is not None and connection.closed:
            # Found out only now that the server had closed it; a question does no harm when asked twice.
            job.error = None
            self._try(self.link.connection(), job)

    def _try(self, connection: Connection, job: Job) -> None:
        self.link.begins()
        try:
            if job.work is not None:
                job.result = job.work(connection, ())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
            job.error = self.meaning(error)
        finally:
            undo(connection)


def undo(connection: Connection) -> None:
    """End a transaction that is under way; a connection that cannot is closed."""
    if connection.closed or connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
        return
    try:
        connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()
