"""The accounts and destinations at work, and how a changed configuration exchanges some of them."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
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
from mcwatch.domain.leasing import Budget
from mcwatch.domain.reloading import Reloaded, compare
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.settings import AccountConfig, DestinationConfig, Settings
from mcwatch.telemetry.health import STORE, Component

if TYPE_CHECKING:
    from mcwatch.pipeline.dispatcher import Dispatcher
    from mcwatch.pipeline.poller import Poller

_LASTING_SECS = 5.0
"""A pause that ends sooner is over before anybody could take the account over."""

_UNUSABLE_REMEDY = "put back what the account's configuration names; it is tried again by itself"

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
        """By name; where replicas share the accounts, those that this one holds."""
        self.pollers: dict[str, Poller] = {}
        """By ``account/source``."""
        self.dispatchers: dict[str, Dispatcher] = {}
        """By the destination's name."""
        self.account_ids: dict[str, int] = {}
        """The store's ids of the configured accounts, by name."""
        self.account_names: dict[int, str] = {}
        """By the store's id of the account; those that are gone stay, for their events are still delivered."""
        self.turn = asyncio.Lock()
        """Held by whoever exchanges parts that run."""
        self._unusable: set[str] = set()
        """Accounts that could not be made ready when they were taken: others may be able to."""
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
        """Name the pollers of those of these accounts that are watched here, as ``account/source``."""
        watched = [self.accounts[account] for account in accounts if account in self.accounts]
        return [name for part in watched for name in part.pollers]

    def exchange(self, prepared: Prepared) -> list[AccountPart]:
        """Put prepared parts in the place of those whose loops have ended; return the accounts' parts to be closed.

        Whoever has the loops starts the new ones, and has :meth:`show` called.
        """
        changes = prepared.changes
        retired = self._take_out(changes.accounts.stopped)
        for name in changes.accounts.removed:
            self._ranges.remove(name)
            self.account_ids.pop(name, None)
        for name in changes.destinations.stopped:
            del self.dispatchers[name]
        for name in changes.destinations.removed:
            self._resending.remove(name)
        self._install(prepared)
        return retired + [part for part in prepared.accounts if part.config.name not in self.accounts]

    def _take_out(self, names: Iterable[str]) -> list[AccountPart]:
        parts = [self.accounts.pop(name) for name in names if name in self.accounts]
        for part in parts:
            for poller in part.pollers:
                del self.pollers[poller]
        return parts

    def _put_in(self, account: AccountPart) -> None:
        self.accounts[account.config.name] = account
        self.pollers |= account.pollers
        self._ranges.put(account.config.name, account.finder)

    def _install(self, prepared: Prepared) -> None:
        settings = self.settings = prepared.settings
        for account in prepared.accounts:
            name = account.config.name
            if account.account_id is not None:
                self.account_ids[name] = account.account_id
                self.account_names[account.account_id] = name
            if self.is_held(account):
                self._put_in(account)
            else:
                self._ranges.put(name, None)
        for destination in prepared.destinations:
            self.dispatchers[destination.config.name] = destination.dispatcher
            self._resending.put(destination.config.name, destination.way)
        skips = [one.name for one in settings.destinations if one.when_full == "skip"]
        self._shared.pressure.need_not_wait_for({name: self.dispatchers[name].skip for name in skips})

    def show(self, prepared: Prepared, retired: Iterable[AccountPart] = ()) -> None:
        """Have health and metrics speak of what is there since an exchange, and of nothing else."""
        health, changes = self._shared.health, prepared.changes
        # Not every figure of a source bears its name: where one is gone, all of the account's begin anew.
        poorer = [part.config.name for part in retired if not part.pollers.keys() <= self.pollers.keys()]
        self._forget_accounts(poorer)
        # Also of one that another replica holds something is shown here: for how long nobody has.
        self._forget_accounts({*changes.accounts.removed, *self._unusable} - self.accounts.keys())
        self._unusable.clear()
        for component in (one for name in poorer if name in self.accounts for one in self.accounts[name].components):
            health.expect(component)
        for name in changes.destinations.stopped:
            # What ailed a destination as it was may ail it no more; with nothing to send, it would never be found out.
            health.forget(Component.of_destination(name))
        self._shared.metrics.forget("destination", changes.destinations.removed)
        # What was built to be checked, and is watched by another replica, has nothing to show here.
        self._forget_accounts([one.config.name for one in prepared.accounts if one.config.name not in self.accounts])
        self._initialise(self.accounts.values(), changes.destinations.started)

    def _initialise(self, accounts: Iterable[AccountPart], destinations: Iterable[str] = ()) -> None:
        self._shared.metrics.initialise(
            {part.config.name: [source.type for source in part.config.sources] for part in accounts},
            destinations,
            [str(endpoint) for endpoint in Endpoint],
        )

    def is_held(self, part: AccountPart) -> bool:
        """Tell whether an account is watched here, as far as is known without asking."""
        return part.account_id is not None and self._shared.store.holds(part.account_id)

    def idle(self) -> list[tuple[str, int]]:
        """Return the configured accounts that are held and not watched yet: name and id."""
        holds = self._shared.store.holds
        return [(name, one) for name, one in self.account_ids.items() if name not in self.accounts and holds(one)]

    def configured_ids(self) -> list[int]:
        """Return the ids of the accounts that are configured here and can be made ready, as far as is known."""
        return [account_id for name, account_id in self.account_ids.items() if name not in self._unusable]

    def note_store(self, error: StoreUnavailable | None) -> None:
        """Show that the store takes no writes, or does again: whoever watches nothing would not find out by polling."""
        if error:
            self._shared.health.failed(STORE, error)
        else:
            self._shared.health.up(STORE)

    def forget_lost(self) -> None:
        """Have nothing speak of accounts that could not be made ready here and that others hold by now."""
        holds = self._shared.store.holds
        self._forget_accounts([name for name in self._unusable if not holds(self.account_ids.get(name, 0))])

    async def begin(self, budgets: Mapping[str, Budget]) -> None:
        """Make held accounts ready, each with what is left of its request budget; whoever has the loops polls them.

        One that cannot be made ready stays idle, and is left to others if they are configured with it. Raises
        StoreUnavailable.
        """
        for config in [one for one in self.settings.accounts if one.name in budgets]:
            account = AccountPart(config, self._shared)
            try:
                await account.open()
                await account.enrol()
            except BaseException as error:
                await account.close()
                if isinstance(error, ConfigError):
                    self._note_unusable(config.name, error.problems)
                    continue
                self._forget_accounts([config.name])
                raise
            self._unusable.discard(config.name)
            account.live.client.go_on_from(budgets[config.name])
            self._put_in(account)
            self._initialise([account])

    def _note_unusable(self, name: str, problems: Sequence[str]) -> None:
        # It was whole at the last reload: a file it names has changed since.
        if name not in self._unusable:
            logger.error("account_unusable", account=name, problems=problems)
        self._unusable.add(name)
        self._shared.health.down(Component.of_account(name), "; ".join(problems), _UNUSABLE_REMEDY)

    def let_go(self, names: Iterable[str]) -> list[AccountPart]:
        """Watch accounts no longer, whose loops have ended, and return them to be closed."""
        parts = self._take_out(names)
        for part in parts:
            self._ranges.put(part.config.name, None)
        self._forget_accounts([part.config.name for part in parts])
        return parts

    def carries(self, account_ids: Collection[int]) -> bool:
        """Tell whether events of some of these accounts may be on their way."""
        return any(one.carries(account_id) for one in self.dispatchers.values() for account_id in account_ids)

    def budgets(self) -> dict[int, Budget]:
        """Return the request budgets that whoever came next would have to know, by the account's id."""
        found = {part.account_id: part.live.client.budget() for part in self.accounts.values() if part.account_id}
        return {one: budget for one, budget in found.items() if max(budget.values(), default=0.0) > _LASTING_SECS}

    def budget(self, account_id: int) -> Budget:
        """Return what is left of an account's request budget."""
        part = self.accounts.get(self.account_names.get(account_id, ""))
        return part.live.client.budget() if part else {}

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
