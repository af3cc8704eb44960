"""The process under test: the real source, ingest and store, which can be killed between any two steps."""

import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from mcwatch.domain.errors import McwatchError, StoreUnavailable
from mcwatch.domain.page import Feed, FeedProgress, Page
from mcwatch.interfaces import Source
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.ingest import Ingest, Ingested
from mcwatch.sources.base import SourceContext
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.property.api import Adversary, Crash

if TYPE_CHECKING:
    from mcwatch.mimecast.client import MimecastClient

_CACHE_BYTES = 1 << 16


class Client(Protocol):
    """What stands in for MimecastClient."""

    account: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What outlives a process. ``watch`` is called with every page that was committed."""

    folder: Path
    clock: FakeClock
    metrics: Metrics
    adversary: Adversary
    watch: Callable[[Page, Ingested], None]


@dataclass(frozen=True, slots=True)
class Polled:
    """How a poll ended; ``killed`` by the adversary, or failed with an error, or neither."""

    error: McwatchError | None = None
    killed: bool = False


class Process:
    """One life of the daemon, as far as one source of one account goes."""

    def __init__(self, around: Surroundings, store: SqliteStore, file: Path) -> None:
        self._around = around
        self._file = file
        self.store = store

    @classmethod
    async def start(
        cls, around: Surroundings, make: Callable[[SourceContext], Source], client: Client, file: Path
    ) -> "Process":
        """Open the store in ``file`` and make the source."""
        # There is no destination: what was recorded stays, for the end to be judged.
        options = StoreOptions(file, reserve_bytes=0, keep_delivered=timedelta(days=10_000))
        store = await SqliteStore(options, clock=around.clock, metrics=around.metrics).__aenter__()
        process = cls(around, store, file)
        context = SourceContext(client.account, cast("MimecastClient", client), around.clock, around.metrics)
        process.source = make(context)
        process.feed = await store.feed(client.account, process.source.name)
        process._ingest = Ingest(
            process.feed, store, LineCache(_CACHE_BYTES), clock=around.clock, metrics=around.metrics
        )
        return process

    source: Source
    feed: Feed
    _ingest: Ingest

    async def progress(self) -> FeedProgress:
        """Return what the store has kept of the feed."""
        return await self.store.progress(self.feed)

    async def poll(self) -> Polled:
        """Poll once as the poller does."""
        return await self.commit_all(self.source.poll(await self.progress()))

    async def commit_all(self, pages: AsyncIterator[Page]) -> Polled:
        """Commit page after page, unless the adversary is against it."""
        try:
            async for page in pages:
                await self._commit(page)
        except McwatchError as error:
            return Polled(error=error)
        except Crash:
            return Polled(killed=True)
        finally:
            if isinstance(pages, AsyncGenerator):
                await pages.aclose()
        return Polled()

    async def _commit(self, page: Page) -> None:
        fault = self._around.adversary.at_commit()
        if fault == "crash":
            raise Crash
        if fault == "unavailable":
            raise StoreUnavailable("the store takes no writes now")
        outcome = await self._ingest.commit(page)
        self._around.watch(page, outcome)
        if fault == "crash_committed":
            raise Crash

    async def stop(self) -> Path:
        """Close the store; return its file."""
        await self.store.__aexit__(None, None, None)
        return self._file

    async def kill(self) -> Path:
        """Leave the store as it lies on the disk at this moment, its log beside it; return the copy's file."""
        file = self._file.with_name(f"{int(self._file.stem) + 1}.db")
        for suffix in ("", "-wal"):
            part = self._file.with_name(self._file.name + suffix)
            if part.exists():
                shutil.copyfile(part, file.with_name(file.name + suffix))
        await self.stop()
        for part in self._file.parent.glob(f"{self._file.name}*"):
            part.unlink()
        return file
