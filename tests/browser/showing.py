"""The real listener over a report that a test sets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from mcwatch.domain.errors import McwatchError
from mcwatch.domain.outbox import StoreSnapshot
from mcwatch.domain.status import StatusReport
from mcwatch.httpserver.access import Credentials
from mcwatch.httpserver.server import HttpServer, Listener, Views
from mcwatch.telemetry.health import Health
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock


@dataclass
class Shown:
    """What the page shows next; ``error`` in its place. ``asked`` counts the reports made."""

    report: StatusReport
    error: McwatchError | None = None
    asked: int = field(default=0)

    async def answer(self) -> StatusReport:
        """Answer with the report, or fail."""
        self.asked += 1
        if self.error:
            raise self.error
        return self.report


async def _snapshot() -> StoreSnapshot:
    return StoreSnapshot()


@asynccontextmanager
async def showing(shown: Shown, port: int = 0, credentials: Credentials | None = None) -> AsyncIterator[HttpServer]:
    """Serve it on loopback."""
    clock = FakeClock()
    metrics = Metrics(CollectorRegistry(auto_describe=True))
    views = Views(metrics, Health(metrics, clock.now), shown.answer, _snapshot, _snapshot, clock.now)
    async with HttpServer(Listener(f"127.0.0.1:{port}", None, credentials), views) as server:
        yield server
