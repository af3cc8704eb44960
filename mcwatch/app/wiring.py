"""The one place that builds things: from settings to a daemon whose parts know each other."""

import asyncio
import random
import socket
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog

from mcwatch import __version__
from mcwatch.app.backfill import Backfill
from mcwatch.app.config_file import ConfigFile
from mcwatch.app.fleet import merged
from mcwatch.app.keeping import keeping_routes
from mcwatch.app.memory import settle_garbage_collector
from mcwatch.app.ranges import PastRanges
from mcwatch.app.report import Daemon, build_report, stored_accounts
from mcwatch.app.resending import Resending, resending_routes
from mcwatch.app.roster import Roster
from mcwatch.app.shared import Shared
from mcwatch.app.shared_store import DRIVER_REMEDY
from mcwatch.app.verify import Verification
from mcwatch.domain.backfill import BackfillStep, RangeRequest
from mcwatch.domain.errors import ConfigError, StoreUnavailable
from mcwatch.domain.leasing import Fleet
from mcwatch.domain.outbox import StoreSnapshot
from mcwatch.domain.reloading import Changes, Reloaded
from mcwatch.domain.status import AccountStatus, StatusReport
from mcwatch.domain.verification import VerifyStep
from mcwatch.httpclient.connections import SharedConnections
from mcwatch.httpserver.access import Credentials
from mcwatch.httpserver.certificate import CertificateFiles
from mcwatch.httpserver.control import ControlRoute, ControlServer, acting_route, health_route, reading_routes
from mcwatch.httpserver.reloading import ReloadAnswer
from mcwatch.httpserver.server import HttpServer, Listener, Views
from mcwatch.httpserver.streaming import tail_route
from mcwatch.interfaces import Clock
from mcwatch.pipeline.backpressure import Backpressure
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.retention import Retention
from mcwatch.pipeline.tap import Tail, Tap
from mcwatch.settings import HttpConfig, Settings, StoreConfig
from mcwatch.store.keep import Keep
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.health import Health
from mcwatch.telemetry.liveness import Liveness
from mcwatch.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mcwatch.store.postgres import PostgresStore

_FIGURES_SECS = 2.0
"""Less than whoever looks at the status waits for it."""
_CACHE_BYTES = 8 * 2**20

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


def build_store(settings: Settings, clock: Clock, metrics: Metrics) -> "SqliteStore | PostgresStore":
    """Build the configured store; raises ConfigError when PostgreSQL's driver is missing."""
    config = settings.store
    if not config.is_shared:
        return SqliteStore(store_options(config), clock=clock, metrics=metrics)
    try:
        # Who keeps everything in a file needs no driver.
        from mcwatch.store.postgres import PostgresOptions, PostgresStore  # noqa: PLC0415 - see above
    except ImportError as error:
        raise ConfigError([f"store.url: PostgreSQL's driver cannot be loaded ({error}): {DRIVER_REMEDY}"]) from error
    options = PostgresOptions(
        url=config.url.reveal,
        replica_name=settings.lease.replica or socket.gethostname(),
        lease_duration_secs=settings.lease.duration,
        max_backlog_bytes=config.max_backlog,
        keep=Keep(
            fingerprints=timedelta(seconds=config.keep_fingerprints),
            delivered=timedelta(seconds=config.keep_delivered),
            dead_letters=timedelta(seconds=config.keep_dead_letters),
        ),
        max_dead_letters=config.max_dead_letters,
    )
    return PostgresStore(options, clock=clock, metrics=metrics)


def listener_of(config: HttpConfig) -> Listener:
    """Return where and how the HTTP listener listens."""
    tls, auth = config.tls, config.basic_auth
    return Listener(
        config.listen,
        CertificateFiles(tls.cert_file, tls.key_file) if tls else None,
        Credentials(auth.username, auth.password) if auth else None,
    )


async def not_running() -> Reloaded:
    """Refuse a reload while the loops do not run."""
    raise ConfigError(["mcwatch is just starting or stopping: nothing has been reloaded"])


