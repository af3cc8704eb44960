"""What can be said and done with a store when no daemon runs on it."""

import asyncio

from mcwatch.app.clock import SystemClock
from mcwatch.app.report import offline_report
from mcwatch.app.wiring import store_options
from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.outbox import DeadLetter
from mcwatch.domain.status import StatusReport
from mcwatch.settings import Settings
from mcwatch.store.sqlite import SqliteStore
from mcwatch.telemetry.logs import configure
from mcwatch.telemetry.metrics import Metrics


def _store(settings: Settings) -> SqliteStore:
    configure("warning")
    options = store_options(settings.store)
    if not options.path.exists():
        raise StoreUnavailable(
            f"no daemon runs and there is no store at {options.path} yet",
            remedy="start mcwatch run, or check store.url and the working directory",
        )
    return SqliteStore(options, clock=SystemClock(), metrics=Metrics())


def offline_status(settings: Settings) -> StatusReport:
    """Say what the store knows; raises StoreUnavailable when it is in use or not there."""
    return asyncio.run(_status(settings))


async def _status(settings: Settings) -> StatusReport:
    async with _store(settings) as store:
        figures = await store.snapshot()
        covered = {
            (account.name, str(source.type)): source.covered_until(
                await store.cursors(await store.feed(account.name, source.type))
            )
            for account in settings.accounts
            for source in account.sources
        }
        return offline_report(figures, SystemClock().now(), covered)


def offline_dead_letters(settings: Settings, destination: str | None, limit: int) -> list[DeadLetter]:
    """List the store's dead letters, newest first."""
    return asyncio.run(_dead_letters(settings, destination, limit))


async def _dead_letters(settings: Settings, destination: str | None, limit: int) -> list[DeadLetter]:
    async with _store(settings) as store:
        return await store.dead_letters(destination, limit)
