"""The shared store as the pipeline sees it."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from random import Random
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID, uuid4

import structlog
import zstandard

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.errors import LeaseLost
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
from mcwatch.store.postgres import commands, figures, letters, moment, outbox, registry, retention
from mcwatch.store.postgres.backlog import Backlog
from mcwatch.store.postgres.commands import PostgresCommands
from mcwatch.store.postgres.connection import Connection
from mcwatch.store.postgres.errors import no_room
from mcwatch.store.postgres.leases import PostgresLeases
from mcwatch.store.postgres.moment import one_moment
from mcwatch.store.postgres.options import PostgresOptions
from mcwatch.store.postgres.threads import WRITERS, Place, PostgresThreads, writer_for, writer_of
from mcwatch.store.postgres.transaction import PostgresPageTransaction
from mcwatch.store.postgres.worker import Held
from mcwatch.telemetry.metrics import Metrics

T = TypeVar("T")

_COMPRESSION_LEVEL = -5
"""As the store in one file: zstd's fast levels take a third of level 3's time for a fifth more room."""

_SWEEP_LOCK = 0x6D63_7761_0002
"""``mcwa`` in ASCII and a number: one replica at a time removes what is past its time."""

_ALONE = Place(alone=True)

logger = structlog.get_logger(__name__)


class PostgresStore:
    """``interfaces.Store`` in a database that replicas share; an async context manager that holds its connections.

    A process that never beats (:attr:`leases`) is no replica: it can ask and command, and delivers nothing.
    """

    def __init__(self, options: PostgresOptions, *, clock: Clock, metrics: Metrics) -> None:
        self._options = options
        self._clock = clock
        self._metrics = metrics
        replica = uuid4()
        self._threads = PostgresThreads(options, self._fence, clock=clock, metrics=metrics, chance=Random(replica.int))
        self._leases = PostgresLeases(
            options,
            replica,
            self._threads.lease,
            metrics=metrics,
            monotonic=clock.monotonic,
            announce=self._announce,
        )
        self.commands = PostgresCommands(
            self._threads.write, self._threads.ask, replica, self._leases.held, options.lapse_secs
        )
        # A compressor is one thread's at a time.
        self._compressors = [zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL) for _ in range(WRITERS)]
        self._reading_compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
        self._backlog = Backlog()
        self._sweep: tuple[retention.Place, ...] = ()
        self._sequence = 0
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._threads.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._threads.shut)

    @property
    def leases(self) -> PostgresLeases:
        """How accounts are spread over replicas."""
        return self._leases

    @property
    def full(self) -> bool:
        """The server has no room or takes no writes: pages are refused until it does."""
        return self._threads.full

    async def recover(self) -> bool:
        """Try to write if that was refused; return whether pages can be committed."""
        return await self._threads.recover()

    async def ping(self) -> None:
        """Return when the writers' threads have answered, whatever they can write."""
        await self._threads.ping()

    def _announce(self) -> None:
        self._sequence += 1
        self._news.set()
        self._news = asyncio.Event()

    def _fence(self, connection: Connection, account_ids: Collection[int]) -> Collection[int]:
        return self._leases.fence(connection, account_ids)

    def holds(self, account_id: int) -> bool:
        """Tell whether this process may poll this account now, as far as it knows without asking."""
        return self._leases.holds(account_id)

    async def feed(self, account: str, source: str) -> Feed:
        """Register a feed, or find it again, whoever holds the account."""
        # Nothing is written where nothing changes: so every start but the first asks only, a thousand times.
        known = await self._threads.ask(lambda connection: registry.enrolled(connection, account, source))
        if known is not None:
            return known
        return await self._threads.write(lambda connection: registry.enrol_feed(connection, account, source))

    async def progress(self, feed: Feed) -> FeedProgress:
        """Return how far a feed has been read, as committed."""
        return await self._threads.ask(lambda connection: registry.progress_of(connection, feed.id))

    async def commit_page(self, feed: Feed, work: Callable[[PageTransaction], T]) -> T:
        """Run ``work`` on the account's writer thread and commit it, if the account's lease is held."""
        if not await self.recover():
            raise no_room(self._threads.place)
        place = Place(writer_of(feed.account_id), frozenset({feed.account_id}))
        compressor, most_letters = self._compressors[place.writer], self._options.max_dead_letters
        epoch = self._leases.epoch(feed.account_id)

        def commit(connection: Connection, held: Held) -> tuple[T, int | None]:
            # Taken anew while the page waited, the account may have been another's meanwhile, who has read further.
            if feed.account_id not in held or self._leases.epoch(feed.account_id) != epoch:
                raise LeaseLost(f"another replica holds the account {feed.account!r} by now")
            transaction = PostgresPageTransaction(connection, feed, compressor, self._clock.now(), most_letters)
            return work(transaction), transaction.head

        def announce(outcome: tuple[T, int | None]) -> None:
            if outcome[1] is not None:
                self._leases.appended(feed.account_id, outcome[1])

        result, _ = await self._threads.submit(commit, place, announce)
        return result

    async def read_page(self, feed: Feed, work: Callable[[PageTransaction], T]) -> T:
        """Run ``work`` on a reader thread as of one moment, where it cannot write."""
        now, most_letters = self._clock.now(), self._options.max_dead_letters

        def read(connection: Connection) -> T:
            with one_moment(connection):
                return work(PostgresPageTransaction(connection, feed, self._reading_compressor, now, most_letters))

        return await self._threads.ask(read)

    async def enrol(self, starts: Mapping[str, bool]) -> list[str]:
        """Register the configured destinations (name: begin at the head); return those that are gone."""
        self._leases.destinations = list(starts)

        def work(connection: Connection) -> list[str]:
            gone = registry.enrol_destinations(connection, starts, self.now(connection))
            registry.configure(connection, self._leases.replica, starts)
            return gone

        return await self._threads.write(work)

    def now(self, connection: Connection) -> datetime:
        """Return the time that all replicas go by where they remove what cannot be had back: the database's."""
        return moment.now(connection)

    async def positions(self, destination: str) -> dict[int, int]:
        """Return the destination's position per account id."""
        return await self._threads.ask_for_delivery(lambda connection: registry.positions(connection, destination))

    def heads(self) -> Mapping[int, int]:
        """Return the offset behind the newest committed event per account id, of the accounts held here."""
        return self._leases.heads()

    async def wait_for_events(self, seen: int) -> int:
        """Wait until the sequence of commits, and of accounts that came or went, has passed ``seen``; return it."""
        while self._sequence <= seen:
            await self._news.wait()
        return self._sequence

    async def read(self, account_id: int, position: int, max_bytes: int, have: Collection[int] = ()) -> list[OutboxRow]:
        """Return outbox rows from the one that holds ``position``."""
        return await self._threads.ask_for_delivery(
            lambda connection: outbox.read_rows(connection, account_id, position, max_bytes, have)
        )

    async def settle(self, settlement: Settlement) -> Collection[int]:
        """Apply a settlement for the accounts held, in one transaction; return the accounts of which nothing was."""
        now = self._clock.now()
        mentioned = frozenset(
            [one.account_id for one in settlement.progress]
            + [one.account_id for one in settlement.rejected]
            + [one.account_id for one in settlement.handed]
        )

        def work(connection: Connection, held: Held) -> set[int]:
            if not held:
                return set(mentioned)
            lost = set(mentioned.difference(held))
            return lost | outbox.settle(connection, settlement.without(lost), now)

        return await self._threads.submit(work, Place(writer_for(settlement.destination), mentioned))

    async def expire(self, now: datetime) -> bool:
        """Remove a bounded amount of what is past its time; return whether more is left.

        Nothing, and False, while another replica does it. A time that the database's clock has not reached is not
        believed: this machine's may run ahead.
        """
        keep, rest = self._options.keep, self._sweep

        def work(connection: Connection, _: Held) -> retention.Expired | None:
            row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_SWEEP_LOCK,)).fetchone()
            if not row or not row[0]:
                return None
            true_now = self.now(connection)
            commands.expire(connection)
            registry.judge_gone(connection, int(true_now.timestamp()))
            return retention.expire(connection, keep, min(now, true_now), rest)

        expired = await self._threads.submit(work, _ALONE)
        self._sweep = expired.rest if expired else ()
        if expired is None:
            return False
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
        limit = self._options.max_backlog_bytes
        return await self._threads.ask(lambda connection: figures.snapshot(connection, limit, self._backlog))

    async def backlog_bytes(self) -> int:
        """Return the stored bytes that some destination has not received."""
        return await self._threads.ask(lambda connection: figures.backlog_bytes(connection, self._backlog))

    async def backlog_of(self, destination: str) -> int:
        """Return the stored bytes that one destination has not received."""
        return await self._threads.ask(lambda connection: outbox.backlog_of(connection, destination))

    async def channel(self, destination: str) -> UUID:
        """Return what a receiver may know an enrolled destination by."""
        return await self._threads.ask(lambda connection: registry.channel(connection, destination))

    async def receipts(self, destination: str) -> list[Receipt]:
        """Return what was handed over and is not settled, by account and offset."""
        return await self._threads.ask_for_delivery(lambda connection: outbox.receipts(connection, destination))

    async def standings(self, destination: str) -> list[Standing]:
        """Return where each account stands for a destination."""
        return await self._threads.ask(lambda connection: outbox.standings(connection, destination))

    async def offset_at(self, account_id: int, moment: datetime) -> int | None:
        """Return the offset of the account's first kept event recorded at ``moment`` or later."""
        return await self._threads.ask(lambda connection: outbox.offset_at(connection, account_id, moment))

    async def offset_before(self, account_id: int, moment: datetime) -> int | None:
        """Return the offset behind the account's last kept event recorded before ``moment``."""
        return await self._threads.ask(lambda connection: outbox.offset_before(connection, account_id, moment))

    async def destinations(self) -> list[str]:
        """Return the names of the destinations that are not released."""
        return await self._threads.ask(registry.destinations)

    async def forget(self, destination: str) -> Released | None:
        """Release a destination at once; None when there is none of that name."""
        now_secs = int(self._clock.now().timestamp())
        return await self._threads.write(
            lambda connection: registry.forget_destination(connection, destination, now_secs)
        )

    async def dead_letters(self, destination: str | None, limit: int) -> list[DeadLetter]:
        """List dead letters, newest first."""
        return await self._threads.ask(lambda connection: letters.newest(connection, destination, limit))

    async def dead_letter_count(self, destination: str) -> int:
        """Return how many dead letters a destination has."""
        return await self._threads.ask(lambda connection: letters.count(connection, destination))

    async def letters(self, choice: LetterChoice, after: int, limit: int) -> list[KeptLetter]:
        """Return the chosen dead letters behind number ``after``, oldest first."""
        return await self._threads.ask(lambda connection: letters.chosen(connection, choice, after, limit))

    async def discard(self, choice: LetterChoice, most: int) -> int:
        """Remove up to ``most`` of the chosen dead letters for good; return how many."""
        return await self._threads.write(lambda connection: letters.discard(connection, choice, most))

    async def retried(self, delivered: Sequence[int], refused: Mapping[int, Refusal]) -> None:
        """Remove the dead letters that were delivered after all, and write the newest refusal to the others."""
        await self._threads.write(lambda connection: letters.retried(connection, delivered, refused.items()))
