"""Sending one batch until the fate of each event is known, whatever the receiver is able to say."""

from dataclasses import dataclass

import structlog

from mcwatch.domain.delivery import Batch, Refusal, Verdicts
from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    TransientError,
)
from mcwatch.interfaces import Sink
from mcwatch.pipeline.inflight import InFlight

MASS_REFUSAL = 10
"""So many single events refused in a row, with none accepted, say more of the destination than of the events."""

logger = structlog.get_logger(__name__)


class MassRefusalError(PermanentError):
    """The destination refuses whatever it is given: it is down, and no event is to blame."""


class UnprovenRefusalError(TransientError):
    """Some events were refused and nothing was accepted after them: ask again, together with what comes next."""


class AskedAgainError(TransientError):
    """The receiver took part of a batch and asked for the rest once more."""


@dataclass(slots=True)
class Streak:
    """How many single events a destination has refused since it last accepted one, and how often it accepted some.

    Outlives a batch, and is shared by all that are under way. At ``most_refusals`` the destination is to blame.
    """

    most_refusals: float = MASS_REFUSAL
    refusals: int = 0
    acceptances: int = 0

    def accepted(self) -> None:
        """Take note that the destination accepts events."""
        self.refusals = 0
        self.acceptances += 1


class Delivery:
    """One pass over the open events of a batch.

    A receiver that names the events it refuses is believed. One that refuses a batch without saying which is asked
    again with halves, down to single events. Such a refusal becomes final only once the destination has accepted
    another event *after* it, of this batch or another: a destination that has stopped accepting proves nothing.
    """

    def __init__(self, sink: Sink, inflight: InFlight, streak: Streak) -> None:
        self._sink = sink
        self._inflight = inflight
        self._streak = streak
        self._suspects: dict[int, tuple[Refusal, int]] = {}
        self._met_defect = False
        self.requests = 0
        self.ended = 0
        """How many events were taken or refused."""
        self.refused = 0
        self.is_asked_again = False
        """Whether the receiver wants some events once more."""

    @property
    def suspects(self) -> dict[int, Refusal]:
        """The refusals that nothing has proved yet."""
        return {index: refusal for index, (refusal, _) in self._suspects.items()}

    async def run(self) -> None:
        """Send what is open. Raises the sink's error or one of the two above, with what is certain recorded."""
        open_now = self._inflight.open()
        whole = len(open_now) == len(self._inflight.batch)
        batch = self._inflight.batch if whole else _pick(self._inflight.batch, open_now)
        await self._send(batch, open_now)
        self._judge()
        if self._suspects:
            raise UnprovenRefusalError(
                f"the receiver refused {len(self._suspects)} event(s) and has accepted none since",
                reason=FailureReason.REFUSED,
                remedy="the next event it accepts settles this",
            )

    async def _send(self, batch: Batch, indexes: list[int]) -> None:
        self.requests += 1
        try:
            verdicts = await self._sink.deliver(batch)
        except (AuthError, MisconfiguredError):
            raise
        except PermanentError as error:
            await self._split(batch, indexes, error)
        except McwatchError:
            raise
        except Exception as defect:  # noqa: BLE001 - reported below
            # A defect met by one event must not hold up the others: it is found like an event that is refused.
            self._report(defect)
            await self._split(batch, indexes, _as_refusal(defect))
        else:
            self._record(verdicts, indexes)

    async def _split(self, batch: Batch, indexes: list[int], error: PermanentError) -> None:
        if len(indexes) == 1:
            self._suspect(indexes[0], error)
            return
        middle = len(indexes) // 2
        await self._send(batch.slice(0, middle), indexes[:middle])
        await self._send(batch.slice(middle, len(indexes)), indexes[middle:])

    def _suspect(self, index: int, error: PermanentError) -> None:
        refusal = Refusal(error.reason, ": ".join(filter(None, (str(error), error.detail))))
        self._suspects[index] = (refusal, self._streak.acceptances)
        self._streak.refusals += 1
        if self._streak.refusals >= self._streak.most_refusals:
            raise MassRefusalError(
                f"the receiver refused {self._streak.refusals} single events in a row and accepted none",
                reason=error.reason,
                remedy="check the destination's settings; nothing was given up",
            ) from error

    def _record(self, verdicts: Verdicts, indexes: list[int]) -> None:
        whole = len(indexes) == len(self._inflight.batch)
        if whole and not verdicts.refused and not verdicts.retry and verdicts.receipt is None:
            self._inflight.accept_all()
            self.ended += len(indexes)
            self._streak.accepted()
            return
        self.is_asked_again = self.is_asked_again or bool(verdicts.retry)
        for at, refusal in verdicts.refused.items():
            self._refuse(indexes[at], refusal)
        taken = [index for at, index in enumerate(indexes) if at not in verdicts.refused and at not in verdicts.retry]
        if not taken:
            return
        if verdicts.receipt is None:
            self._inflight.accept(taken)
        else:
            self._inflight.hand_over(taken, verdicts.receipt)
        self.ended += len(taken)
        self._streak.accepted()
        self._judge()

    def _judge(self) -> None:
        """Make final the refusals that the destination has accepted something after."""
        for index, (refusal, acceptances) in list(self._suspects.items()):
            if self._streak.acceptances > acceptances:
                self._refuse(index, refusal)
                del self._suspects[index]

    def _refuse(self, index: int, refusal: Refusal) -> None:
        self._inflight.refuse(index, refusal)
        self.ended += 1
        self.refused += 1

    def _report(self, defect: Exception) -> None:
        if not self._met_defect:
            self._met_defect = True
            logger.error("delivery_defect", exc_info=defect)


def _as_refusal(defect: Exception) -> PermanentError:
    what = f"a defect in mcwatch ended the delivery ({type(defect).__name__})"
    return PermanentError(what, reason=FailureReason.INTERNAL)


def _pick(batch: Batch, indexes: list[int]) -> Batch:
    native, payloads = [batch.native[index] for index in indexes], [batch.payloads[index] for index in indexes]
    return Batch(native, payloads, batch.content_type)
