"""How the store's unit tests open a store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock


@asynccontextmanager
async def opened(path: Path, *, reserve_bytes: int = 0, metrics: Metrics | None = None) -> AsyncIterator[SqliteStore]:
    """Open the store in this file."""
    options = StoreOptions(path, reserve_bytes=reserve_bytes)
    async with SqliteStore(options, clock=FakeClock(), metrics=metrics or Metrics()) as store:
        yield store
