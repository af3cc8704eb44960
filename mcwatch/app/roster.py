"""The accounts and destinations at work, and how a changed configuration exchanges some of them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from mcwatch.app.account import AccountPart
from mcwatch.app.destination import DestinationPart, build_destination, view_of
from mcwatch.app.ranges import PastRanges
from mcwatch.app.resending import Resending
from mcwatch.app.shared import Shared
from mcwatch.domain.errors import ConfigError
from mcwatch.domain.event import FINDER, QUEUE
from mcwatch.domain.reloading import Reloaded, compare
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.settings import AccountConfig, DestinationConfig, Settings
from mcwatch.telemetry.health import Component

if TYPE_CHECKING:
    from mcwatch.pipeline.dispatcher import Dispatcher
    from mcwatch.pipeline.poller import Poller

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a configuration adds or changes, built and not started."""

    settings: Settings
    changes: Reloaded
    accounts: Sequence[AccountPart]
    destinations: Sequence[DestinationPart]


class Roster:
    """What the daemon's loops drive; :class:`mcwatch.app.crew.Crew` starts and stops them."""

    def __init__(self, settings: Settings, shared: Shared, ranges: PastRanges, resending: Resending) -> None:
        self.settings = settings
        """The configuration at work."""
        self.accounts: dict[str, AccountPart] = {}
        """By name."""
        self.pollers: dict[str, Poller] = {}
        """By ``account/source``."""
        self.dispatchers: dict[str, Dispatcher] = {}
        """By the destination's name."""
        self.account_names: dict[int, str] = {}
        """By the store's id of the account; those that are gone stay, for their events are still delivered."""
        self._shared = shared
        self._ranges = ranges
        self._resending = resending

    def changes(self, settings: Settings) -> Reloaded:
        """Compare a configuration with the one at work."""
        before = self.settings
        return Reloaded(
            accounts=compare(_by_name(before.accounts), _by_name(settings.accounts)),
            destinations=compare(_by_name(before.destinations), _by_name(settings.destinations)),
        )

    async def prepare(self, settings: Settings, changes: Reloaded) -> Prepared:
        """Build what a configuration adds or changes, and have the store know of it; nothing that runs is touched.

        Raises ConfigError with every problem, and StoreUnavailable.
        """
        began = set(changes.accounts.started)
        accounts = [AccountPart(config, self._shared) for config in settings.accounts if config.name in began]
        try:
            return await self._prepare(settings, changes, accounts)
        except BaseException:
            for account in accounts:
                await account.close()
            for name in changes.accounts.added:
                self._forget_account(name)
            raise

    async def _prepare(self, settings: Settings, changes: Reloaded, accounts: list[AccountPart]) -> Prepared:
        began = set(changes.destinations.started)
        configs = [config for config in settings.destinations if config.name in began]
        views, problems = {}, list[str]()
        for account in accounts:
            try:
                await account.open()
            except ConfigError as error:
                problems += error.problems
        for config in configs:
            try:
                views[config.name] = view_of(config)
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        for account in accounts:
            await account.enrol()
        await self._enrol_destinations(settings)
        most = settings.store.max_dead_letters
        destinations = [await build_destination(one, views[one.name], self._shared, most) for one in configs]
        return Prepared(settings, changes, accounts, destinations)

    async def _enrol_destinations(self, settings: Settings) -> None:
        starts = {one.name: one.start == "latest" for one in settings.destinations}
        for name in await self._shared.store.enrol(starts):
            logger.warning(
                "destination_gone",
                destination=name,
                remedy="it is no longer configured and is released after store.keep_delivered; "
                "until then its backlog is kept",
            )

    def pollers_of(self, accounts: Collection[str]) -> list[str]:
        """Name the pollers of accounts, as ``account/source``."""
        return [name for account in accounts for name in self.accounts[account].pollers]

    def withdraw(self, prepared: Prepared) -> list[AccountPart]:
        """Take out what a configuration changes or lacks, and whose loops have ended; return the accounts' parts."""
        changes, retired = prepared.changes, []
        pollers = {name for part in prepared.accounts for name in part.pollers}
        for name in changes.accounts.stopped:
            part = self.accounts.pop(name)
            retired.append(part)
            for poller in part.pollers:
                del self.pollers[poller]
            gone = [one.name for one in part.live.sources if f"{name}/{one.name}" not in pollers]
            for source in gone:
                self._shared.health.forget(Component.of_source(name, source))
            if gone:
                # Not every figure of a source bears its name: the account's begin anew.
                self._shared.metrics.forget(account=name)
        for name in changes.accounts.removed:
            self._ranges.remove(name)
            self._forget_account(name)
        for name in changes.destinations.stopped:
            del self.dispatchers[name]
        for name in changes.destinations.removed:
            self._resending.remove(name)
            self._shared.health.forget(Component.of_destination(name))
            self._shared.metrics.forget(destination=name)
        return retired

    def _forget_account(self, name: str) -> None:
        health = self._shared.health
        health.forget(Component.of_account(name))
        for source in (FINDER, QUEUE):
            health.forget(Component.of_source(name, source))
        self._shared.metrics.forget(account=name)

    def install(self, prepared: Prepared) -> None:
        """Put prepared parts where everybody finds them; whoever has the loops starts them."""
        settings = self.settings = prepared.settings
        self._shared.metrics.initialise(
            {account.name: [source.type for source in account.sources] for account in settings.accounts},
            prepared.changes.destinations.added,
            [str(endpoint) for endpoint in Endpoint],
        )
        for account in prepared.accounts:
            name = account.config.name
            self.accounts[name] = account
            self.pollers |= account.pollers
            if account.account_id is not None:
                self.account_names[account.account_id] = name
            self._ranges.put(name, account.finder)
        for destination in prepared.destinations:
            self.dispatchers[destination.config.name] = destination.dispatcher
            self._resending.put(destination.config.name, destination.way)
        skips = [one.name for one in settings.destinations if one.when_full == "skip"]
        self._shared.pressure.need_not_wait_for({name: self.dispatchers[name].skip for name in skips})

    async def close(self) -> None:
        """Close every account."""
        for part in self.accounts.values():
            await part.close()


def _by_name(configs: Iterable[AccountConfig] | Iterable[DestinationConfig]) -> dict[str, object]:
    return {config.name: config for config in configs}
