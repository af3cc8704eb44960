"""Leases in memory, with virtual time: what replicas in a database see of each other, without the database."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.leasing import LAPSE_SHARE, Budget, Fleet, Lease, News, Replica
from mcwatch.interfaces import Clock

_STARTED = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass
class _Row:
    account: str
    holder: UUID | None = None
    epoch: int = 0
    since: float = 0.0
    budget: Budget = field(default_factory=dict)


@dataclass
class LeaseTable:
    """What all replicas share: when each was heard of last, what it is configured with, what it holds."""

    clock: Clock
    duration_secs: float = 30.0
    rows: dict[int, _Row] = field(default_factory=dict)
    heard: dict[UUID, float] = field(default_factory=dict)
    configured: dict[UUID, frozenset[int]] = field(default_factory=dict)
    reports: dict[UUID, bytes] = field(default_factory=dict)
    is_away: bool = False

    def enrol(self, account_id: int, account: str) -> None:
        """Make the lease of an account."""
        self.rows.setdefault(account_id, _Row(account))

    def lives(self, replica: UUID | None) -> bool:
        """Tell whether a replica was heard of in time."""
        if replica is None or replica not in self.heard:
            return False
        return self.clock.monotonic() - self.heard[replica] < self.duration_secs * LAPSE_SHARE

    def join(self, replica: UUID, account_ids: Collection[int]) -> None:
        """Have a replica be heard of that takes nothing by itself."""
        self.heard[replica] = self.clock.monotonic()
        self.configured[replica] = frozenset(account_ids)

    def fleet(self) -> Fleet:
        """Return everybody."""
        now = self.clock.monotonic()
        replicas = [
            Replica(
                one,
                str(one),
                "1",
                _STARTED,
                now - at,
                self.lives(one),
                self.configured[one],
                self.reports.get(one, b""),
            )
            for one, at in self.heard.items()
        ]
        leases = [
            Lease(number, row.account, row.holder if self.lives(row.holder) else None, row.epoch, now - row.since)
            for number, row in self.rows.items()
        ]
        return Fleet(replicas, leases)


class FakeLeases:
    """``interfaces.Leases`` of one replica over a table; ``announce`` is called when accounts come or go."""

    def __init__(self, table: LeaseTable, replica: UUID) -> None:
        self.table = table
        self.replica = replica
        self.duration_secs = table.duration_secs
        self.held: dict[int, int] = {}
        self.retired: set[int] = set()
        self._valid_until = 0.0

    def holds(self, account_id: int) -> bool:
        """Tell whether the account is held, as far as is known."""
        return account_id in self.held and self.table.clock.monotonic() < self._valid_until

    async def beat(self, news: News) -> Fleet:
        """Be heard of, unless the database is away."""
        self._refuse()
        self.table.join(self.replica, news.accounts)
        if news.report is not None:
            self.table.reports[self.replica] = news.report
        for account_id, budget in news.budgets.items():
            self.table.rows[account_id].budget = budget
        fleet = self.table.fleet()
        self.held = {one.account_id: one.epoch for one in fleet.leases if one.holder == self.replica}
        self._valid_until = self.table.clock.monotonic() + self.duration_secs * LAPSE_SHARE
        return fleet

    async def take(self, account_ids: Collection[int]) -> dict[int, Budget]:
        """Take what is free."""
        self._refuse()
        taken = {}
        for account_id in account_ids:
            row = self.table.rows[account_id]
            if not self.table.lives(row.holder):
                row.holder, row.epoch, row.since = self.replica, row.epoch + 1, self.table.clock.monotonic()
                self.held[account_id] = row.epoch
                taken[account_id] = row.budget
        return taken

    def retire(self, account_ids: Collection[int]) -> None:
        """Note what is about to go."""
        self.retired |= set(account_ids)

    async def give_up(self, budgets: Mapping[int, Budget]) -> None:
        """Free accounts."""
        self._refuse()
        for account_id, budget in budgets.items():
            row = self.table.rows[account_id]
            row.holder, row.since, row.budget = None, self.table.clock.monotonic(), budget
            self.held.pop(account_id, None)
        self.retired -= budgets.keys()

    async def leave(self) -> None:
        """Free everything and be gone."""
        self._refuse()
        await self.give_up({account_id: {} for account_id in list(self.held)})
        self.table.heard.pop(self.replica, None)

    def _refuse(self) -> None:
        if self.table.is_away:
            raise StoreUnavailable("the database is away")
