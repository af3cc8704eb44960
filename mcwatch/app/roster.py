"""The accounts and destinations at work, and how a changed configuration exchanges some of them."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from mcwatch.app.account import AccountPart
from mcwatch.app.destination import DestinationPart, build_destination, view_of
from mcwatch.app.ranges import PastRanges
from mcwatch.app.resending import Resending
from mcwatch.app.shared import Shared
from mcwatch.domain.errors import ConfigError, StoreUnavailable
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
        self._gone: set[str] = set()
        """Destinations that the log has said of that they are gone."""
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
            await self.take_back(accounts, changes)
            raise

    async def take_back(self, accounts: Iterable[AccountPart], changes: Reloaded) -> None:
        """Close accounts that do not come to be installed, and have nothing speak of them."""
        for account in accounts:
            await account.close()
            for source in account.pollers.keys() - self.pollers.keys():
                self._shared.health.forget(Component.of_source(account.config.name, source.partition("/")[2]))
        self._forget_accounts(changes.accounts.added)

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
        most = settings.store.max_dead_letters
        await self._shared.store.enrol(_starts(self.settings) | _starts(settings))
        try:
            destinations = [await build_destination(one, views[one.name], self._shared, most) for one in configs]
            # Only when nothing else can fail: those that are gone are released in the end, at work or not.
            await self._note_gone(settings)
        except BaseException:
            # New ones that nobody drives would hold up for ever all that comes.
            with suppress(StoreUnavailable):
                await self._shared.store.enrol(_starts(self.settings))
            raise
        return Prepared(settings, changes, accounts, destinations)

    async def _note_gone(self, settings: Settings) -> None:
        told, self._gone = self._gone, set(await self._shared.store.enrol(_starts(settings)))
        for name in sorted(self._gone - told):
            logger.warning(
                "destination_gone",
                destination=name,
                remedy="it is no longer configured and is released after store.keep_delivered; "
                "until then its backlog is kept",
            )

    def pollers_of(self, accounts: Collection[str]) -> list[str]:
        """Name the pollers of accounts, as ``account/source``."""
        return [name for account in accounts for name in self.accounts[account].pollers]

    def exchange(self, prepared: Prepared) -> list[AccountPart]:
        """Put prepared parts in the place of those whose loops have ended; return the accounts' parts that were there.

        Whoever has the loops starts the new ones, and has :meth:`show` called.
        """
        changes = prepared.changes
        retired = [self.accounts.pop(name) for name in changes.accounts.stopped]
        for part in retired:
            for poller in part.pollers:
                del self.pollers[poller]
        for name in changes.accounts.removed:
            self._ranges.remove(name)
        for name in changes.destinations.stopped:
            del self.dispatchers[name]
        for name in changes.destinations.removed:
            self._resending.remove(name)
        self._install(prepared)
        return retired

    def _install(self, prepared: Prepared) -> None:
        settings = self.settings = prepared.settings
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

    def show(self, prepared: Prepared, retired: Iterable[AccountPart] = ()) -> None:
        """Have health and metrics speak of what is there since an exchange, and of nothing else."""
        health, changes, settings = self._shared.health, prepared.changes, prepared.settings
        # Not every figure of a source bears its name: where one is gone, all of the account's begin anew.
        poorer = [part.config.name for part in retired if not part.pollers.keys() <= self.pollers.keys()]
        self._forget_accounts(poorer)
        for component in (one for name in poorer if name in self.accounts for one in self.accounts[name].components):
            health.expect(component)
        for name in changes.destinations.stopped:
            # What ailed a destination as it was may ail it no more; with nothing to send, it would never be found out.
            health.forget(Component.of_destination(name))
        self._shared.metrics.forget("destination", changes.destinations.removed)
        self._shared.metrics.initialise(
            {account.name: [source.type for source in account.sources] for account in settings.accounts},
            changes.destinations.started,
            [str(endpoint) for endpoint in Endpoint],
        )

    def _forget_accounts(self, names: Collection[str]) -> None:
        for name in names:
            self._shared.health.forget(Component.of_account(name))
            for source in (FINDER, QUEUE):
                self._shared.health.forget(Component.of_source(name, source))
        self._shared.metrics.forget("account", names)

    async def see_off(self, part: AccountPart) -> None:
        """Close an account that was exchanged, as soon as no command uses it."""
        is_used = part.is_used
        try:
            await part.close_when_idle()
        finally:
            if is_used and part.config.name not in self.accounts:
                # What the command has done since was counted, and would be shown for ever.
                self._forget_accounts([part.config.name])

    async def close(self) -> None:
        """Close every account."""
        for part in self.accounts.values():
            await part.close()


def _starts(settings: Settings) -> dict[str, bool]:
    """Return the destinations, and whether they begin at the head when the store does not know them."""
    return {one.name: one.start == "latest" for one in settings.destinations}


def _by_name(configs: Iterable[AccountConfig] | Iterable[DestinationConfig]) -> dict[str, object]:
    return {config.name: config for config in configs}
