"""Asking a receiver which of the batches it took are stored for good."""

import asyncio
from collections.abc import Callable, Iterable
from math import inf

import structlog

from mcwatch.domain.errors import FailureReason, McwatchError, TransientError
from mcwatch.domain.outbox import Receipt
from mcwatch.interfaces import Acknowledgements
from mcwatch.pipeline.cancelling import either, is_cancelled
from mcwatch.pipeline.flights import Flights
from mcwatch.pipeline.inflight import InFlight
from mcwatch.pipeline.outlet import Outlet
from mcwatch.telemetry.liveness import resting, turns

_LEAST_SECS = 0.5
_MOST_SECS = 10.0
"""Between two questions: doubled while nothing is confirmed (protocol notes, section 3: about 10 s)."""

_MOST_PATIENCE = 16
"""A receiver that is slower than its time-out is sent each batch ever more rarely, down to one time in so many."""

_LAST_SECS = 5.0
"""How long the question before the end may take: longer than receivers need, and much less than the drain time."""

logger = structlog.get_logger(__name__)


class Confirmation:
    """Follows the receipts of one destination's batches until each is confirmed or overdue.

    A receipt is overdue when the receiver, asked after the time-out, does not confirm it. As long as it cannot be asked
    nothing is overdue. What is overdue is sent again, and asked for as well: whichever sending is confirmed first
    counts. While nothing is confirmed the destination is down, and the time-out doubles with each round.
    """

    def __init__(
        self, acknowledgements: Acknowledgements, outlet: Outlet, flights: Flights, changed: Callable[[], None]
    ) -> None:
        self._acknowledgements = acknowledgements
        self._outlet = outlet
        self._flights = flights
        self._changed = changed
        self._clock = outlet.clock
        self._deadlines: dict[bytes, float] = {}
        self._overdue: dict[InFlight, None] = {}
        self._handed = asyncio.Event()
        self._asking = asyncio.Lock()
        self._patience = 1

    def restore(self, receipts: Iterable[Receipt]) -> None:
        """Take up again what an earlier process handed over."""
        now = self._clock.monotonic()
        for inflight in self._flights.restore(receipts):
            age = self._clock.now().timestamp() - min(one.observed_at for one in inflight.segments)
            left = min(max(0.0, self._acknowledgements.timeout_secs - age), self._acknowledgements.timeout_secs)
            for receipt in inflight.receipts:
                self._deadlines[receipt] = now + left
                self._handed.set()

    def note(self, inflight: InFlight) -> None:
        """Take note of the new receipts of a batch, and have that of a batch handed over as a whole kept."""
        new = [receipt for receipt in inflight.receipts if receipt not in self._deadlines]
        for receipt in new:
            timeout_secs = self._acknowledgements.timeout_secs * self._patience
            self._deadlines[receipt] = self._clock.monotonic() + timeout_secs
            self._handed.set()
        if len(new) == 1 and inflight.is_handed_over_by(new[0]):
            self._flights.keep_receipt(inflight, new[0], self._clock.now())

    def take_overdue(self) -> list[InFlight]:
        """Return the batches of which something must be sent again, each time once."""
        overdue, self._overdue = list(self._overdue), {}
        return overdue

    async def run(self) -> None:
        """Ask for as long as receipts wait, for ever."""
        while True:
            with resting("no receipts", inf):
                await self._handed.wait()
            self._handed.clear()
            turns("acknowledgements")
            delay = _LEAST_SECS
            while self._deadlines:
                due = min(self._deadlines.values()) - self._clock.monotonic()
                await self._clock.sleep(min(delay, max(due, _LEAST_SECS)))
                await self._outlet.gate.wait()
                moved = await self.ask()
                delay = _LEAST_SECS if moved else min(2 * delay, _MOST_SECS)

    async def ask(self) -> bool:
        """Ask once for all receipts; tell whether some receipt was confirmed.

        Never twice at the same time: a receiver may tell of each but once.
        """
        async with self._asking:
            asked = {receipt for receipt, _ in self._flights.receipts()}
            # What was skipped or settled needs no confirmation any more.
            self._deadlines = {receipt: at for receipt, at in self._deadlines.items() if receipt in asked}
            if not asked:
                return False
            asked_at, since = self._clock.monotonic(), self._outlet.gate.failures_total
            error, confirmed = await self._confirmed(asked)
            if error is not None:
                self._outlet.is_unanswered = True
                self._outlet.failed(error, since)
                return False
            # One just handed over may not have its deadline yet.
            overdue = {receipt for receipt in asked - confirmed if asked_at >= self._deadlines.get(receipt, inf)}
            self._weigh(confirmed, overdue, since)
            return self._judge(confirmed, overdue)

    def _weigh(self, confirmed: set[bytes], overdue: set[bytes], since: int) -> None:
        """Say how the destination fares by an answer."""
        if confirmed:
            self._patience = 1
        elif overdue:
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
            self._outlet.is_unanswered = True
            error = TransientError(
                "the receiver takes events and has not acknowledged them in time: they are sent again",
                reason=FailureReason.TIMEOUT,
                remedy="see whether its indexers keep up and its load balancer is sticky, or raise sink.ack_timeout",
            )
            self._outlet.health.failed(self._outlet.component, error)
        if self._outlet.is_unanswered and self._patience == 1:
            self._outlet.is_unanswered = False
            self._outlet.worked(since)

    async def _confirmed(self, asked: set[bytes]) -> tuple[McwatchError | None, set[bytes]]:
        try:
            return None, set(await self._acknowledgements.confirmed(asked))
        except McwatchError as error:
            return error, set()
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return TransientError("a library cancelled the question for acknowledgements by itself"), set()
        except Exception as defect:
            logger.exception("confirmation_defect", destination=self._outlet.name)
            return TransientError(f"a defect in mcwatch asked for no acknowledgements ({type(defect).__name__})"), set()

    def _judge(self, confirmed: set[bytes], overdue: set[bytes]) -> bool:
        batches = 0
        for receipt, inflight in list(self._flights.receipts()):
            if receipt in confirmed:
                inflight.confirm(receipt)
            elif receipt in overdue:
                self._flights.reopen(inflight, receipt)
                self._overdue[inflight] = None
                batches += 1
            else:
                continue
            self._deadlines.pop(receipt, None)
        if batches:
            logger.warning(
                "acknowledgements_overdue",
                destination=self._outlet.name,
                batches=batches,
                remedy="they are sent again; see whether the receiver's indexers keep up, or raise sink.ack_timeout",
            )
        if batches or confirmed:
            self._changed()
        return bool(confirmed)

    async def ask_once_more(self) -> None:
        """Ask before the end, without patience: what is not confirmed is asked for after the next start."""
        if not self._outlet.gate.is_closed:
            await either(self.ask(), self._clock.sleep(_LAST_SECS))
