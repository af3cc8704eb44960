"""A listener whose daemon is always well, for tests of who may ask it what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from mcwatch.domain.outbox import StoreSnapshot
from mcwatch.domain.status import StatusReport
from mcwatch.httpclient.client import ClientOptions, HttpClient, Response
from mcwatch.httpserver.reloading import Reload
from mcwatch.httpserver.server import HttpServer, Listener, Views
from mcwatch.telemetry.health import Component, Health
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.unit.httpserver.reports import quiet_report


async def _report() -> StatusReport:
    return quiet_report()


async def _snapshot() -> StoreSnapshot:
    return StoreSnapshot()


@asynccontextmanager
async def answering(listener: Listener, reload: Reload | None = None) -> AsyncIterator[HttpServer]:
    """Serve; the account acme is down."""
    clock = FakeClock()
    metrics = Metrics(CollectorRegistry(auto_describe=True))
    health = Health(metrics, clock.now)
    health.down(Component.of_account("acme"), "refused", "renew")
    views = Views(metrics, health, _report, _snapshot, _snapshot, clock.now, reload=reload)
    async with HttpServer(listener, views) as server:
        yield server


async def ask(server: HttpServer, path: str, method: str = "GET", **headers: str) -> Response:
    """Ask for a path; underscores in the names of headers become hyphens."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with HttpClient(ClientOptions()) as client:
        return await client.request(method, f"{server.url}{path}", headers=sent)
