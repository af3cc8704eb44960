"""One account of the daemon: its client, its sources, and the loops that poll them."""

from contextlib import AsyncExitStack
from datetime import timedelta

from mcwatch.app.ranges import FinderAccount
from mcwatch.app.report import LiveAccount
from mcwatch.app.shared import Shared
from mcwatch.domain.budget import verdict
from mcwatch.domain.errors import ConfigError, FailureReason, PermanentError
from mcwatch.domain.page import Feed
from mcwatch.mimecast.client import MimecastClient
from mcwatch.pipeline.accounts import AccountHealth
from mcwatch.pipeline.ingest import Ingest
from mcwatch.pipeline.poller import Poller, PollWatch
from mcwatch.settings import AccountConfig
from mcwatch.sources import MessageFinderConfig, SourceConfig, SourceContext
from mcwatch.telemetry.health import Component


class AccountPart:
    """An account that can be started and closed by itself."""

    def __init__(self, config: AccountConfig, shared: Shared) -> None:
        self.config = config
        self.live = LiveAccount(
            config.name,
            MimecastClient(
                config.name,
                config.api,
                clock=shared.clock,
                metrics=shared.metrics,
                rng=shared.rng,
                connections=shared.connections,
            ),
        )
        self.pollers: dict[str, Poller] = {}
        """By ``account/source``; none before :meth:`enrol`."""
        self.finder: FinderAccount | None = None
        self.account_id: int | None = None
        self._shared = shared
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Open the client, without a request; raises ConfigError when its TLS files or its proxy cannot be used."""
        try:
            await self._stack.enter_async_context(self.live.client)
        except PermanentError as error:
            # A client opens nothing but its TLS files and its proxy's URL.
            option = "tls" if error.reason is FailureReason.TLS else "proxy"
            raise ConfigError([f"accounts.{self.config.name}.api.{option}: {error}; {error.remedy}"]) from error

    async def enrol(self) -> None:
        """Make the account and its sources known to the store, and build what polls them. Raises StoreUnavailable."""
        shared, name = self._shared, self.config.name
        state = AccountHealth(name, len(self.config.sources), shared.health, self._shortage)
        for config in self.config.sources:
            feed = await shared.store.feed(name, config.type)
            self.account_id = feed.account_id
            self._add(config, feed, state)

    def _add(self, config: SourceConfig, feed: Feed, state: AccountHealth) -> None:
        shared, name = self._shared, self.config.name
        clock, metrics, health = shared.clock, shared.metrics, shared.health
        context = SourceContext(name, self.live.client, clock, metrics)
        source = config.build(context)
        health.expect(Component.of_source(name, source.name))
        watch = PollWatch(feed, state, shared.pressure, clock=clock, metrics=metrics, health=health)
        ingest = Ingest(feed, shared.store, shared.cache, clock=clock, metrics=metrics, tap=shared.tap)
        if isinstance(config, MessageFinderConfig):
            self.finder = FinderAccount(
                client=self.live.client,
                source=config.build(context),
                comparing=config.build(context),
                feed=feed,
                ingest=ingest,
                widest=timedelta(seconds=config.max_window),
            )
        self.pollers[f"{name}/{source.name}"] = Poller(source, feed, shared.store, ingest, watch, clock=clock)
        self.live.sources.append(source)

    def _shortage(self) -> str | None:
        client, allowed = self.live.client, self.config.api.max_requests_per_minute
        return verdict(sum(source.requests_per_minute for source in self.live.sources), allowed, client.pressure)

    @property
    def components(self) -> list[Component]:
        """What is up or down of it."""
        name = self.config.name
        return [Component.of_account(name), *(Component.of_source(name, one.name) for one in self.live.sources)]

    @property
    def is_used(self) -> bool:
        """Whether a command reads its past."""
        return self.finder is not None and self.finder.turn.locked()

    async def close_when_idle(self) -> None:
        """Close once no command reads the account's past; when cancelled, at once."""
        try:
            if self.finder:
                async with self.finder.turn:
                    pass
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the client."""
        await self._stack.aclose()
