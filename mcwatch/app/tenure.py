"""Which accounts this replica watches: it says that it lives, takes what is free and hands over what is too much.

Accounts come and go one after the other, in a task beside the loop, so that the leases held are renewed meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

import msgspec
import structlog

from mcwatch.app.crew import Crew
from mcwatch.app.roster import Roster
from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.domain.leasing import BEAT_SHARE, Budget, Fleet, News, Plan, plan
from mcwatch.domain.status import StatusReport
from mcwatch.interfaces import Clock, Leases
from mcwatch.telemetry.liveness import resting, turns
from mcwatch.telemetry.metrics import Metrics

_REPORT_SHARE = 1 / 3
"""Of the lease's duration: so often a replica publishes its status."""

_PATIENCE_SHARE = 0.1
"""Of the lease's duration: so long batches under way keep an account from being handed over; others wait for it."""

_SOON_SHARE = 0.08
"""Of the lease's duration: so soon an account is polled that another replica has lost or handed over."""

_LISTEN_SHARE = 2 * BEAT_SHARE
"""Of the lease's duration: so long a replica that was silent waits for others to be heard of before it takes theirs."""

_LOOK_SECS = 0.05
_AT_ONCE = 50
"""Accounts begun together: making them ready takes a moment each, and those before them are polled already."""

logger = structlog.get_logger(__name__)


