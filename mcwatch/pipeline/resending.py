"""Sending events beside the log: replays and dead letters, which move no position."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from mcwatch.domain.delivery import Batch, Refusal
from mcwatch.domain.errors import FailureReason, PermanentError, TransientError
from mcwatch.interfaces import Acknowledgements
from mcwatch.pipeline.batches import View
from mcwatch.pipeline.delivery import MassRefusalError, Streak, UnprovenRefusalError
from mcwatch.pipeline.inflight import InFlight, Segment
from mcwatch.pipeline.outlet import Outlet

_LEAST_SECS = 0.5
_MOST_SECS = 10.0
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Resent:
    """What became of events by their index: those in ``refused`` were, the others accepted."""

    refused: dict[int, Refusal]
    accepted: int


class Resender:
    """Sends batches through a destination's outlet, each to its end."""

    def __init__(self, outlet: Outlet, view: View) -> None:
        self.outlet = outlet
        self._view = view
        self._clock = outlet.clock

    async def send_events(self, natives: list[bytes], until: float) -> Resent:
        """Send native events as the destination shows them, whatever it selects.

        They were refused before: that they are again, however many, says nothing of the destination.
        """
        rendering = self._view.rendering
        batch = Batch(natives, rendering.render(natives), rendering.content_type)
        inflight = InFlight([Segment(0, 0, len(natives), range(len(natives)), 0.0)], batch)
        for index, payload in enumerate(batch.payloads):
            if not payload:
                inflight.refuse(index, Refusal(FailureReason.INTERNAL, "a defect in mcwatch made no payload of it"))
        (resent,) = await self.send([inflight], until, Streak(most_refusals=inf))
        return resent

    @property
    def most_together(self) -> int:
        """How many batches are best sent together: where receipts take their time, more than one waits for them."""
        return _TOGETHER if self.outlet.sink.acknowledgements else 1

    async def send(self, batches: Sequence[InFlight], until: float, streak: Streak | None = None) -> list[Resent]:
        """Send batches until the fate of each event is known, or the monotonic clock has come to ``until``.

        Raises TransientError when the time is over, and at once when the destination is down for a reason that waiting
        does not mend.
        """
        streak = streak or Streak()
        while not all(inflight.is_done for inflight in batches):
            for inflight in batches:
                while inflight.is_open:
                    await self._attempt(inflight, until, streak)
            if acknowledgements := self.outlet.sink.acknowledgements:
                await self._confirm(batches, acknowledgements, until)
        resent = [Resent(one.refusals, len(one.batch) - one.refused) for one in batches]
        self.outlet.metrics.events_resent_total.labels(self.outlet.name).inc(sum(one.accepted for one in resent))
        return resent

    async def _attempt(self, inflight: InFlight, until: float, streak: Streak) -> None:
        gate = self.outlet.gate
        if gate.opens_at > until:
            raise self._given_up("it is not tried again so soon")
        await gate.wait()
        if not self.outlet.is_open:
            raise self._given_up("mcwatch is just starting or stopping")
        attempt = await self.outlet.attempt(inflight, streak)
        error = attempt.error
        if isinstance(error, UnprovenRefusalError):
            # Beside the log nothing comes after them that would prove more.
            for index, refusal in attempt.suspects.items():
                inflight.refuse(index, refusal)
            return
        if isinstance(error, MassRefusalError):
            # Old events may well be refused, by their age for one, where new ones are welcome.
            raise self._given_up(str(error)) from error
        self.outlet.conclude(attempt)
        if isinstance(error, PermanentError):
            raise error
        if error is not None and self._clock.monotonic() >= until:
            raise self._given_up(str(error)) from error

    async def _confirm(self, batches: Sequence[InFlight], acknowledgements: Acknowledgements, until: float) -> None:
        """Ask for the receipts until they are confirmed; what stays unconfirmed is sent again while there is time."""
        waiting = {receipt: inflight for inflight in batches for receipt in inflight.receipts}
        deadline = self._clock.monotonic() + acknowledgements.timeout_secs
        delay = _LEAST_SECS
        while waiting:
            await self._clock.sleep(delay)
            delay = min(2 * delay, _MOST_SECS)
            asked_at = self._clock.monotonic()
            trouble: TransientError | None = None
            try:
                for receipt in set(await acknowledgements.confirmed(list(waiting))):
                    waiting.pop(receipt).confirm(receipt)
            except TransientError as error:
                trouble = error
            if not waiting or asked_at < deadline:
                continue
            if asked_at >= until:
                raise self._given_up("it took the events and does not acknowledge them") from trouble
            if trouble is None:
                while waiting:
                    receipt, inflight = waiting.popitem()
                    inflight.reopen(receipt)

    def _given_up(self, why: str) -> TransientError:
        return TransientError(
            f"the destination {self.outlet.name} does not take events: {why}",
            reason=FailureReason.SERVER,
            remedy="see mcwatch status; run the same command again when it works",
        )
