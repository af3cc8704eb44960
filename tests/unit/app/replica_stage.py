"""A replica with four accounts and leases in memory, for tests in virtual time."""

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from mcwatch.app import wiring
from mcwatch.app.crew import Crew
from mcwatch.app.tenure import Tenure
from mcwatch.app.wiring import Application
from mcwatch.domain.page import Feed
from mcwatch.pipeline.poller import Poller
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.liveness import Liveness
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import START
from tests.fakes.leases import FakeLeases, LeaseTable
from tests.unit.app.settings import account, settings
from tests.virtual.clock import VirtualClock
from tests.virtual.loop import virtual_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


A, B = UUID(int=1), UUID(int=2)
NAMES = ("north", "south", "east", "west")


class SharedStore(SqliteStore):
    """A store whose accounts are held by leases of a table in memory."""

    leases: FakeLeases  # type: ignore[assignment]  # a file has none

    async def feed(self, account: str, source: str) -> Feed:
        """Register a feed and the account's lease."""
        feed = await super().feed(account, source)
        self.leases.table.enrol(feed.account_id, account)
        return feed

    def holds(self, account_id: int) -> bool:
        """Ask the leases."""
        return self.leases.holds(account_id)


@dataclass
class Stage:
    """A replica with four accounts whose pollers only note that they run."""

    application: Application
    tenure: Tenure
    crew: Crew
    leases: FakeLeases
    polled: list[str] = field(default_factory=list)
    soon: list[float | None] = field(default_factory=list)

    @property
    def table(self) -> LeaseTable:
        """What replicas share."""
        return self.leases.table

    @property
    def ids(self) -> dict[str, int]:
        """The accounts' ids by name."""
        return self.application.parts.account_ids

    @property
    def watched(self) -> set[str]:
        """The accounts that are polled."""
        running = {name.partition("/")[0] for name, task in self.crew.polling.items() if not task.done()}
        assert running == set(self.application.parts.accounts)
        return running

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of a series."""
        return self.application.metrics.registry.get_sample_value(f"mcwatch_{name}", labels)


@asynccontextmanager
async def stage_of(place: Path, monkeypatch: pytest.MonkeyPatch) -> "AsyncIterator[Stage]":
    """Open the replica A with its loop of leases, in virtual time."""
    clock = VirtualClock(virtual_loop(), START)
    leases = FakeLeases(LeaseTable(clock), A)
    polled: list[str] = []
    soon: list[float | None] = []

    def build(*_: object) -> SqliteStore:
        options = StoreOptions(place / "mcwatch.db", reserve_bytes=0)
        store = SharedStore(options, clock=clock, metrics=Metrics())
        store.leases = leases
        return store

    async def poll(poller: Poller, _draw: object, _pollers: int, soon_secs: float | None) -> None:
        polled.append(poller._feed.account)
        soon.append(soon_secs)
        await asyncio.Event().wait()

    monkeypatch.setattr(wiring, "build_store", build)
    monkeypatch.setattr(SharedStore, "leases", None)
    monkeypatch.setattr(Poller, "run", poll)
    config = settings(place, *(account(name) for name in NAMES))
    async with Application(config, clock=clock, rng=random.Random(1)) as application, asyncio.TaskGroup() as group:
        liveness = Liveness(clock.monotonic)
        crew = Crew(group, clock, random.Random(1), liveness, application.parts.account_names)
        tenure = Tenure(
            leases, application.parts, crew, application.own_report, clock=clock, metrics=application.metrics
        )
        task = crew.begin("lease", tenure.run)
        yield Stage(application, tenure, crew, leases, polled, soon)
        for one in (task, *crew.polling.values()):
            one.cancel()
