"""The one thread that writes: whatever waits is committed together, each piece of work undone alone when it fails."""

import queue
import sqlite3
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcwatch.domain.errors import StoreCorrupt
from mcwatch.store.sqlite.errors import translate

Work = Callable[[sqlite3.Connection], Any]
After = Callable[[Any], None]
_GROUP = 64


@dataclass(slots=True)
class _Job:
    work: Work | None
    future: "Future[Any]"
    loop: AbstractEventLoop
    after: After | None
    call: Callable[[], None] | None = None
    """Done outside any transaction, before the works it waited with."""
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
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


class Writer:
    """Runs work against the writing connection in transactions of the thread's own.

    Work that waits shares one commit, since a commit costs an fsync and the work little. ``observe`` is called with the
    seconds each commit that changed something took.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        observe: Callable[[float], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._path = path
        self._observe = observe
        self._monotonic = monotonic
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._broken: StoreCorrupt | None = None
        """Set for good once the file cannot be trusted: after a failed fsync a second try may seem to succeed."""
        self._thread = threading.Thread(target=self._run, name="mcwatch-store-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, work: Work, loop: AbstractEventLoop, after: After | None = None) -> "Future[Any]":
        """Queue work; the future ends after its commit.

        Cancelling the future does not stop the work; ``after`` gets its result on the loop's thread in any case.
        """
        job = _Job(work, loop.create_future(), loop, after)
        self._jobs.put(job)
        return job.future

    def call(self, call: Callable[[], None], loop: AbstractEventLoop) -> "Future[Any]":
        """Queue a call that needs no transaction and never raises; it runs before any work queued after it.

        The future ends when the works queued before it have ended too.
        """
        job = _Job(None, loop.create_future(), loop, None, call)
        self._jobs.put(job)
        return job.future

    def stop(self) -> None:
        """Finish what is queued, move the log into the file, close the connection; blocks."""
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            for call in [job.call for job in group if job.call is not None]:
                call()
            self._commit_all([job for job in group if job.work is not None])
            for loop in {job.loop for job in group}:
                mine = [job for job in group if job.loop is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle_all, mine)
            del group
        self._close()

    def _next_group(self) -> list[_Job] | None:
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

    def _commit_all(self, works: list[_Job]) -> None:
        if works:
            self._commit(works)
        if len(works) > 1 and any(job.error for job in works):
            self._one_by_one(works)

    def _commit(self, group: list[_Job]) -> None:
        """Do all work in one transaction; a failure undoes and marks the whole group."""
        started = self._monotonic()
        try:
            changes = self._transact(group)
        except BaseException as error:  # noqa: BLE001 - every failure belongs to whoever asked for the work
            self._undo()
            meaning = self._meaning(error)
            if isinstance(meaning, StoreCorrupt):
                self._broken = meaning
            for job in group:
                job.error = meaning
        else:
            if changes:
                self._observe(self._monotonic() - started)

    def _transact(self, group: list[_Job]) -> int:
        """Return how many rows changed."""
        if self._broken is not None:
            raise self._broken
        self._connection.execute("BEGIN IMMEDIATE")
        before = self._connection.total_changes
        for job in group:
            if job.work is not None:
                job.result = job.work(self._connection)
        changes = self._connection.total_changes - before
        self._connection.execute("COMMIT")
        return changes

    def _one_by_one(self, group: list[_Job]) -> None:
        """Give each work a transaction of its own, so that only the one at fault fails."""
        for job in group:
            job.error = None
            self._commit([job])

    def _undo(self) -> None:
        # SQLite has already rolled back by itself after SQLITE_FULL and some I/O errors.
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                self._connection.interrupt()

    def _meaning(self, error: BaseException) -> BaseException:
        if not isinstance(error, (sqlite3.Error, MemoryError)):
            return error
        meaning = translate(error, self._path)
        meaning.__cause__ = error
        return meaning

    def _close(self) -> None:
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            # The log stays beside the file and is read at the next start.
            self._connection.interrupt()
        self._connection.close()


def _settle_all(jobs: list[_Job]) -> None:
    for job in jobs:
        job.settle()
