"""The loop of one source: wait, read it page by page, commit each page, say how it went."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator

import structlog

from mcwatch.domain.backoff import probe_delay
from mcwatch.domain.errors import (
    LeaseLost,
    McwatchError,
    PermanentError,
    StoreCorrupt,
    StoreUnavailable,
)
from mcwatch.domain.event import QUEUE
from mcwatch.domain.identity import UNSTABLE_REMEDY, IdentityWatch
from mcwatch.domain.page import Feed, Page
from mcwatch.domain.schedule import first_due, next_due
from mcwatch.interfaces import Clock, Source, Store
from mcwatch.pipeline.accounts import AccountHealth
from mcwatch.pipeline.backpressure import Backpressure
from mcwatch.pipeline.cancelling import is_cancelled
from mcwatch.pipeline.ingest import Ingest, Ingested
from mcwatch.telemetry.health import STORE, Component, Health
from mcwatch.telemetry.liveness import resting, turns
from mcwatch.telemetry.metrics import Metrics

logger = structlog.get_logger(__name__)


class Poller:
    """Drives one source for ever. No failure of the API or the store ends it, save a store that cannot be trusted."""

    def __init__(
        self,
        source: Source,
        feed: Feed,
        store: Store,
        ingest: Ingest,
        watch: "PollWatch",
        *,
        clock: Clock,
    ) -> None:
        self._source = source
        self._feed = feed
        self._store = store
        self._ingest = ingest
        self._watch = watch
        self._clock = clock

    async def run(self, draw: random.Random, pollers: int = 1, soon_secs: float | None = None) -> None:
        """Poll at the source's interval; a source that is down is tried more slowly. So many ``pollers`` start now.

        With ``soon_secs`` the first poll comes within that time, and the next ones spread over the interval after it.
        """
        interval_secs, now = self._source.interval_secs, self._clock.monotonic()
        due = first_due(now, interval_secs, draw.random(), pollers=pollers)
        if soon_secs is not None and due > now + soon_secs:
            await self._rest(now + soon_secs * draw.random(), "interval")
            await self.poll_once()
        reason = "interval"
        while True:
            await self._rest(due, reason)
            pause = await self.poll_once()
            reason = self._watch.pause if pause is None else "probe of a source that is down"
            now = self._clock.monotonic()
            due = next_due(due, now, interval_secs) if pause is None else now + pause * draw.uniform(0.9, 1.1)

    async def _rest(self, until: float, reason: str) -> None:
        secs = max(0.0, until - self._clock.monotonic())
        with resting(reason, secs):
            await self._clock.sleep(secs)
        turns("poll")

    async def poll_once(self) -> float | None:
        """Poll once; return None when the next poll is due at the usual time, else the seconds to wait for it."""
        if not self._store.holds(self._feed.account_id) or self._watch.rests():
            return None
        started = self._clock.monotonic()
        total: Counter[str] = Counter()
        try:
            complete = await self._read(total)
        except StoreCorrupt:
            raise
        except LeaseLost:
            # Another replica polls it: this loop is about to be ended.
            return None
        except McwatchError as error:
            return self._watch.failed(error, total, self._clock.monotonic() - started)
        except asyncio.CancelledError as stray:
            if is_cancelled():
                raise
            return self._watch.failed(_defect(stray), total, self._clock.monotonic() - started)
        except Exception as error:
            logger.exception("poll_defect", account=self._feed.account, source=self._feed.source)
            return self._watch.failed(_defect(error), total, self._clock.monotonic() - started)
        self._watch.succeeded(total, self._clock.monotonic() - started, complete=complete)
        return None

    async def _read(self, total: Counter[str]) -> bool:
        """Commit page after page; return False when polling had to rest before the end.

        A poll that catches up on days may bring more than the backlog holds. Its cursor stands where it has come to.
        """
        progress = await self._store.progress(self._feed)
        if not self._store.holds(self._feed.account_id):
            # The store may have taken its time to answer, and somebody else the account.
            return False
        pages = self._source.poll(progress)
        try:
            async for page in pages:
                turns("commit of a page")
                outcome = await self._ingest.commit(page)
                turns("poll")
                _add(total, page, outcome)
                self._watch.read(outcome)
                if self._watch.must_rest:
                    return False
        finally:
            if isinstance(pages, AsyncGenerator):
                await pages.aclose()
        return True


def _defect(error: BaseException) -> McwatchError:
    return McwatchError(
        f"a defect in mcwatch ended the poll ({type(error).__name__})",
        remedy="please report it with the log lines around it; the poll is tried again",
    )


def _asks_for_an_operator(error: McwatchError, *, pages: int) -> bool:
    """Tell whether it is useless to ask again soon: the same will be refused again, and nothing else was read.

    A source of which a part was read keeps its pace: a queue is seen only while it is looked at.
    """
    return isinstance(error, PermanentError) and not pages


def _add(total: Counter[str], page: Page, outcome: Ingested) -> None:
    counts = outcome.counts
    total["pages"] += page.answered
    total["received"] += counts.received
    total["new"] += counts.new
    total["duplicate"] += counts.duplicate
    total["undecodable"] += counts.undecodable
    total["events"] += sum(outcome.kinds.values())


class PollWatch:
    """What the polls of one source say to health, metrics and log."""

    def __init__(
        self,
        feed: Feed,
        account: AccountHealth,
        pressure: Backpressure,
        *,
        clock: Clock,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._feed = feed
        self._account = account
        self._pressure = pressure
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._component = Component.of_source(feed.account, feed.source)
        self._identity = IdentityWatch()
        self._failures = 0
        self._resting = False

    def read(self, page: Ingested) -> None:
        """Take note of what a committed page says of the source."""
        self._identity.note(page.reread, page.reidentified)

    @property
    def pause(self) -> str:
        """Why the next poll waits until it is due."""
        return f"paused: {', '.join(self._pressure.paused)}" if self._resting else "interval"

    @property
    def must_rest(self) -> bool:
        """Whether the backlog or the disk allows no page more."""
        return self._pressure.holds(self._feed.source)

    def rests(self) -> bool:
        """Tell whether polling must rest now, counting the queue polls not taken."""
        resting = self.must_rest
        if resting and self._feed.source == QUEUE:
            self._metrics.queue_polls_skipped_total.labels(self._feed.account).inc()
        if resting != self._resting:
            self._resting = resting
            log = logger.warning if resting else logger.info
            log(
                "polling_paused" if resting else "polling_resumed",
                account=self._feed.account,
                source=self._feed.source,
                reasons=self._pressure.paused,
            )
        return resting

    def succeeded(self, total: Counter[str], secs: float, *, complete: bool) -> None:
        """Report a poll that met no failure; ``complete`` when it read everything it meant to."""
        self._failures = 0
        self._count("ok", secs)
        if complete:
            self._metrics.poll_last_success_timestamp_seconds.labels(self._feed.account, self._feed.source).set(
                self._clock.now().timestamp()
            )
        self._health.up(STORE)
        self._health.up(self._component)
        unstable = self._identity.unstable
        self._health.degraded(
            self._component, self._identity.reason if unstable else "", UNSTABLE_REMEDY if unstable else ""
        )
        self._account.succeeded(self._feed.source)
        logger.info(
            "poll_done", account=self._feed.account, source=self._feed.source, secs=round(secs, 3), **dict(total)
        )

    def failed(self, error: McwatchError, total: Counter[str], secs: float) -> float | None:
        """Report a poll that failed; return how long to wait, None for the usual time."""
        self._count(str(error.reason), secs)
        logger.info(
            "poll_failed",
            account=self._feed.account,
            source=self._feed.source,
            reason=str(error.reason),
            secs=round(secs, 3),
            **dict(total),
        )
        if isinstance(error, StoreUnavailable):
            self._health.failed(STORE, error)
            return None
        self._health.failed(self._component, error)
        self._account.failed(self._feed.source, error)
        if not _asks_for_an_operator(error, pages=total["pages"]):
            self._failures = 0
            return None
        self._failures += 1
        return probe_delay(self._failures)

    def _count(self, outcome: str, secs: float) -> None:
        self._metrics.polls_total.labels(self._feed.account, self._feed.source, outcome).inc()
        self._metrics.poll_duration_seconds.labels(self._feed.account, self._feed.source).observe(secs)
