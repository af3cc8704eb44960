"""Stores as replicas have them: several on one database."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

import psycopg

from mcwatch.domain.leasing import Fleet, News
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.domain.page import Feed, PageCounts, PageTransaction
from mcwatch.store.postgres import PostgresOptions, PostgresStore
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock

SOURCE = "message_finder"


@asynccontextmanager
async def replica(
    url: str, name: str = "a", *, clock: FakeClock | None = None, lease_secs: float = 30.0
) -> AsyncIterator[PostgresStore]:
    """Open a store that has said that it lives."""
    options = PostgresOptions(url=lambda: url, replica_name=name, lease_duration_secs=lease_secs)
    async with PostgresStore(options, clock=clock or FakeClock(), metrics=Metrics()) as store:
        await beat(store)
        yield store


async def beat(store: PostgresStore, accounts: Collection[int] = ()) -> Fleet:
    """Say that the replica lives."""
    return await store.leases.beat(News(accounts))


async def account(store: PostgresStore, name: str = "acme") -> Feed:
    """Register a feed and take its account."""
    feed = await store.feed(name, SOURCE)
    await store.leases.take([feed.account_id])
    return feed


def lapse(url: str, store: PostgresStore) -> None:
    """Have a replica not been heard of for an hour."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE replica SET seen_at = seen_at - interval '1 hour' WHERE id = %s", (store.leases.replica,)
        )


async def append(store: PostgresStore, feed: Feed, lines: bytes = b'{"n":1}\n') -> int:
    """Commit a page of one event."""
    observed_at = FakeClock().now()

    def work(transaction: PageTransaction) -> int:
        transaction.count(PageCounts(new=1))
        return transaction.append(lines, lines.count(b"\n"), observed_at)

    return await store.commit_page(feed, work)


async def delivered(store: PostgresStore, feeds: Sequence[Feed], position: int = 1) -> Collection[int]:
    """Settle one delivered event of each account at the destination ``d``."""
    return await store.settle(Settlement("d", [Progress(feed.account_id, position, 1, 0) for feed in feeds]))


def scalar(url: str, question: str) -> object:
    """Ask the database for one value."""
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None
