"""Who of several replicas holds which account, as this replica knows it and proves it in each write.

An account is held by whoever its lease names, as long as that replica is heard of: so one row per beat renews
everything. Epochs are learnt where the database says them, in a transaction: when an account is taken, and at a beat
for an account taken by a transaction of which the end was not heard.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from uuid import UUID

from mcwatch import __version__
from mcwatch.domain.leasing import Budget, Fleet, News
from mcwatch.store.postgres import fleet
from mcwatch.store.postgres.connection import Connection
from mcwatch.store.postgres.options import PostgresOptions
from mcwatch.store.postgres.worker import After, Held, Work
from mcwatch.telemetry.metrics import Metrics

_NOTHING: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Beaten:
    """What a beat brought: the fleet, and the heads of the accounts that are held."""

    fleet: Fleet
    heads: Mapping[int, int]


class PostgresLeases:
    """``interfaces.Leases``, and what the store asks: what is held, and up to which event.

    Args:
        replica: what this process is called among the replicas.
        ask: does work in a transaction on the leases' own thread; its second argument is called with the result, on
            the loop's thread and in the order of the commits.
        announce: called when accounts have come or gone, or have got further.
        monotonic: the clock that says when the leases were last renewed.
    """

    def __init__(
        self,
        options: PostgresOptions,
        replica: UUID,
        ask: Callable[[Work, After], Awaitable[None]],
        *,
        metrics: Metrics,
        monotonic: Callable[[], float],
        announce: Callable[[], None],
    ) -> None:
        self._options = options
        self._replica = replica
        self._ask = ask
        self._metrics = metrics
        self._monotonic = monotonic
        self._announce = announce
        # Replaced as a whole, never changed: the writers' threads look into it.
        self._epochs: Mapping[int, int] = _NOTHING
        self._heads: dict[int, int] = {}
        self._retired: frozenset[int] = frozenset()
        self._leaving: frozenset[int] = frozenset()
        self._valid_until = float("-inf")
        self._was_valid = False
        self._reports: Mapping[UUID, bytes] = {}
        """What each replica published last, as of the beat that asked for it."""
        self.destinations: Collection[str] = ()
        """The names of the destinations that this replica is configured with."""

    @property
    def replica(self) -> UUID:
        """What this process is called among the replicas."""
        return self._replica

    @property
    def duration_secs(self) -> float:
        """How long after its loss a replica's accounts are polled by another one at the latest."""
        return self._options.lease_duration_secs

    @property
    def _is_valid(self) -> bool:
        return self._monotonic() < self._valid_until

    def held(self) -> Collection[int]:
        """Return the ids of the accounts held now, as far as is known without asking."""
        return self._epochs.keys() - self._leaving if self._is_valid else ()

    def holds(self, account_id: int) -> bool:
        """Tell whether an account is held now, as far as is known without asking."""
        return self._is_valid and account_id in self._epochs and account_id not in self._leaving

    def epoch(self, account_id: int) -> int | None:
        """Return the epoch under which an account was last known to be held, None for none."""
        return self._epochs.get(account_id)

    def heads(self) -> Mapping[int, int]:
        """Return the head of each account that is delivered here."""
        return self._heads if self._is_valid else _NOTHING

    def appended(self, account_id: int, head: int) -> None:
        """Take note of a committed page's events."""
        if head > self._heads.get(account_id, head):
            self._heads[account_id] = head
            self._announce()

    def fence(self, connection: Connection, account_ids: Collection[int]) -> Collection[int]:
        """Lock the leases of these accounts and return those that are held, until the transaction ends."""
        epochs = self._epochs
        known = [account_id for account_id in account_ids if account_id in epochs]
        found = fleet.locked_epochs(connection, self._replica, known) if known else {}
        return [account_id for account_id, epoch in found.items() if epochs[account_id] == epoch]

    async def beat(self, news: News) -> Fleet:
        """Say that this replica lives and return who lives and who holds what."""
        begun_at = self._monotonic()
        me = fleet.Me(self._replica, self._options.replica_name, __version__, self.destinations)
        fleets: list[Fleet] = []
        # As often as they are published: beats come more often than anybody looks.
        asks = news.report is not None or not any(self._reports.values())

        def work(connection: Connection, _: Held) -> _Beaten:
            seen = fleet.beat(connection, me, news, self._options.lapse_secs, with_reports=asks)
            return _Beaten(seen, fleet.heads(connection, seen.held_by(self._replica)))

        def after(beaten: _Beaten) -> None:
            fleets.append(beaten.fleet)
            self._renew(begun_at, beaten)

        await self._ask(work, after)
        if asks:
            self._reports = {one.id: one.report for one in fleets[0].replicas}
            return fleets[0]
        replicas = [replace(one, report=self._reports.get(one.id, b"")) for one in fleets[0].replicas]
        return replace(fleets[0], replicas=replicas)

    def _renew(self, begun_at: float, beaten: _Beaten) -> None:
        """Hold what the database says: what was lost is gone, what was taken without our hearing of it is there."""
        held = {
            lease.account_id: lease.epoch
            for lease in beaten.fleet.leases
            if lease.holder == self._replica and lease.account_id not in self._leaving
        }
        lost = [id_ for id_, epoch in self._epochs.items() if held.get(id_) != epoch and id_ not in self._leaving]
        if lost:
            self._metrics.leases_lost_total.inc(len(lost))
        self._valid_until = begun_at + self._options.lapse_secs
        staying = {id_: epoch for id_, epoch in self._epochs.items() if id_ in self._leaving}
        self._hold({**held, **staying}, beaten.heads)

    def _hold(self, epochs: Mapping[int, int], heads: Mapping[int, int]) -> None:
        """Hold exactly these accounts; say so when others are delivered than before, or one has got further."""
        before, was_valid = self._heads, self._was_valid
        self._epochs = epochs
        self._heads = {
            account_id: max(heads.get(account_id, 0), before.get(account_id, 0))
            for account_id in epochs.keys() - self._retired - self._leaving
            if account_id in heads or account_id in before
        }
        self._was_valid = self._is_valid
        if self._heads != before or self._was_valid != was_valid:
            self._announce()

    async def take(self, account_ids: Collection[int]) -> dict[int, Budget]:
        """Take the leases of these accounts that nobody holds; return those got with their budgets."""
        got: dict[int, Budget] = {}

        def work(connection: Connection, _: Held) -> tuple[Sequence[fleet.Taken], Mapping[int, int]]:
            taken = fleet.take(connection, self._replica, account_ids, self._options.lapse_secs)
            return taken, fleet.heads(connection, [one.account_id for one in taken])

        def after(result: tuple[Sequence[fleet.Taken], Mapping[int, int]]) -> None:
            taken, heads = result
            got.update({one.account_id: one.budget for one in taken})
            self._metrics.leases_taken_total.inc(len(taken))
            self._retired -= got.keys()
            self._hold({**self._epochs, **{one.account_id: one.epoch for one in taken}}, {**self._heads, **heads})

        if account_ids:
            await self._ask(work, after)
        return got

    def retire(self, account_ids: Collection[int]) -> None:
        """Have no further event of these accounts delivered; what is under way can still be settled."""
        self._retired |= frozenset(account_ids)
        self._hold(self._epochs, self._heads)

    async def give_up(self, budgets: Mapping[int, Budget]) -> None:
        """Give these accounts up, for another replica to take.

        Where that fails they are held as before, and delivered from the next beat on, which tells how far they are.
        """
        given = {account_id: budget for account_id, budget in budgets.items() if account_id in self._epochs}
        self._retired -= budgets.keys() - given.keys()
        if not given:
            return
        self._leaving |= given.keys()
        self._hold(self._epochs, self._heads)

        def after(count: int) -> None:
            self._metrics.leases_handed_over_total.inc(count)
            self._epochs = {id_: epoch for id_, epoch in self._epochs.items() if id_ not in given}

        try:
            await self._ask(lambda connection, _: fleet.give_up(connection, self._replica, given), after)
        finally:
            self._leaving -= given.keys()
            self._retired -= given.keys()
            self._hold(self._epochs, self._heads)

    async def leave(self) -> None:
        """Give up everything and be forgotten."""
        self._valid_until = float("-inf")
        self._hold(_NOTHING, _NOTHING)
        await self._ask(lambda connection, _: fleet.leave(connection, self._replica), lambda _: None)
