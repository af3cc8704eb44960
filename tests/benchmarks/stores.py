"""What PostgreSQL costs beside SQLite: the same pages committed, read again and delivered from both in turn.

Both wait for the disk as they do in earnest; the server runs on the same machine and shares its cores.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcwatch.app.clock import SystemClock
from mcwatch.domain.event import FINDER
from mcwatch.domain.leasing import News
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.domain.page import Feed, FinderPage
from mcwatch.interfaces import Store
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.ingest import Ingest
from mcwatch.store.postgres import PostgresOptions, PostgresStore
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.benchmarks.floor import rows_of
from tests.benchmarks.pages import make_pages
from tests.fakes.postgres import PostgresServer

NAME = "postgres"
_ACCOUNTS = 16
_PAGES = 10
_ROWS = 250
_ROUNDS = 3
_DESTINATION = "hook"
_LONG_SECS = 600.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds on the wall and of this process, for so many events."""

    wall_secs: float
    cpu_secs: float
    events: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Events a second of PostgreSQL and of SQLite, and the share of the first in the second; CPU time likewise."""

    per_second: float
    sqlite_per_second: float
    throughput_ratio: float
    cpu_us_per_event: float
    cpu_ratio: float


def measure() -> dict[str, Compared]:
    """Return a comparison of each kind of work, the best of some rounds of each store."""
    with PostgresServer(durable=True, settings={"shared_buffers": "256MB"}) as server:
        rounds = [asyncio.run(_round(server.url())) for _ in range(_ROUNDS)]
    return {
        work: _compared(
            min((one["postgres"][work] for one in rounds), key=lambda spent: spent.wall_secs),
            min((one["sqlite"][work] for one in rounds), key=lambda spent: spent.wall_secs),
        )
        for work in rounds[0]["sqlite"]
    }


def _compared(ours: Spent, theirs: Spent) -> Compared:
    return Compared(
        per_second=ours.events / ours.wall_secs,
        sqlite_per_second=theirs.events / theirs.wall_secs,
        throughput_ratio=theirs.wall_secs / ours.wall_secs,
        cpu_us_per_event=ours.cpu_secs / ours.events * 1e6,
        cpu_ratio=ours.cpu_secs / theirs.cpu_secs,
    )


async def _round(url: str) -> dict[str, dict[str, Spent]]:
    now = datetime.now(UTC).replace(microsecond=0)
    rows = rows_of(make_pages(_PAGES * _ROWS // 1000 + 1, now))
    pages = [FinderPage(rows=rows[at : at + _ROWS]) for at in range(0, _PAGES * _ROWS, _ROWS)]
    clock, metrics = SystemClock(), Metrics()
    with tempfile.TemporaryDirectory() as folder:
        options = StoreOptions(Path(folder) / "store.db", reserve_bytes=0)
        async with SqliteStore(options, clock=clock, metrics=metrics) as store:
            in_file = await _work(store, pages)
    shared = PostgresOptions(lambda: url, "bench", lease_duration_secs=_LONG_SECS)
    async with PostgresStore(shared, clock=clock, metrics=metrics) as store:
        in_server = await _work(store, pages)
    return {"sqlite": in_file, "postgres": in_server}


async def _work(store: Store, pages: Sequence[FinderPage]) -> dict[str, Spent]:
    # Accounts of its own for each round: a known row would be no new one.
    stamp = time.monotonic_ns()
    feeds = [await store.feed(f"account-{stamp}-{number}", FINDER) for number in range(_ACCOUNTS)]
    await store.enrol({_DESTINATION: False})
    if store.leases:
        await store.leases.beat(News([feed.account_id for feed in feeds]))
        await store.leases.take([feed.account_id for feed in feeds])
    events = len(feeds) * sum(len(page.rows) for page in pages)
    async with _timed(events) as commits:
        await _commit_all(store, feeds, pages)
    async with _timed(events) as repeats:
        await _commit_all(store, feeds, pages)
    async with _timed(events) as deliveries:
        for feed in feeds:
            await _deliver(store, feed.account_id)
    if store.leases:
        await store.leases.leave()
    return {"postgres_commit": commits[0], "postgres_repeat": repeats[0], "postgres_delivery": deliveries[0]}


async def _commit_all(store: Store, feeds: Sequence[Feed], pages: Sequence[FinderPage]) -> None:
    async with asyncio.TaskGroup() as group:
        for feed in feeds:
            group.create_task(_commit(store, feed, pages))


async def _commit(store: Store, feed: Feed, pages: Sequence[FinderPage]) -> None:
    ingest = Ingest(feed, store, LineCache(0), clock=SystemClock(), metrics=Metrics())
    for page in pages:
        await ingest.commit(page)


async def _deliver(store: Store, account_id: int) -> None:
    """Read and settle as a destination does that takes a page at a time."""
    position, head = 0, store.heads()[account_id]
    while position < head:
        row = (await store.read(account_id, position, 1))[0]
        position += row.count
        settlement = Settlement(_DESTINATION, [Progress(account_id, position, row.count, 0)])
        if await store.settle(settlement):
            raise RuntimeError("a position stands elsewhere than this bench knows")


@asynccontextmanager
async def _timed(events: int) -> AsyncIterator[list[Spent]]:
    spent: list[Spent] = []
    wall, cpu = time.perf_counter(), time.process_time()
    yield spent
    spent.append(Spent(time.perf_counter() - wall, time.process_time() - cpu, events))
