"""The one place that builds things: from settings to a daemon whose parts know each other."""

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog

from mcwatch import __version__
from mcwatch.app.backfill import Backfill
from mcwatch.app.keeping import keeping_routes
from mcwatch.app.memory import settle_garbage_collector
from mcwatch.app.ranges import FinderAccount, PastRanges
from mcwatch.app.report import Daemon, LiveAccount, build_report
from mcwatch.app.resending import Resending, Way, resending_routes
from mcwatch.app.verify import Verification
from mcwatch.domain.backfill import BackfillStep, RangeRequest
from mcwatch.domain.budget import verdict
from mcwatch.domain.errors import ConfigError, FailureReason, PermanentError
from mcwatch.domain.selection import Selection
from mcwatch.domain.status import StatusReport
from mcwatch.domain.verification import VerifyStep
from mcwatch.httpserver.control import ControlRoute, ControlServer, acting_route, reading_routes
from mcwatch.httpserver.server import HttpServer, Views
from mcwatch.interfaces import Clock, Sink
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
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
from mcwatch.pipeline.resending import Resender
from mcwatch.pipeline.retention import Retention
from mcwatch.settings import AccountConfig, DestinationConfig, Settings, StoreConfig
from mcwatch.sources import MessageFinderConfig, SourceContext
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.health import Component, Health
from mcwatch.telemetry.metrics import Metrics

_CACHE_BYTES = 16 * 2**20
_ACKNOWLEDGED_IN_FLIGHT = 32

logger = structlog.get_logger(__name__)


def store_options(config: StoreConfig) -> StoreOptions:
    """Return the store's options as its code takes them."""
    return StoreOptions(
        path=config.path,
        max_backlog_bytes=config.max_backlog,
        keep_delivered=timedelta(seconds=config.keep_delivered),
        keep_fingerprints=timedelta(seconds=config.keep_fingerprints),
        keep_dead_letters=timedelta(seconds=config.keep_dead_letters),
        reserve_bytes=config.reserve,
        max_dead_letters=config.max_dead_letters,
    )


def view_of(config: DestinationConfig) -> View:
    """Return what a destination gets to see; raises ConfigError when the key of its redaction cannot be read."""
    select = config.select
    selection = Selection(tuple(select.accounts), tuple(select.kinds), tuple(select.routes))
    try:
        redaction = config.redact.build() if config.redact else None
    except ConfigError as error:
        raise ConfigError(
            [f"destinations.{config.name}.redact.key: {problem}" for problem in error.problems]
        ) from error
    name = NATIVE if config.format.type == NATIVE else config.format.model_dump_json()
    if redaction:
        name = f"{name} {redaction.name}"
    return View(selection, Rendering(name, config.format.build(), redaction))


def limits_of(config: DestinationConfig, sink: Sink) -> BatchLimits:
    """Return a destination's batch policy."""
    batch = config.batch
    acknowledged = _ACKNOWLEDGED_IN_FLIGHT if sink.acknowledgements else 1
    return BatchLimits(batch.max_events, batch.max_bytes, batch.linger, batch.max_in_flight or acknowledged)


@dataclass
class Parts:
    """What the daemon's loops drive; :class:`mcwatch.app.lifecycle.Runner` starts and stops them."""

    pollers: dict[str, Poller] = field(default_factory=dict)
    """By ``account/source``."""
    dispatchers: dict[str, Dispatcher] = field(default_factory=dict)
    """By the destination's name."""
    account_names: dict[int, str] = field(default_factory=dict)
    """By the store's id of the account."""


