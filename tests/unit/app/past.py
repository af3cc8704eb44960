"""An application over a simulated API in virtual time, whose past is read again."""

import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mcwatch.app.wiring import Application
from mcwatch.cli.control import ask_on
from mcwatch.domain.backfill import BackfilledStep, BackfillPlan, RangeRequest
from mcwatch.domain.outbox import DeadLetter
from mcwatch.domain.page import PageTransaction
from mcwatch.domain.tally import Tally
from mcwatch.domain.verification import VerifiedStep, VerifyPlan, VerifyReport
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.httpserver.control import ControlRequest
from mcwatch.settings import Settings
from mcwatch.simulator import QuotaConfig, Shape, Simulator, SimulatorConfig
from tests.fakes.clock import START, FakeClock

T = TypeVar("T")
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
PLENTY = QuotaConfig(calls=1_000_000)
HIDDEN_CAP = SimulatorConfig(
    mails_per_minute=0.0,
    history_secs=0.0,
    quota=PLENTY,
    finder=Shape(total_count=False, page_cap=50, next_token=False),
)
"""An API that shows fifty rows of any window and does not say that there are more."""

TOLD_CAP = SimulatorConfig(
    mails_per_minute=0.0, history_secs=0.0, quota=PLENTY, finder=Shape(page_cap=50, next_token=False)
)
"""An API that shows fifty rows of any window and says how many there are."""


class Past:
    """The application without servers, its API and its store's file."""

    def __init__(self, application: Application, simulator: Simulator, clock: FakeClock, path: Path) -> None:
        self.application, self.simulator, self.clock, self.path = application, simulator, clock, path
        self._routes = {route.path: route for route in application.acting_routes}

    async def ask(self, path: str, kind: type[T], question: msgspec.Struct) -> T:
        """Have something done as a command does."""
        answer = await self._routes[path].answer(ControlRequest({}, msgspec.json.encode(question)))
        return msgspec.json.decode(msgspec.json.encode(answer), type=kind)

    async def poll(self) -> None:
        """Poll the finder once."""
        assert await self.application.parts.pollers["acme/message_finder"].poll_once() is None

    def ago(self, **ago: float) -> datetime:
        """Return a moment."""
        return self.clock.now().replace(microsecond=0) - timedelta(**ago)

    def request(self, start: datetime, end: datetime | None = None, *, anew: bool = False) -> RangeRequest:
        """Return the request for a range of the account, up to now."""
        return RangeRequest(account="acme", start=start, end=end or self.ago(), anew=anew)

    async def verify(self, start: datetime, end: datetime | None = None, *, repair: bool = False) -> VerifyReport:
        """Verify a range as the command does."""
        plan = await self.ask("/verify/plan", VerifyPlan, self.request(start, end))
        tally = Tally(plan, repair=repair)
        for step in tally.steps():
            async for part, found in ask_on(self, "/verify", VerifiedStep, step):
                tally.add(part, found)
        return tally.report()

    async def plan_backfill(self, start: datetime, end: datetime | None = None, *, anew: bool = False) -> BackfillPlan:
        """Plan a backfill."""
        return await self.ask("/backfill/plan", BackfillPlan, self.request(start, end, anew=anew))

    async def backfill(self, plan: BackfillPlan, most: int | None = None) -> list[BackfilledStep]:
        """Do the steps of a plan, or so many of them."""
        return [done for step in plan.steps[:most] async for _, done in ask_on(self, "/backfill", BackfilledStep, step)]

    @contextmanager
    def _sql(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def forget(self, *received: datetime) -> None:
        """Delete what the store knows of these seconds, as if nothing of them had been recorded."""
        with self._sql() as connection:
            for at in received:
                secs = int(at.timestamp())
                done = connection.execute("DELETE FROM seen WHERE slot & ((1 << 34) - 1) = ?", (secs,))
                assert done.rowcount == 1

    def dump(self) -> list[str]:
        """Return all that the store holds."""
        with self._sql() as connection:
            return list(connection.iterdump())

    def cursors(self) -> list[str]:
        """Return the names of the stored cursors."""
        with self._sql() as connection:
            return [name for (name,) in connection.execute("SELECT name FROM cursor ORDER BY name")]

    def events(self) -> int:
        """Return how many events were ever appended."""
        with self._sql() as connection:
            (head,) = connection.execute("SELECT head FROM account").fetchone()
            return int(head)

    async def coverage(self) -> list[Span]:
        """Return what the ledger says of the search."""
        feed = await self.application.store.feed("acme", "message_finder")
        progress = await self.application.store.progress(feed)
        return list(progress.coverage.get("to=corp.example", ()))

    async def count_as_read(self, start: datetime, end: datetime) -> None:
        """Let the ledger say that polls have read a range."""
        feed = await self.application.store.feed("acme", "message_finder")
        span = Span(start, end, Cover.READ, self.ago())

        def read(transaction: PageTransaction) -> None:
            transaction.replace_spans("to=corp.example", span.window, [span])

        await self.application.store.commit_page(feed, read)

    async def letters(self) -> list[DeadLetter]:
        """Return the dead letters."""
        return await self.application.store.dead_letters(None, 100)


def settings_for(simulator: Simulator, folder: Path, keep: str, finder: dict[str, object]) -> Settings:
    """Return the settings of an account that searches by recipient; ``keep`` is for fingerprints."""
    account = simulator.config.accounts[0]
    source = {"type": "message_finder", "searches": [{"to": "corp.example"}], "initial_look_back": "2h", "rescans": []}
    # Without an overlap mail counts right after it was polled.
    source["overlap"] = "0s"
    api = {
        "base_url": simulator.url,
        "auth": {"type": "oauth2", "client_id": account.client_id, "client_secret": account.client_secret},
        "max_requests_per_minute": 1_000_000,
    }
    given: dict[str, Any] = {
        "http": {"listen": "127.0.0.1:0"},
        "store": {"url": f"sqlite:///{folder / 'mcwatch.db'}", "reserve": 0, "keep_fingerprints": keep},
        "accounts": [
            {"name": "acme", "api": api, "sources": [source | finder]},
            {"name": "queue-only", "api": api, "sources": [{"type": "processing_queue"}]},
        ],
        "destinations": [{"name": "out", "sink": {"type": "file", "path": str(folder / "out.ndjson")}}],
    }
    return Settings.model_validate(given)


@asynccontextmanager
async def past(
    folder: Path, config: SimulatorConfig | None = None, *, keep: str = "31d", serves: bool = False, **finder: object
) -> AsyncIterator[Past]:
    """Open an application over a simulator without mail of its own."""
    clock = FakeClock()
    begin = START.timestamp()
    config = config or SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, quota=PLENTY)
    async with (
        Simulator(config, lambda: begin + clock.monotonic()) as simulator,
        Application(
            settings_for(simulator, folder, keep, finder), clock=clock, rng=random.Random(1), serves=serves
        ) as application,
    ):
        yield Past(application, simulator, clock, folder / "mcwatch.db")
