"""What runs on which thread of a store, and what a full disk changes."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import structlog

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.interfaces import Clock
from mcwatch.store.sqlite import figures
from mcwatch.store.sqlite.connection import StoreLock, open_reader, open_writer
from mcwatch.store.sqlite.errors import StoreFull, StoreReadOnly, translated, why_unwritable
from mcwatch.store.sqlite.reserve import Reserve
from mcwatch.store.sqlite.writer import Writer
from mcwatch.telemetry.metrics import Metrics

T = TypeVar("T")

logger = structlog.get_logger(__name__)


def _open_both(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    writing = open_writer(path)
    try:
        return writing, open_reader(path)
    except BaseException:
        writing.close()
        raise


class StoreThreads:
    """One thread that writes and one that reads, each with its connection, and the reserve for a full disk."""

    def __init__(self, path: Path, reserve_bytes: int, *, clock: Clock, metrics: Metrics) -> None:
        self._path = path
        self._reserve_bytes = reserve_bytes
        self._reserve = Reserve(path, reserve_bytes)
        self._clock = clock
        self._metrics = metrics
        self._stack = ExitStack()
        self.full = False
        """Nothing but what must go on is written until the reserve could be taken back."""
        self._is_read_only = False

    async def open(self) -> None:
        """Lock and open the file, and start the threads."""
        loop = asyncio.get_running_loop()
        try:
            self._stack.enter_context(StoreLock(self._path))
            writing, self._reading = await self._opened()
            self._stack.callback(self._reading.close)
            observe = self._metrics.store_commit_duration_seconds.observe
            self._writer = Writer(writing, self._path, observe, self._clock.monotonic)
            self._writer.start()
            self._stack.callback(self._writer.stop)
            self._reader = self._stack.enter_context(ThreadPoolExecutor(1, "mcwatch-store-reader"))
            self.full = self.full or not await loop.run_in_executor(self._reader, self._reserve.take)
        except BaseException:
            self.shut()
            raise

    def shut(self) -> None:
        """Finish what was asked and close the file; blocks."""
        self._stack.close()

    async def _opened(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        """Open both connections; a start on a full disk takes the reserve for what opening needs."""
        try:
            return await asyncio.to_thread(_open_both, self._path)
        except StoreFull:
            self._declare_full()
            await asyncio.to_thread(self._reserve.release)
        return await asyncio.to_thread(_open_both, self._path)

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask on the reader thread."""

        def ask() -> T:
            with translated(self._path):
                return question(self._reading)

        return await asyncio.get_running_loop().run_in_executor(self._reader, ask)

    async def submit(self, work: Callable[[sqlite3.Connection], T], after: Callable[[T], None] | None = None) -> T:
        """Do work on the writer thread and commit it; ``after`` gets its result before anybody else."""
        try:
            result: T = await self._writer.submit(work, asyncio.get_running_loop(), after)
        except StoreReadOnly:
            self._declare_read_only()
            raise
        return result

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do what must go on when the disk is full: the reserve is for it."""
        was_full = self.full
        try:
            return await self.submit(work)
        except StoreFull:
            if was_full:
                raise
            self.give_up_reserve()
        return await self.submit(work)

    def give_up_reserve(self) -> None:
        """Have the reserve removed before any work queued from now on."""
        if not self.full:
            self._declare_full()
            _ = self._writer.call(self._reserve.release, asyncio.get_running_loop())

    async def recover(self) -> bool:
        """Take the reserve back if there is room again; return whether pages can be committed."""
        await self._refuse_while_read_only()
        if not self.full:
            return True
        # A reserve being given up must be gone before it is taken back.
        await self.ping()
        try:
            inside_bytes = await self.read(figures.shrink_log)
        except StoreUnavailable:
            return False
        if await asyncio.get_running_loop().run_in_executor(self._reader, self._reserve.take_back, inside_bytes):
            self.full = False
            logger.info("store_has_room_again", path=str(self._path))
        return not self.full

    async def ping(self) -> None:
        """Return when the writer thread has answered, whatever it can write."""
        await self._writer.call(lambda: None, asyncio.get_running_loop())

    async def _refuse_while_read_only(self) -> None:
        """Raise StoreReadOnly until a try shows that the file system takes writes again."""
        if not self._is_read_only:
            return
        unwritable = await asyncio.get_running_loop().run_in_executor(self._reader, why_unwritable, self._path)
        if isinstance(unwritable, StoreReadOnly):
            raise unwritable
        self._is_read_only = False
        logger.info("store_writable_again", path=str(self._path))

    def _declare_full(self) -> None:
        self.full = True
        logger.error("store_full", path=str(self._path), reserve_bytes=self._reserve_bytes)

    def _declare_read_only(self) -> None:
        if not self._is_read_only:
            self._is_read_only = True
            logger.error("store_read_only", path=str(self._path))