class Application:
    """Everything a daemon is made of; an async context manager.

    Entering opens the store, then the accounts' clients, then the listeners; leaving closes them the other way round.
    Sinks are opened by the loops of their destinations. Entering raises ConfigError, StoreUnavailable or StoreCorrupt;
    later no failure of an account or a destination ends the daemon, only a store that cannot be trusted.

    ``serves`` is False for a command that works on the store by itself: nothing listens then, and whoever entered it
    runs no loops.
    """

    def __init__(self, settings: Settings, *, clock: Clock, rng: random.Random, serves: bool = True) -> None:
        self.clock = clock
        self._settings = settings
        self._rng = rng
        self._serves = serves
        self._stack = AsyncExitStack()
        self.metrics = Metrics(version=__version__)
        self.health = Health(self.metrics, clock.now)
        self.parts = Parts()
        self.store = SqliteStore(store_options(settings.store), clock=clock, metrics=self.metrics)
        self.pressure = Backpressure(
            self.store, settings.store.max_backlog, clock=clock, metrics=self.metrics, health=self.health
        )
        self.retention = Retention(self.store, clock)
        self._cache = LineCache(_CACHE_BYTES)
        self._accounts: list[LiveAccount] = []
        self._resending = Resending(self.store, clock, serves=serves)
        self._ranges = PastRanges(
            self.store,
            self.pressure,
            clock=clock,
            keep_fingerprints=timedelta(seconds=settings.store.keep_fingerprints),
            serves=serves,
        )
        self._started_at = clock.now()
        self.url = ""
        """The base URL of the status page once entered."""

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        settings = self._settings
        self.metrics.initialise(
            {account.name: [source.type for source in account.sources] for account in settings.accounts},
            [destination.name for destination in settings.destinations],
            [str(endpoint) for endpoint in Endpoint],
        )
        await self._stack.enter_async_context(self.store)
        for account, client in await self._open_clients():
            await self._enrol_sources(account, client)
        await self._enrol_destinations()
        await self._stack.enter_async_context(self._resending)
        for destination in settings.destinations:
            dispatcher = await self._dispatcher(destination)
            self.parts.dispatchers[destination.name] = dispatcher
            if destination.when_full == "skip":
                self.pressure.need_not_wait_for(destination.name, dispatcher.skip)
        await self.pressure.refresh()
        if self._serves:
            await self._open_servers()
        settle_garbage_collector()

    async def _open_clients(self) -> list[tuple[AccountConfig, MimecastClient]]:
        """Open every account's client, or name every account whose files or secrets cannot be used."""
        opened: list[tuple[AccountConfig, MimecastClient]] = []
        problems: list[str] = []
        for config in self._settings.accounts:
            client = MimecastClient(config.name, config.api, clock=self.clock, metrics=self.metrics, rng=self._rng)
            try:
                opened.append((config, await self._stack.enter_async_context(client)))
            except PermanentError as error:
                # A client opens nothing but its TLS files and its proxy's URL.
                option = "tls" if error.reason is FailureReason.TLS else "proxy"
                problems.append(f"accounts.{config.name}.api.{option}: {error}; {error.remedy}")
        if problems:
            raise ConfigError(problems)
        return opened

    async def _enrol_sources(self, config: AccountConfig, client: MimecastClient) -> None:
        live = LiveAccount(config.name, client)
        allowed = config.api.max_requests_per_minute

        def shortage() -> str | None:
            return verdict(sum(source.requests_per_minute for source in live.sources), allowed, client.pressure)

        state = AccountHealth(config.name, len(config.sources), self.health, shortage)
        context = SourceContext(config.name, client, self.clock, self.metrics)
        self._ranges.add(config.name, None)
        for source_config in config.sources:
            source = source_config.build(context)
            feed = await self.store.feed(config.name, source.name)
            self.parts.account_names[feed.account_id] = config.name
            self.health.expect(Component.of_source(config.name, source.name))
            watch = PollWatch(feed, state, self.pressure, clock=self.clock, metrics=self.metrics, health=self.health)
            ingest = Ingest(feed, self.store, self._cache, clock=self.clock, metrics=self.metrics)
            if isinstance(source_config, MessageFinderConfig):
                widest = timedelta(seconds=source_config.max_window)
                finder = FinderAccount(
                    client=client,
                    source=source_config.build(context),
                    comparing=source_config.build(context),
                    feed=feed,
                    ingest=ingest,
                    widest=widest,
                )
                self._ranges.add(config.name, finder)
            self.parts.pollers[f"{config.name}/{source.name}"] = Poller(
                source, feed, self.store, ingest, watch, clock=self.clock
            )
            live.sources.append(source)
        self._accounts.append(live)

    async def _enrol_destinations(self) -> None:
        starts = {one.name: one.start == "latest" for one in self._settings.destinations}
        for name in await self.store.enrol(starts):
            logger.warning(
                "destination_gone",
                destination=name,
                remedy="it is no longer configured and is released after store.keep_delivered; "
                "until then its backlog is kept",
            )

    async def _dispatcher(self, config: DestinationConfig) -> Dispatcher:
        sink = config.sink.build(await self.store.channel(config.name))
        limits = limits_of(config, sink)
        view = view_of(config)
        reader = BatchReader(config.name, self.store, self._cache, view, limits)
        senses = Senses(self.clock, self.metrics, self.health, self._rng)
        outlet = Outlet(config.name, sink, senses)
        self._resending.add(config.name, Way(reader, Resender(outlet, view)))
        letterbox = Letterbox(config.name, self.store, self.health, self._settings.store.max_dead_letters)
        return Dispatcher(outlet, self.store, reader, limits, letterbox)

    async def _open_servers(self) -> None:
        views = Views(
            metrics=self.metrics,
            health=self.health,
            status=self.report,
            snapshot=self.store.snapshot,
            probe=self.store.ping,
            now=self.clock.now,
        )
        server = await self._stack.enter_async_context(HttpServer(self._settings.http.listen, views))
        self.url = server.url
        routes = reading_routes(self.report, self.store.dead_letters)
        await self._stack.enter_async_context(ControlServer(self._settings.store.path, [*routes, *self.acting_routes]))

    @property
    def acting_routes(self) -> list[ControlRoute]:
        """What commands can have done: by the daemon over its control socket, or without one by themselves."""
        backfill, verification = Backfill(self._ranges), Verification(self._ranges)
        return [
            acting_route("/backfill/plan", RangeRequest, backfill.plan),
            acting_route("/backfill", BackfillStep, backfill.step),
            acting_route("/verify/plan", RangeRequest, verification.plan),
            acting_route("/verify", VerifyStep, verification.step),
            *resending_routes(self._resending),
            *keeping_routes(self.store, [one.name for one in self._settings.destinations]),
        ]

    async def report(self) -> StatusReport:
        """Say how everything is."""
        daemon = Daemon(
            at=self.clock.now(),
            started_at=self._started_at,
            health=self.health,
            accounts=self._accounts,
            unacknowledged={name: one.unconfirmed for name, one in self.parts.dispatchers.items()},
            paused=self.pressure.paused,
            is_full=self.store.full,
        )
        return build_report(daemon, await self.store.snapshot())
