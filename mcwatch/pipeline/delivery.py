"""Sending one batch until the fate of each event is known, whatever the receiver is able to say."""

from mcwatch.domain.delivery import Batch, Refusal, Verdicts
from mcwatch.domain.errors import AuthError, MisconfiguredError, PermanentError
from mcwatch.interfaces import Sink
from mcwatch.pipeline.inflight import InFlight

MASS_REFUSAL = 10
"""So many single events refused in a row, with none accepted, say more of the destination than of the events."""


class MassRefusalError(PermanentError):
    """The destination refuses whatever it is given: it is down, and no event is to blame."""


class Delivery:
    """One pass over the open events of a batch.

    A receiver that names the events it refuses is believed. One that refuses a batch without saying which is asked
    again with halves, down to single events; such a refusal becomes final only once another event was accepted in the
    same pass, since a destination that accepts nothing proves nothing.
    """

    def __init__(self, sink: Sink, inflight: InFlight) -> None:
        self._sink = sink
        self._inflight = inflight
        self._suspects: dict[int, Refusal] = {}
        self._in_a_row = 0
        self._accepted_any = False
        self.requests = 0

    async def run(self) -> None:
        """Send what is open. Raises the sink's error, or MassRefusalError, with what was accepted before recorded."""
        open_now = self._inflight.open()
        whole = len(open_now) == len(self._inflight.batch)
        batch = self._inflight.batch if whole else _pick(self._inflight.batch, open_now)
        try:
            await self._send(batch, open_now)
        finally:
            if self._accepted_any:
                for index, refusal in self._suspects.items():
                    self._inflight.refuse(index, refusal)
        if self._suspects and not self._accepted_any:
            raise MassRefusalError(
                f"the receiver refused {len(self._suspects)} event(s) and has accepted none since",
                remedy="if the destination is right, the next event it accepts settles this; else check its settings",
            )

    async def _send(self, batch: Batch, indexes: list[int]) -> None:
        self.requests += 1
        try:
            verdicts = await self._sink.deliver(batch)
        except (AuthError, MisconfiguredError):
            raise
        except PermanentError as error:
            await self._split(batch, indexes, error)
            return
        self._record(verdicts, indexes)

    async def _split(self, batch: Batch, indexes: list[int], error: PermanentError) -> None:
        if len(indexes) == 1:
            self._suspects[indexes[0]] = Refusal(error.reason, ": ".join(filter(None, (str(error), error.detail))))
            self._in_a_row += 1
            if self._in_a_row >= MASS_REFUSAL and not self._accepted_any:
                raise MassRefusalError(
                    f"the receiver refused {self._in_a_row} single events in a row and accepted none",
                    reason=error.reason,
                    remedy="check the destination's settings; nothing was given up",
                ) from error
            return
        middle = len(indexes) // 2
        await self._send(batch.slice(0, middle), indexes[:middle])
        await self._send(batch.slice(middle, len(indexes)), indexes[middle:])

    def _record(self, verdicts: Verdicts, indexes: list[int]) -> None:
        if not verdicts.refused and not verdicts.retry and len(indexes) == len(self._inflight.batch):
            self._inflight.accept_all()
            self._accepted_any = True
            return
        accepted = [
            index for at, index in enumerate(indexes) if at not in verdicts.refused and at not in verdicts.retry
        ]
        self._inflight.accept(accepted)
        for at, refusal in verdicts.refused.items():
            self._inflight.refuse(indexes[at], refusal)
        if accepted:
            self._accepted_any, self._in_a_row = True, 0


def _pick(batch: Batch, indexes: list[int]) -> Batch:
    return Batch([batch.native[index] for index in indexes], [batch.payloads[index] for index in indexes])
