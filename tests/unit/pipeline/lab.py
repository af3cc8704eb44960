"""What the pipeline's unit tests stand on: a real store in a file, virtual time, and short words."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mcwatch.domain.delivery import Batch, Refusal, Verdicts
from mcwatch.domain.errors import FailureReason
from mcwatch.domain.outbox import DestinationFigures, OutboxRow, Settlement
from mcwatch.domain.page import Feed, FinderPage
from mcwatch.domain.record import Record, WireAddress
from mcwatch.domain.selection import Selection
from mcwatch.formats.json import JsonFormat
from mcwatch.interfaces import Format
from mcwatch.pipeline.accounts import AccountHealth
from mcwatch.pipeline.backpressure import Backpressure
from mcwatch.pipeline.batches import BatchLimits, BatchReader, View
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.dispatcher import Dispatcher
from mcwatch.pipeline.ingest import Ingest
from mcwatch.pipeline.letterbox import Letterbox
from mcwatch.pipeline.outlet import Outlet, Senses
from mcwatch.pipeline.poller import Poller, PollWatch
from mcwatch.pipeline.rendering import NATIVE, Rendering
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.health import Component, Condition, Health
from mcwatch.telemetry.metrics import Metrics
from tests.contract.store_kit import append_numbers, figures_of, numbers_of
from tests.fakes.clock import FakeClock
from tests.fakes.sink import Answer, FakeSink
from tests.fakes.source import FakeSource

AT = datetime(2026, 1, 5, 9, 29, 2, tzinfo=UTC)


class MoodyStore(SqliteStore):
    """A real store that can be told to refuse settlements or reads for a number of times."""

    def __init__(self, options: StoreOptions, *, clock: FakeClock, metrics: Metrics) -> None:
        super().__init__(options, clock=clock, metrics=metrics)
        self.settle_errors: list[Exception] = []
        self.read_errors: list[Exception] = []
        self.settled: list[Settlement] = []
        self.elsewhere: set[int] = set()
        """Accounts that another replica holds."""
        self.retired: set[int] = set()
        """Accounts held and about to be handed over."""

    def holds(self, account_id: int) -> bool:
        """Tell what a test has said."""
        return account_id not in self.elsewhere

    def heads(self) -> Mapping[int, int]:
        """Return the heads of what is delivered here."""
        gone = self.elsewhere | self.retired
        return {account: head for account, head in super().heads().items() if account not in gone}

    def spread(self, elsewhere: set[int], retired: Collection[int] = ()) -> None:
        """Have accounts held elsewhere from now on, others here; say so."""
        self.elsewhere, self.retired = set(elsewhere), set(retired)
        self._sequence += 1
        self._news.set()
        self._news = asyncio.Event()

    async def settle(self, settlement: Settlement) -> Collection[int]:
        """Refuse, or settle for real."""
        if self.settle_errors:
            raise self.settle_errors.pop(0)
        told = {one.account_id for one in settlement.progress} | {one.account_id for one in settlement.handed}
        lost = (told & self.elsewhere) | set(await super().settle(settlement.without(self.elsewhere)))
        self.settled.append(settlement)
        return lost

    async def read(self, account_id: int, position: int, max_bytes: int, have: Collection[int] = ()) -> list[OutboxRow]:
        """Refuse, or read for real."""
        if self.read_errors:
            raise self.read_errors.pop(0)
        return await super().read(account_id, position, max_bytes, have)


class GoalSink(FakeSink):
    """A sink that tells when it has accepted ``goal`` events, or was asked ``requests`` times."""

    def __init__(self, *answers: Answer, goal: int = 0, requests: int = 0) -> None:
        super().__init__(*answers)
        self.goal, self.requests = goal, requests
        self.reached = asyncio.Event()

    async def deliver(self, batch: Batch) -> Verdicts:
        """Answer as scripted and see whether the goal is reached."""
        try:
            return await super().deliver(batch)
        finally:
            if (self.goal and len(self.accepted) >= self.goal) or (
                self.requests and len(self.batches) >= self.requests
            ):
                self.reached.set()


class Lab:
    """One store with the account acme, and what it takes to build the parts around it."""

    def __init__(self, store: MoodyStore, clock: FakeClock, metrics: Metrics, feed: Feed) -> None:
        self.store, self.clock, self.metrics, self.feed = store, clock, metrics, feed
        self.health = Health(metrics, clock.now)
        self.cache = LineCache(1 << 20)
        self.rng = random.Random(1)
        self.most_letters = 1000
        self.accounts = {feed.account_id: feed.account}

    @property
    def acme(self) -> int:
        """The id of the account."""
        return self.feed.account_id

    async def account(self, name: str) -> Feed:
        """Add another account."""
        feed = await self.store.feed(name, "message_finder")
        self.accounts[feed.account_id] = name
        return feed

    async def append(self, numbers: range, feed: Feed | None = None) -> None:
        """Commit one page of numbered events."""
        await append_numbers(self.store, self, feed or self.feed, numbers)

    def reader(
        self, limits: BatchLimits | None = None, selection: Selection | None = None, form: Format | None = None
    ) -> BatchReader:
        """Return the reader of the destination ``hook``."""
        view = View(selection or Selection(), Rendering(type(form).__name__ if form else NATIVE, form or JsonFormat()))
        return BatchReader("hook", self.store, self.cache, view, limits or BatchLimits())

    def dispatcher(
        self,
        sink: FakeSink,
        limits: BatchLimits | None = None,
        selection: Selection | None = None,
        form: Format | None = None,
    ) -> Dispatcher:
        """Return the dispatcher of the destination ``hook``."""
        limits = limits or BatchLimits()
        letterbox = Letterbox("hook", self.store, self.health, self.most_letters)
        return Dispatcher(self.outlet(sink), self.store, self.reader(limits, selection, form), limits, letterbox)

    def outlet(self, sink: FakeSink) -> Outlet:
        """Return the way out of the destination ``hook``."""
        return Outlet("hook", sink, Senses(self.clock, self.metrics, self.health, self.rng))

    async def deliver_until_reached(self, dispatcher: Dispatcher, sink: GoalSink) -> None:
        """Run a dispatcher until its sink has reached its goal, then drain it."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(dispatcher.run(self.accounts))
            await sink.reached.wait()
            dispatcher.drain()
            await running

    def pressure(self, limit: int = 1 << 30) -> Backpressure:
        """Return a backpressure over the store."""
        return Backpressure(self.store, limit, clock=self.clock, metrics=self.metrics, health=self.health)

    def ingest(self, feed: Feed | None = None) -> Ingest:
        """Return the ingest of a feed."""
        return Ingest(feed or self.feed, self.store, self.cache, clock=self.clock, metrics=self.metrics)

    def poller(self, source: FakeSource, feed: Feed, pressure: Backpressure | None = None, sources: int = 1) -> Poller:
        """Return a poller; its account has ``sources`` sources."""
        state = AccountHealth(feed.account, sources, self.health, lambda: None)
        watch = PollWatch(
            feed, state, pressure or self.pressure(), clock=self.clock, metrics=self.metrics, health=self.health
        )
        return Poller(source, feed, self.store, self.ingest(feed), watch, clock=self.clock)

    async def figures(self) -> DestinationFigures:
        """Return the stored figures of ``hook``."""
        return figures_of(await self.store.snapshot(), "hook")

    async def position(self) -> int:
        """Return where ``hook`` stands in acme."""
        return (await self.store.positions("hook"))[self.acme]

    def condition(self) -> Condition:
        """Return the condition of ``hook``."""
        return self.health.condition(Component.of_destination("hook"))

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of a series."""
        return self.metrics.registry.get_sample_value(f"mcwatch_{name}", labels)


@asynccontextmanager
async def lab_at(path: Path, *, manual: bool = False) -> AsyncIterator[Lab]:
    """Open a lab with the account acme and the destination hook, which starts at the first event."""
    clock, metrics = FakeClock(manual=manual), Metrics()
    options = StoreOptions(path / "mcwatch.db", reserve_bytes=0)
    async with MoodyStore(options, clock=clock, metrics=metrics) as store:
        feed = await store.feed("acme", "message_finder")
        await store.enrol({"hook": False})
        yield Lab(store, clock, metrics, feed)


def refused(*indexes: int) -> Verdicts:
    """Return the verdict that these events are refused."""
    return Verdicts({index: Refusal(FailureReason.REFUSED, f"no to {index}") for index in indexes})


def retry(*indexes: int) -> Verdicts:
    """Return the verdict that these events are to be sent again."""
    return Verdicts(retry=frozenset(indexes))


def sent(sink: FakeSink) -> list[list[int]]:
    """Return the numbers of the events of each request."""
    return [numbers_of(batch.native) for batch in sink.batches]


def row(number: int, status: str = "accepted", *, secs: int = 0) -> Record:
    """Return one finder row."""
    return Record(
        id=f"id-{number}",
        status=status,
        info="",
        subject=f"subject {number}",
        route="inbound",
        from_envelope=WireAddress(f"a{number}@x.example"),
        to=[WireAddress("amy@corp.example")],
        received_at=AT + timedelta(seconds=secs),
    )


def page(rows: Sequence[Record], **cursors: bytes) -> FinderPage:
    """Return a finder page."""
    return FinderPage(rows=list(rows), cursors=cursors)
