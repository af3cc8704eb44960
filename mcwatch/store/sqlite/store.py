"""The store as the pipeline sees it."""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import structlog
import zstandard

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.outbox import (
    DeadLetter,
    KeptLetter,
    LetterChoice,
    OutboxRow,
    Receipt,
    Released,
    Settlement,
    Standing,
    StoreSnapshot,
)
from mcwatch.domain.page import Feed, FeedProgress, PageTransaction
from mcwatch.interfaces import Clock
from mcwatch.store.sqlite import figures, letters, outbox, registry, retention
from mcwatch.store.sqlite.backlog import Backlog
from mcwatch.store.sqlite.errors import StoreFull, full
from mcwatch.store.sqlite.options import StoreOptions
from mcwatch.store.sqlite.threads import StoreThreads
from mcwatch.store.sqlite.transaction import SqlitePageTransaction
from mcwatch.telemetry.metrics import Metrics

T = TypeVar("T")

_COMPRESSION_LEVEL = -5
"""zstd's fast levels take a third of level 3's time for a fifth more room; the ids in an event are random text."""

logger = structlog.get_logger(__name__)


class SqliteStore:
    """``interfaces.Store`` in one file; an async context manager that holds the file's lock."""

    def __init__(self, options: StoreOptions, *, clock: Clock, metrics: Metrics) -> None:
        self._options = options
        self._clock = clock
        self._metrics = metrics
        self._threads = StoreThreads(options.path, options.reserve_bytes, clock=clock, metrics=metrics)
        self._compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
        self._backlog = Backlog()
        self._sweep: tuple[retention.Place, ...] = ()
        self._heads: dict[int, int] = {}
        self._sequence = 0
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._threads.open()
        try:
            self._heads = await self._threads.read(registry.heads)
        except BaseException:
            self._threads.shut()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._threads.shut)

    @property
    def commands(self) -> None:
        """What people ask for comes over the control socket."""
        return

    @property
    def leases(self) -> None:
        """Nobody else has the file: there is nothing to share."""
        return

    def holds(self, account_id: int) -> bool:
        """Tell that every account is watched here."""
        return True

    @property
    def full(self) -> bool:
        """The disk is full: pages are refused until the reserve could be taken back."""
        return self._threads.full

    async def recover(self) -> bool:
        """Take the reserve back if there is room again; return whether pages can be committed."""
        return await self._threads.recover()

    async def ping(self) -> None:
        """Return when the writer thread has answered, whatever it can write."""
        await self._threads.ping()

    async def feed(self, account: str, source: str) -> Feed:
        """Register a feed, or find it again."""
        feed = await self._threads.write(lambda connection: registry.enrol_feed(connection, account, source))
        self._heads.setdefault(feed.account_id, 0)
        return feed

    async def progress(self, feed: Feed) -> FeedProgress:
        """Return how far a feed has been read, as committed."""
        return await self._threads.read(lambda connection: registry.progress_of(connection, feed.id))

    async def commit_page(self, feed: Feed, work: Callable[[PageTransaction], T]) -> T:
        """Run ``work`` on the writer thread and commit it."""
        if not await self.recover():
            raise full(self._options.path)

        most_letters = self._options.max_dead_letters

        def commit(connection: sqlite3.Connection) -> tuple[T, int | None]:
            transaction = SqlitePageTransaction(connection, feed, self._compressor, self._clock.now(), most_letters)
            return work(transaction), transaction.head

        def announce(outcome: tuple[Any, int | None]) -> None:
            if outcome[1] is not None:
                self._heads[feed.account_id] = outcome[1]
                self._sequence += 1
                self._news.set()
                self._news = asyncio.Event()

        try:
            result, _ = await self._threads.submit(commit, announce)
        except StoreFull:
            self._threads.give_up_reserve()
            raise
        return result

    async def read_page(self, feed: Feed, work: Callable[[PageTransaction], T]) -> T:
        """Run ``work`` on the reader thread, whose connection cannot write."""
        now, most_letters = self._clock.now(), self._options.max_dead_letters

        def read(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return work(SqlitePageTransaction(connection, feed, self._compressor, now, most_letters))
            finally:
                connection.execute("ROLLBACK")

        return await self._threads.read(read)

    async def enrol(self, starts: Mapping[str, bool]) -> list[str]:
        """Register the configured destinations (name: begin at the head); return those that are gone."""
        now = self._clock.now()
        return await self._threads.write(lambda connection: registry.enrol_destinations(connection, starts, now))

    async def positions(self, destination: str) -> dict[int, int]:
        """Return the destination's position per account id."""
        return await self._threads.read(lambda connection: registry.positions(connection, destination))

    def heads(self) -> Mapping[int, int]:
        """Return the offset behind the newest committed event per account id."""
        return self._heads

    async def wait_for_events(self, seen: int) -> int:
        """Wait until the commit sequence has passed ``seen``; return where it stands."""
        while self._sequence <= seen:
            await self._news.wait()
        return self._sequence

    async def read(self, account_id: int, position: int, max_bytes: int, have: Collection[int] = ()) -> list[OutboxRow]:
        """Return outbox rows from the one that holds ``position``."""
        return await self._threads.read(
            lambda connection: outbox.read_rows(connection, account_id, position, max_bytes, have)
        )

    async def settle(self, settlement: Settlement) -> Collection[int]:
        """Apply a settlement in one transaction; nobody else moves the positions, so all of it is written."""
        now = self._clock.now()
        await self._threads.write(lambda connection: outbox.settle(connection, settlement, now))
        return ()

    async def expire(self, now: datetime) -> bool:
        """Remove a bounded amount of what is past its time; return whether more is left."""
        keep, rest = self._options.keep, self._sweep
        expired = await self._threads.write(lambda connection: retention.expire(connection, keep, now, rest))
        self._sweep = expired.rest
        if expired.dead_letters:
            self._metrics.dead_letters_expired_total.inc(expired.dead_letters)
            logger.warning("dead_letters_expired", count=expired.dead_letters)
        for gone in expired.destinations:
            logger.warning(
                "destination_released", destination=gone.name, waiting=gone.waiting, dead_letters=gone.dead_letters
            )
        return bool(expired.rest)

    async def snapshot(self) -> StoreSnapshot:
        """Return all stored figures as of one moment."""
        path, limit = self._options.path, self._options.max_backlog_bytes
        return await self._threads.read(lambda connection: figures.snapshot(connection, path, limit, self._backlog))

    async def backlog_bytes(self) -> int:
        """Return the stored bytes that some destination has not received."""
        return await self._threads.read(lambda connection: figures.backlog_bytes(connection, self._backlog))

    async def backlog_of(self, destination: str) -> int:
        """Return the stored bytes that one destination has not received."""
        return await self._threads.read(lambda connection: outbox.backlog_of(connection, destination))

    async def channel(self, destination: str) -> UUID:
        """Return what a receiver may know an enrolled destination by."""
        return await self._threads.read(lambda connection: registry.channel(connection, destination))

    async def receipts(self, destination: str) -> list[Receipt]:
        """Return what was handed over and is not settled, by account and offset."""
        return await self._threads.read(lambda connection: outbox.receipts(connection, destination))

    async def standings(self, destination: str) -> list[Standing]:
        """Return where each account stands for a destination."""
        return await self._threads.read(lambda connection: outbox.standings(connection, destination))

    async def offset_at(self, account_id: int, moment: datetime) -> int | None:
        """Return the offset of the account's first kept event recorded at ``moment`` or later."""
        return await self._threads.read(lambda connection: outbox.offset_at(connection, account_id, moment))

    async def offset_before(self, account_id: int, moment: datetime) -> int | None:
        """Return the offset behind the account's last kept event recorded before ``moment``."""
        return await self._threads.read(lambda connection: outbox.offset_before(connection, account_id, moment))

    async def destinations(self) -> list[str]:
        """Return the names of the destinations that are not released."""
        return await self._threads.read(registry.destinations)

    async def forget(self, destination: str) -> Released | None:
        """Release a destination at once; None when there is none of that name."""
        now_secs = int(self._clock.now().timestamp())
        return await self._threads.write(
            lambda connection: registry.forget_destination(connection, destination, now_secs)
        )

    async def dead_letters(self, destination: str | None, limit: int) -> list[DeadLetter]:
        """List dead letters, newest first."""
        return await self._threads.read(lambda connection: letters.newest(connection, destination, limit))

    async def dead_letter_count(self, destination: str) -> int:
        """Return how many dead letters a destination has."""
        return await self._threads.read(lambda connection: letters.count(connection, destination))

    async def letters(self, choice: LetterChoice, after: int, limit: int) -> list[KeptLetter]:
        """Return the chosen dead letters behind number ``after``, oldest first."""
        return await self._threads.read(lambda connection: letters.chosen(connection, choice, after, limit))

    async def discard(self, choice: LetterChoice, most: int) -> int:
        """Remove up to ``most`` of the chosen dead letters for good; return how many."""
        return await self._threads.write(lambda connection: letters.discard(connection, choice, most))

    async def retried(self, delivered: Sequence[int], refused: Mapping[int, Refusal]) -> None:
        """Remove the dead letters that were delivered after all, and write the newest refusal to the others."""
        await self._threads.write(lambda connection: letters.retried(connection, delivered, refused.items()))
