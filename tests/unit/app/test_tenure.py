"""Accounts that come to this replica and go from it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from mcwatch.app import wiring
from mcwatch.app.crew import Crew
from mcwatch.app.tenure import Tenure
from mcwatch.app.wiring import Application
from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.page import Feed
from mcwatch.pipeline.poller import Poller
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.health import ComponentKind
from mcwatch.telemetry.liveness import Liveness
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import START
from tests.fakes.leases import FakeLeases, LeaseTable
from tests.unit.app.settings import account, settings
from tests.virtual.clock import VirtualClock
from tests.virtual.loop import run_virtually, virtual_loop
from tests.virtual.threads import tied_to_virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcwatch.pipeline.dispatcher import Dispatcher

pytestmark = pytest.mark.timeout(5)
A, B = UUID(int=1), UUID(int=2)
_NAMES = ("north", "south", "east", "west")


class _SharedStore(SqliteStore):
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
class _Stage:
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


Story = Callable[[_Stage], Awaitable[None]]


@pytest.fixture
def virtually(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    """Run a story with the replica A in virtual time."""

    def run(story: Story) -> None:
        async def main() -> None:
            with tied_to_virtual_time():
                async with _stage(tmp_path, monkeypatch) as stage:
                    await story(stage)

        run_virtually(main())

    return run


@asynccontextmanager
async def _stage(place: Path, monkeypatch: pytest.MonkeyPatch) -> "AsyncIterator[_Stage]":
    clock = VirtualClock(virtual_loop(), START)
    leases = FakeLeases(LeaseTable(clock), A)
    polled: list[str] = []
    soon: list[float | None] = []

    def build(*_: object) -> SqliteStore:
        options = StoreOptions(place / "mcwatch.db", reserve_bytes=0)
        store = _SharedStore(options, clock=clock, metrics=Metrics())
        store.leases = leases
        return store

    async def poll(poller: Poller, _draw: object, _pollers: int, soon_secs: float | None) -> None:
        polled.append(poller._feed.account)
        soon.append(soon_secs)
        await asyncio.Event().wait()

    monkeypatch.setattr(wiring, "build_store", build)
    monkeypatch.setattr(_SharedStore, "leases", None)
    monkeypatch.setattr(Poller, "run", poll)
    config = settings(place, *(account(name) for name in _NAMES))
    async with Application(config, clock=clock, rng=random.Random(1)) as application, asyncio.TaskGroup() as group:
        liveness = Liveness(clock.monotonic)
        crew = Crew(group, clock, random.Random(1), liveness, application.parts.account_names)
        tenure = Tenure(
            leases, application.parts, crew, application.own_report, clock=clock, metrics=application.metrics
        )
        task = crew.begin("lease", tenure.run)
        yield _Stage(application, tenure, crew, leases, polled, soon)
        for one in (task, *crew.polling.values()):
            one.cancel()


def test_a_replica_alone_takes_everything(virtually: Callable[[Story], None]) -> None:
    """With its first beat it holds and polls every account, and says so; before, nothing is shown of them."""

    async def story(stage: _Stage) -> None:
        assert set() == stage.watched
        assert stage.metric("account_up", account="north") is None
        assert [] == list(stage.application.health.conditions(ComponentKind.ACCOUNT))
        await asyncio.sleep(1)
        assert set(_NAMES) == stage.watched
        assert [None] * 4 == stage.soon
        assert (1.0, 0.0) == (
            stage.metric("account_held", account="north"),
            stage.metric("account_up", account="north"),
        )
        assert 1.0 == stage.metric("replicas")
        report = await stage.application.own_report()
        assert set(_NAMES) == {one.name for one in report.accounts}

    virtually(story)


def test_a_joining_replica_is_handed_its_share(virtually: Callable[[Story], None]) -> None:
    """Half of the accounts are polled no longer, given up with their budgets, and leave no figures behind."""

    async def story(stage: _Stage) -> None:
        await asyncio.sleep(1)
        north = stage.application.parts.accounts["north"].live.client
        north.go_on_from({"message_finder": 300.0})
        stage.table.join(B, stage.ids.values())
        await asyncio.sleep(5)
        assert 2 == len(stage.watched)
        gone = set(_NAMES) - stage.watched
        assert {"north", "south"} == gone
        free = {row.account for row in stage.table.rows.values() if row.holder is None}
        assert gone == free
        budget = stage.table.rows[stage.ids["north"]].budget
        assert 290.0 < budget["message_finder"] <= 300.0
        assert stage.metric("account_held", account="north") is None
        assert stage.metric("account_up", account="north") is None
        assert 2.0 == stage.metric("replicas")

    virtually(story)


def test_an_account_goes_when_its_batches_have_ended(virtually: Callable[[Story], None]) -> None:
    """Nothing further of it is delivered, and what is under way is waited for, though not for ever."""

    async def story(stage: _Stage) -> None:
        await asyncio.sleep(1)
        carrying = {stage.ids["north"]}

        class _Carrier:
            def carries(self, account_id: int) -> bool:
                return account_id in carrying

        stage.application.parts.dispatchers["slow"] = cast("Dispatcher", _Carrier())
        stage.table.join(B, stage.ids.values())
        await asyncio.sleep(3)
        assert {stage.ids["north"], stage.ids["south"]} == stage.leases.retired
        assert A == stage.table.rows[stage.ids["north"]].holder
        await asyncio.sleep(4)
        assert stage.table.rows[stage.ids["north"]].holder is None
        del stage.application.parts.dispatchers["slow"]

    virtually(story)


def test_what_a_lost_replica_held_is_taken_and_polled_soon(virtually: Callable[[Story], None]) -> None:
    """Within the lease's time, and with what the lost one had published of the requests' budget."""

    async def story(stage: _Stage) -> None:
        stage.table.join(B, stage.ids.values())
        for account_id in stage.ids.values():
            row = stage.table.rows[account_id]
            row.holder, row.budget = B, {"processing_queue": 120.0}
        await asyncio.sleep(10)
        assert set() == stage.watched
        await asyncio.sleep(20)
        assert set(_NAMES) == stage.watched
        assert None not in stage.soon[1:]
        client = stage.application.parts.accounts["west"].live.client
        assert client.budget()["processing_queue"] > 60.0

    virtually(story)


def test_a_database_out_of_reach_ends_polling_when_the_lease_has_lapsed(virtually: Callable[[Story], None]) -> None:
    """A short outage changes nothing; a long one ends what might be done elsewhere; then it goes on where it may."""

    async def story(stage: _Stage) -> None:
        await asyncio.sleep(1)
        with capture_logs() as logs:
            stage.table.is_away = True
            await asyncio.sleep(15)
            assert set(_NAMES) == stage.watched
            await asyncio.sleep(15)
            assert set() == stage.watched
            assert stage.metric("account_up", account="north") is None
            stage.table.is_away = False
            await asyncio.sleep(5)
            assert set(_NAMES) == stage.watched
        events = [line["event"] for line in logs]
        assert ["lease_not_renewed", "accounts_lost", "lease_renewed_again"] == [
            one for one in events if one.startswith(("lease_", "accounts_lost"))
        ]
        assert 8 == len(stage.polled)

    virtually(story)


def test_accounts_that_others_have_taken_are_let_go(virtually: Callable[[Story], None]) -> None:
    """The next beat tells, and nothing of them runs or shows any more."""

    async def story(stage: _Stage) -> None:
        await asyncio.sleep(1)
        stage.table.join(B, stage.ids.values())
        for name in ("north", "south"):
            row = stage.table.rows[stage.ids[name]]
            row.holder, row.epoch = B, row.epoch + 1
        await asyncio.sleep(5)
        assert {"east", "west"} == stage.watched
        accounts = [one.component.name for one in stage.application.health.conditions(ComponentKind.ACCOUNT)]
        assert {"east", "west"} == set(accounts)

    virtually(story)


def test_an_account_that_nobody_holds_is_told(virtually: Callable[[Story], None]) -> None:
    """How long it has been so is a figure of every replica that is configured with it."""

    async def story(stage: _Stage) -> None:
        await asyncio.sleep(1)
        assert 0.0 == stage.metric("account_unheld_seconds", account="north")

        async def refuse(_: object) -> None:
            raise StoreUnavailable("not now")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage.leases, "take", refuse)
            row = stage.table.rows[stage.ids["north"]]
            row.holder, row.since = None, virtual_loop().time()
            await asyncio.sleep(60)
        assert 50.0 < (stage.metric("account_unheld_seconds", account="north") or 0.0) <= 60.0
        await asyncio.sleep(7)
        assert 0.0 == stage.metric("account_unheld_seconds", account="north")

    virtually(story)


def test_a_replica_that_ends_takes_nothing_more(virtually: Callable[[Story], None]) -> None:
    """It renews what it has while it drains, and leaves what becomes free to the others."""

    async def story(stage: _Stage) -> None:
        await asyncio.sleep(1)
        await stage.tenure.end()
        stage.table.rows[stage.ids["north"]].holder = None
        await asyncio.sleep(60)
        assert stage.table.rows[stage.ids["north"]].holder is None
        assert A == stage.table.rows[stage.ids["south"]].holder
        assert stage.table.lives(A)

    virtually(story)


def test_its_status_is_published(virtually: Callable[[Story], None]) -> None:
    """Others read in the table what this replica says of itself, anew a few times within a lease."""

    async def story(stage: _Stage) -> None:
        await asyncio.sleep(25)
        assert b'"name":"north"' in stage.table.reports[A]

    virtually(story)
