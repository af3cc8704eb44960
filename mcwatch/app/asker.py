"""Having the fleet do what a command asks for: a row for whichever replica it concerns, and patience."""

import difflib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from mcwatch.domain.backfill import BackfillStep, RangeRequest
from mcwatch.domain.errors import FailureReason, PermanentError, StoreUnavailable, TransientError
from mcwatch.domain.failure import SentFailure
from mcwatch.domain.leasing import Fleet
from mcwatch.domain.verification import VerifyStep
from mcwatch.httpserver.control import ControlRequest, ControlRoute
from mcwatch.interfaces import Clock

T = TypeVar("T")

_EVERY_SECS = 0.25
_FLEET_EVERY_SECS = 5.0
_LONGEST_SECS = 7_200.0
"""A step takes about a minute, unless a request has to wait for a closed quota or behind the steps of others."""
_PATIENCE_SECS = 60.0
"""So long an account may be held by nobody, or the database be away, as when a node has died."""

_NO_REPLICA = "start mcwatch run; mcwatch status shows which replicas there are"
_KEPT = "run the same command again: what has been recorded stays"


class Standing(Protocol):
    """What has become of a command: one of ``answer`` and ``failure`` when it has ended."""

    @property
    def answer(self) -> bytes | None:
        """The answer, as JSON."""

    @property
    def failure(self) -> bytes | None:
        """Why it failed, as JSON."""

    @property
    def has_ended(self) -> bool:
        """Whether it has been answered."""


class AskedRows(Protocol):
    """Where commands are left for the replicas; all raise StoreUnavailable."""

    async def ask(self, path: str, question: bytes, account: str | None = None) -> int:
        """Ask for something, of the holder of an account or of any replica; return the command's number."""

    async def look(self, command_id: int) -> Standing | None:
        """Say that somebody waits and return what has become of a command, None when it is gone."""


class Asker:
    """Asks the fleet.

    Args:
        rows: where commands are left.
        fleet: returns who lives and who holds what.
        own: what needs no replica, and is done here.
        accounts: the names of the configuration's accounts.
        clock: for the pauses.
    """

    def __init__(
        self,
        rows: AskedRows,
        fleet: Callable[[], Awaitable[Fleet]],
        own: Sequence[ControlRoute],
        accounts: Collection[str],
        clock: Clock,
    ) -> None:
        self._rows = rows
        self._fleet = fleet
        self._own: Mapping[str, ControlRoute] = {route.path: route for route in own}
        self._accounts = accounts
        self._clock = clock

    async def ask(self, path: str, kind: type[T], question: msgspec.Struct) -> T:
        """Have something done and return the answer.

        Raises TransientError where no replica does it, and what doing it raises.
        """
        body = msgspec.json.encode(question)
        if path in self._own:
            return msgspec.convert(await self._own[path].answer(ControlRequest({}, body)), kind)
        account = _account_of(question)
        await self._look_round(account)
        standing = await self._ended(await self._rows.ask(path, body, account), account)
        if standing.failure is not None:
            raise msgspec.json.decode(standing.failure, type=SentFailure).raised()
        try:
            return msgspec.json.decode(standing.answer or b"", type=kind)
        except msgspec.DecodeError as error:
            raise PermanentError(
                "the replica's answer cannot be read",
                remedy="it may be of another version: use the command of the version that runs",
            ) from error

    async def _ended(self, number: int, account: str | None) -> Standing:
        """Wait until a command has been answered, through changes of holders and short absences of the database."""
        begun = reached = fleet_seen = self._clock.monotonic()
        while (now := self._clock.monotonic()) < begun + _LONGEST_SECS:
            try:
                standing = await self._rows.look(number)
                if standing is None:
                    raise TransientError("the command is gone from the store", remedy=_KEPT)
                if standing.has_ended:
                    return standing
                reached = now
                if now >= fleet_seen + _FLEET_EVERY_SECS:
                    fleet_seen = now
                    await self._look_round(account)
            except StoreUnavailable:
                if now >= reached + _PATIENCE_SECS:
                    raise
            await self._clock.sleep(_EVERY_SECS)
        raise TransientError(
            "the replica did not come to an end with it", reason=FailureReason.TIMEOUT, remedy=f"see its log; {_KEPT}"
        )

    async def _look_round(self, account: str | None) -> None:
        """Raise what keeps a command from being done: nobody lives, or nobody has the account."""
        fleet = await self._fleet()
        live = [one for one in fleet.replicas if one.is_live]
        if not live:
            raise TransientError("no replica runs", reason=FailureReason.CONNECTION, remedy=_NO_REPLICA)
        if account is None:
            return
        lease = next((one for one in fleet.leases if one.account == account), None)
        if lease is None or not any(lease.account_id in one.accounts for one in live):
            raise self._unknown(account)
        if lease.holder is None and lease.for_secs > _PATIENCE_SECS:
            raise TransientError(
                f"no replica holds the account {account}",
                reason=FailureReason.CONNECTION,
                remedy="the logs of the replicas say why none takes it",
            )

    def _unknown(self, account: str) -> PermanentError:
        if account in self._accounts:
            return PermanentError(
                f"no replica that runs is configured with the account {account}",
                remedy="reload the replicas (SIGHUP), so that they read the configuration this command has read",
            )
        near = difflib.get_close_matches(account, self._accounts, n=1)
        known = f"did you mean {near[0]}?" if near else f"the accounts are {', '.join(sorted(self._accounts))}"
        return PermanentError(f"there is no account {account!r}", remedy=known)


def _account_of(question: msgspec.Struct) -> str | None:
    """Return the account whose holder must do it; what is only sent again, any replica can send."""
    return question.account if isinstance(question, RangeRequest | BackfillStep | VerifyStep) else None