class Tenure:
    """Drives the leases of one replica and starts and stops what stands on them."""

    def __init__(
        self,
        leases: Leases,
        parts: Roster,
        crew: Crew,
        report: Callable[[], Awaitable[StatusReport]],
        *,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._leases = leases
        self._parts = parts
        self._crew = crew
        self._report = report
        self._clock = clock
        self._metrics = metrics
        self._duration_secs = leases.duration_secs
        self._acting: asyncio.Task[None] | None = None
        self._reporting: asyncio.Task[bytes | None] | None = None
        self._report_due_at = 0.0
        self._is_first = True
        self._is_ending = False
        self._is_silent = False
        self._listens_until = 0.0
        self._budgets: dict[int, Budget] = {}
        """What came with accounts that were taken and have not begun yet."""
        self.fleet = Fleet()
        """Everybody, as of the last beat."""

    async def run(self) -> None:
        """Beat, for ever; what follows from it is done beside."""
        self._reporting = None
        async with asyncio.TaskGroup() as group:
            while True:
                turns("lease")
                await self._beat(self._new_report(group))
                if not self._is_ending and (self._acting is None or self._acting.done()):
                    self._acting = group.create_task(self._act(group), name="accounts that come and go")
                with resting("until the lease is renewed"):
                    await self._clock.sleep(self._duration_secs * BEAT_SHARE)

    async def end(self) -> None:
        """Take and hand over nothing any more; what is held is renewed until the loop is ended."""
        self._is_ending = True
        if self._acting:
            await asyncio.wait([self._acting])

    async def _beat(self, report: bytes | None) -> None:
        # Who ends is configured with nothing any more: others do not leave it a share of what becomes free.
        accounts = () if self._is_ending else self._parts.configured_ids()
        try:
            self.fleet = await self._leases.beat(News(accounts, self._parts.budgets(), report))
        except StoreUnavailable as error:
            if not self._is_silent:
                logger.warning("lease_not_renewed", reason=str(error), remedy=error.remedy)
            self._is_silent = True
            self._parts.note_store(error)
            self._report_due_at = 0.0
            return
        if self._is_silent:
            logger.info("lease_renewed_again")
            self._parts.note_store(None)
            # Whoever was out of reach as well is heard of again in a moment.
            self._listens_until = self._clock.monotonic() + self._duration_secs * _LISTEN_SHARE
        self._is_silent = False
        self._show()

    def _new_report(self, group: asyncio.TaskGroup) -> bytes | None:
        """Return the status if one is due and ready; it is made beside, for a slow answer must delay no beat."""
        if self._reporting is None:
            if self._clock.monotonic() >= self._report_due_at:
                self._report_due_at = self._clock.monotonic() + self._duration_secs * _REPORT_SHARE
                self._reporting = group.create_task(self._own_report(), name="the status for others")
            return None
        if not self._reporting.done():
            return None
        done, self._reporting = self._reporting, None
        return done.result()

    async def _own_report(self) -> bytes | None:
        try:
            return msgspec.json.encode(await self._report())
        except StoreCorrupt:
            raise
        except StoreUnavailable:
            return None
        except Exception:
            # Whoever asks sees an older one: that is no reason to lose the leases.
            logger.exception("status_defect")
            return None

    def _show(self) -> None:
        metrics = self._metrics
        metrics.lease_last_beat_timestamp_seconds.set(self._clock.now().timestamp())
        metrics.replicas.set(sum(one.is_live for one in self.fleet.replicas))
        for lease in self.fleet.leases:
            if lease.account in self._parts.account_ids:
                unheld_secs = lease.for_secs if lease.holder is None else 0.0
                metrics.account_unheld_seconds.labels(lease.account).set(unheld_secs)

    async def _act(self, group: asyncio.TaskGroup) -> None:
        """Let go of what is not held any more, take what is free, hand over what is too much."""
        try:
            async with self._parts.turn:
                await self._let_go_of_lost(group)
                self._parts.forget_lost()
                if self._is_silent:
                    return
                listens = self._clock.monotonic() < self._listens_until
                todo = Plan() if listens else plan(self._leases.replica, self.fleet)
                await self._take(todo.take)
                await self._hand_over(todo.hand_over, group)
        except StoreCorrupt:
            raise
        except McwatchError as error:
            # The next beat shows what is held, and what is to be done about it.
            logger.warning("accounts_not_exchanged", reason=str(error), remedy=error.remedy)
        except Exception:
            logger.exception("tenure_defect")

    async def _let_go_of_lost(self, group: asyncio.TaskGroup) -> None:
        lost = [name for name, part in self._parts.accounts.items() if not self._parts.is_held(part)]
        if lost:
            logger.warning("accounts_lost", accounts=lost[:_AT_ONCE], count=len(lost))
            await self._crew.stop_polling(self._parts.pollers_of(lost))
            self._let_go(lost, group)

    def _let_go(self, names: Collection[str], group: asyncio.TaskGroup) -> None:
        for part in self._parts.let_go(names):
            # A command may still read its past; it ends at the next page, which is refused.
            group.create_task(self._parts.see_off(part), name=f"close {part.config.name}")

    async def _take(self, account_ids: Collection[int]) -> None:
        """Take accounts, and what is held without being watched: its taking was not heard of, or was cut short."""
        taken: Mapping[int, Budget] = await self._leases.take(account_ids) if account_ids else {}
        soon_secs = None if self._is_first else self._duration_secs * _SOON_SHARE
        self._is_first = False
        idle = self._parts.idle()
        self._budgets = {one: taken.get(one) or self._budgets.get(one, {}) for _, one in idle}
        # What could not be handed over.
        self._poll(soon_secs)
        for chunk in _chunks(idle):
            try:
                await self._parts.begin({name: self._budgets[account_id] for name, account_id in chunk})
            except Exception:
                # Those before it are ready. Not when cancelled: then nobody would end what begins now.
                self._poll(soon_secs)
                raise
            self._poll(soon_secs)
        if taken:
            logger.info("accounts_taken", count=len(taken), held=len(self._parts.accounts))

    def _poll(self, soon_secs: float | None) -> None:
        pollers = {name: one for name, one in self._parts.pollers.items() if name not in self._crew.polling}
        self._crew.poll(pollers, soon_secs)

    async def _hand_over(self, account_ids: Collection[int], group: asyncio.TaskGroup) -> None:
        """Stop polling accounts, let what is under way of them end, and give them up."""
        if not account_ids:
            return
        names = [name for name, account_id in self._parts.account_ids.items() if account_id in account_ids]
        watched = [name for name in names if name in self._parts.accounts]
        await self._crew.stop_polling(self._parts.pollers_of(watched))
        self._leases.retire(account_ids)
        until = self._clock.monotonic() + self._duration_secs * _PATIENCE_SHARE
        while self._parts.carries(account_ids) and self._clock.monotonic() < until:
            await self._clock.sleep(_LOOK_SECS)
        await self._leases.give_up({account_id: self._parts.budget(account_id) for account_id in account_ids})
        self._let_go(watched, group)
        logger.info("accounts_handed_over", count=len(account_ids), held=len(self._parts.accounts))


def _chunks(accounts: Iterable[tuple[str, int]]) -> Iterable[list[tuple[str, int]]]:
    rest = list(accounts)
    return [rest[at : at + _AT_ONCE] for at in range(0, len(rest), _AT_ONCE)]