class Application:
    """Everything a daemon is made of; an async context manager.

    Entering opens the store, then the accounts' clients, then the listeners; leaving closes them the other way round.
    Sinks are opened by the loops of their destinations. Entering raises ConfigError, StoreUnavailable, StoreCorrupt, or
    TransientError for a port in use; later no failure of an account or a destination ends the daemon, only a store that
    cannot be trusted.

    ``serves`` is False for a command that works on the store by itself: nothing listens then, and whoever entered it
    runs no loops. ``config`` is the file the settings are from, where there is one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        rng: random.Random,
        serves: bool = True,
        config: ConfigFile | None = None,
    ) -> None:
        self.clock = clock
        self.config = config
        self._settings = settings
        self._serves = serves
        self._stack = AsyncExitStack()
        self.metrics = Metrics(version=__version__, accounts=len(settings.accounts))
        self.health = Health(self.metrics, clock.now)
        self.store = build_store(settings, clock, self.metrics)
        self.pressure = Backpressure(
            self.store, settings.store.max_backlog, clock=clock, metrics=self.metrics, health=self.health
        )
        self.retention = Retention(self.store, clock)
        self.liveness = Liveness(clock.monotonic)
        self._tap = Tap()
        self._connections = SharedConnections()
        shared = Shared(
            clock=clock,
            rng=rng,
            metrics=self.metrics,
            health=self.health,
            store=self.store,
            pressure=self.pressure,
            cache=LineCache(_CACHE_BYTES),
            tap=self._tap,
            connections=self._connections,
        )
        self._resending = Resending(self.store, clock, serves=serves)
        self._ranges = PastRanges(
            self.store,
            self.pressure,
            clock=clock,
            keep_fingerprints=timedelta(seconds=settings.store.keep_fingerprints),
            serves=serves,
        )
        self.parts = Roster(settings, shared, self._ranges, self._resending)
        self._started_at = clock.now()
        self._read: StoreSnapshot | None = None
        self.url = ""
        """The base URL of the status page once entered."""
        self.fleet: Callable[[], Fleet] = Fleet
        """Who lives and who holds what, as of the last beat; set while the loops run."""
        self.reload: Callable[[], Awaitable[Reloaded]] = not_running
        """Reads the configuration again; set while the loops run."""

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
        await self._stack.enter_async_context(self.store)
        await self._stack.enter_async_context(self._connections)
        self._stack.push_async_callback(self.parts.close)
        everything = Reloaded(
            accounts=Changes([one.name for one in self._settings.accounts]),
            destinations=Changes([one.name for one in self._settings.destinations]),
        )
        prepared = await self.parts.prepare(self._settings, everything)
        for part in self.parts.exchange(prepared):
            # Built to be checked: who watches it, the leases will say.
            await part.close()
        self.parts.show(prepared)
        await self._stack.enter_async_context(self._resending)
        await self.pressure.refresh()
        if self._serves:
            await self._open_servers()
        settle_garbage_collector()

    async def _open_servers(self) -> None:
        http = self._settings.http
        views = Views(
            metrics=self.metrics,
            health=self.health,
            status=self.report,
            snapshot=self._snapshot,
            probe=self.store.ping,
            now=self.clock.now,
            hangs=lambda: bool(self.liveness.stuck(self.clock.monotonic())),
            reload=self._reload if http.reload else None,
        )
        server = await self._stack.enter_async_context(HttpServer(listener_of(http), views))
        self.url = server.url
        routes = [
            health_route(self.store.ping),
            *reading_routes(self.report, self.store.dead_letters),
            *self.acting_routes,
        ]
        if self._settings.store.is_shared:
            # Commands come as rows of the store, to whichever replica has what they ask for.
            return
        streams = [tail_route(Tail(self._tap, self.store).follow)]
        await self._stack.enter_async_context(ControlServer(self._settings.store.path, routes, streams))

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
            *keeping_routes(self.store, self.parts.dispatchers.keys()),
        ]

    async def _reload(self) -> ReloadAnswer:
        # The listener is there before the loops, which bring the way to do it.
        return ReloadAnswer((await self.reload()).lines)

    async def report(self) -> StatusReport:
        """Say how everything is, on all replicas."""
        own, leases, fleet = await self.own_report(), self.store.leases, self.fleet()
        if leases is None:
            return own
        stored: Sequence[AccountStatus] = ()
        if self._read and any(lease.holder is None for lease in fleet.leases):
            stored = stored_accounts(self._read, self.clock.now())
        return merged(own, fleet, leases.replica, stored)

    async def own_report(self) -> StatusReport:
        """Say how everything is that is done here."""
        daemon = Daemon(
            at=self.clock.now(),
            started_at=self._started_at,
            config=self.config.status if self.config else None,
            health=self.health,
            accounts=[part.live for part in self.parts.accounts.values()],
            unacknowledged={name: one.unconfirmed for name, one in self.parts.dispatchers.items()},
            paused=self.pressure.paused,
            is_full=self.store.full,
        )
        return await build_report(daemon, await self._figures())

    async def _figures(self) -> StoreSnapshot:
        """Return what is stored; while the store gives no answer what it said last, beside which its trouble stands."""
        try:
            self._read = await self._snapshot()
        except StoreUnavailable:
            if self._read is None:
                raise
        return self._read

    async def _snapshot(self) -> StoreSnapshot:
        """Return what is stored, or raise StoreUnavailable before whoever looks at it has lost patience."""
        try:
            async with asyncio.timeout(_FIGURES_SECS):
                return await self.store.snapshot()
        except TimeoutError as error:
            raise StoreUnavailable("the store does not answer", remedy="see the log") from error
