"""The stores that the contract suite runs on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from typing_extensions import override

from mcwatch.domain.leasing import News
from mcwatch.domain.page import Feed
from mcwatch.interfaces import Store
from mcwatch.store.keep import Keep
from mcwatch.store.postgres import PostgresOptions, PostgresStore
from mcwatch.store.postgres.connection import Connection
from mcwatch.telemetry.metrics import Metrics
from tests.contract.postgres_database import emptied_database, shared_database
from tests.contract.store_kit import SqliteEngine, StoreEngine
from tests.fakes.clock import FakeClock


class _SoleReplica(PostgresStore):
    """Holds every account as soon as it is known, as the only replica of a fleet does."""

    @override
    async def feed(self, account: str, source: str) -> Feed:
        feed = await super().feed(account, source)
        if not self.holds(feed.account_id):
            await self.hold_all()
        return feed

    @override
    def now(self, connection: Connection) -> datetime:
        return self._clock.now()

    async def hold_all(self) -> None:
        """Take every account there is."""
        fleet = await self.leases.beat(News(()))
        await self.leases.take([lease.account_id for lease in fleet.leases])


@dataclass
class PostgresEngine:
    """PostgreSQL in a database that this process of the tests shares, so one engine at a time."""

    url: str = field(default_factory=emptied_database)
    clock: FakeClock = field(default_factory=FakeClock)
    keep: Keep = field(default_factory=Keep)
    most_letters: int = 10_000
    lingers: timedelta = timedelta(days=1)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        """Open the database, with a lease that lasts however far a test lets the time go."""
        options = PostgresOptions(
            lambda: self.url,
            "sole",
            lease_duration_secs=1e9,
            max_backlog_bytes=1 << 20,
            keep=self.keep,
            max_dead_letters=self.most_letters,
        )
        shared_database()[1].execute("UPDATE lease SET holder = NULL; DELETE FROM replica")
        async with _SoleReplica(options, clock=self.clock, metrics=Metrics()) as store:
            await store.hold_all()
            yield store


ENGINES: dict[str, Callable[[Path], StoreEngine]] = {
    "sqlite": lambda folder: SqliteEngine(folder / "mcwatch.db"),
    "postgres": lambda _: PostgresEngine(),
}
"""The engines the suite runs on; a new one joins here."""

NEED_A_SERVER = frozenset({"postgres"})
