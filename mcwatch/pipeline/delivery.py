"""Sending one batch until the fate of each event is known, whatever the receiver is able to say."""

from collections.abc import Mapping
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
from mcwatch.telemetry.liveness import turns

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

    A receiver that refuses a batch without saying which events it means is asked again with halves, down to single
    ones. A refusal becomes final only with a witness: an event that the destination accepted in the same answer or
    after it, of this batch or another. A destination that has stopped accepting proves nothing about an event.
    """

    def __init__(self, sink: Sink, inflight: InFlight, streak: Streak) -> None:
        self._sink = sink
        self._inflight = inflight
        self._streak = streak
        self._suspects: dict[int, tuple[Refusal, int]] = {}
        self._seeks_witness = False
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
        if self._streak.refusals >= self._streak.most_refusals:
            # It accepted nothing last time. Whether it does now shows with one event, not with ten refused anew.
            await self._find_witness()
        await self._send(self._inflight.open())
        self._judge()
        if not self._suspects:
            return
        if self._streak.refusals >= self._streak.most_refusals:
            raise self._mass_refusal()
        raise UnprovenRefusalError(
            f"the receiver refused {len(self._suspects)} event(s) and has accepted none since",
            reason=FailureReason.REFUSED,
            remedy="the next event it accepts shows whether the event is at fault; else look at the receiver's rules",
        )

    async def _send(self, indexes: list[int]) -> None:
        # A witness among them may have been sent before its turn.
        indexes = [index for index in indexes if self._inflight.is_open_at(index) and index not in self._suspects]
        if not indexes:
            return
        whole = self._inflight.batch
        batch = whole if len(indexes) == len(whole) else _pick(whole, indexes)
        self.requests += 1
        turns("delivery")
        try:
            verdicts = await self._sink.deliver(batch)
        except (AuthError, MisconfiguredError):
            raise
        except PermanentError as error:
            await self._split(indexes, error)
        except McwatchError:
            raise
        except Exception as defect:  # noqa: BLE001 - reported below
            # A defect met by one event must not hold up the others: it is found like an event that is refused.
            self._report(defect)
            await self._split(indexes, _as_refusal(defect))
        else:
            await self._record(verdicts, indexes)

    async def _split(self, indexes: list[int], error: PermanentError) -> None:
        if len(indexes) == 1:
            words = ": ".join(filter(None, (str(error), error.detail)))
            await self._suspect({indexes[0]: Refusal(error.reason, words)})
            return
        middle = len(indexes) // 2
        await self._send(indexes[:middle])
        await self._send(indexes[middle:])

    async def _suspect(self, refusals: Mapping[int, Refusal]) -> None:
        """Keep refusals that have no witness yet; when they are many, look for one."""
        for index, refusal in refusals.items():
            self._suspects[index] = (refusal, self._streak.acceptances)
            self._streak.refusals += 1
        if len(self._suspects) >= self._streak.most_refusals:
            await self._find_witness()

    async def _find_witness(self) -> None:
        """Send one event alone to see whether the destination accepts anything; raises MassRefusalError if not.

        Another one each time: whoever writes mail that is refused must not stop all that comes after it.
        """
        others = [index for index in self._inflight.open() if index not in self._suspects]
        if self._seeks_witness or not others:
            raise self._mass_refusal()
        self._seeks_witness = True
        await self._send([others[-1 - self._streak.refusals % len(others)]])
        self._seeks_witness = False
        if self._suspects:
            raise self._mass_refusal()

    def _mass_refusal(self) -> MassRefusalError:
        refusal = next(iter(self.suspects.values()))
        return MassRefusalError(
            f"the receiver refused {self._streak.refusals} single events in a row and accepted none",
            reason=refusal.reason,
            remedy="check the destination's settings, and the receiver's mapping or rules; nothing was given up",
        )

    async def _record(self, verdicts: Verdicts, indexes: list[int]) -> None:
        whole = len(indexes) == len(self._inflight.batch)
        if whole and not verdicts.refused and not verdicts.retry and verdicts.receipt is None:
            self._inflight.accept_all()
            self.ended += len(indexes)
            self._streak.accepted()
            self._judge()
            return
        refused = {indexes[at]: refusal for at, refusal in verdicts.refused.items()}
        taken = [index for at, index in enumerate(indexes) if at not in verdicts.refused and at not in verdicts.retry]
        if taken:
            self._take(taken, verdicts.receipt)
            for index, refusal in refused.items():
                self._refuse(index, refusal)
        elif refused:
            await self._suspect(refused)
            # The others alone show whether the destination accepts anything.
            await self._send([indexes[at] for at in sorted(verdicts.retry)])
            return
        self.is_asked_again = self.is_asked_again or bool(verdicts.retry)

    def _take(self, indexes: list[int], receipt: bytes | None) -> None:
        if receipt is None:
            self._inflight.accept(indexes)
        else:
            self._inflight.hand_over(indexes, receipt)
        self.ended += len(indexes)
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
