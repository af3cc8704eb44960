"""One destination's way out: the sink, the gate before it, and what is known of how it fares."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.errors import McwatchError, TransientError
from mcwatch.interfaces import Clock, Sink
from mcwatch.pipeline.cancelling import is_cancelled
from mcwatch.pipeline.concurrency import Concurrency
from mcwatch.pipeline.delivery import AskedAgainError, Delivery, Streak, UnprovenRefusalError
from mcwatch.pipeline.gate import Gate
from mcwatch.pipeline.inflight import InFlight
from mcwatch.telemetry.health import Component, Health
from mcwatch.telemetry.liveness import Loop, current, part_of, resting
from mcwatch.telemetry.metrics import Metrics

_QUIET_REFUSALS = 3
"""So often a destination that works may refuse the newest events before it counts as down."""
_HANGS_AFTER_SECS = 3600.0
"""Sinks limit each request themselves; a receiver that takes a batch byte by byte may be an hour at it and be well."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Senses:
    """What a dispatcher tells and is told the world with."""

    clock: Clock
    metrics: Metrics
    health: Health
    rng: random.Random


@dataclass(frozen=True, slots=True)
class Attempt:
    """One pass over a batch's open events: what went wrong, how many requests it took and how long.

    ``ended`` events were taken or refused by it, ``refused`` of them refused; ``suspects`` are refusals that nothing
    has proved. ``since`` is how often the gate had been closed before it began.
    """

    inflight: InFlight
    since: int
    error: McwatchError | None
    requests: int
    secs: float
    ended: int
    refused: int
    suspects: Mapping[int, Refusal]


class Outlet:
    """What all that is sent to a destination goes through, whoever sends it: new events, replays, dead letters."""

    def __init__(self, name: str, sink: Sink, senses: Senses) -> None:
        self.name = name
        self.sink = sink
        self.clock, self.metrics, self.health = senses.clock, senses.metrics, senses.health
        self.gate = Gate(senses.clock, senses.rng)
        self.concurrency = Concurrency(sink.most_at_once)
        self.component = Component.of_destination(name)
        self.is_open = False
        self.is_unanswered = False
        """Whether the receiver takes events, but cannot be asked what it has stored: it is down then."""
        self._streak = Streak()
        self._unproven = 0
        """How often in a row an attempt has ended with refusals that nothing proves, and nothing accepted."""
        self._places = asyncio.Semaphore(sink.most_at_once)
        self._loop: Loop | None = None
        """Whose part every attempt is, whoever makes it."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Sink]:
        """Open the sink, once in its life."""
        self._loop = current()
        async with self.sink as sink:
            self.is_open = True
            try:
                yield sink
                self.is_open = False
                # What goes beside the log ends before the sink is closed under it; nothing new begins.
                with resting("batches beside the log", on_parts=True):
                    for _ in range(sink.most_at_once):
                        await self._places.acquire()
            finally:
                self.is_open = False

    async def attempt(self, inflight: InFlight, streak: Streak | None = None) -> Attempt:
        """Send what is open of a batch, once and as soon as the sink has room for it.

        Refusals count in the destination's own streak unless another is given.
        """
        async with self._places:
            started, since = self.clock.monotonic(), self.gate.failures_total
            delivery = Delivery(self.sink, inflight, streak or self._streak)
            with part_of(self._loop, "batch", _HANGS_AFTER_SECS):
                error = await self._run(delivery)
        return Attempt(
            inflight,
            since,
            error,
            requests=delivery.requests,
            secs=self.clock.monotonic() - started,
            ended=delivery.ended,
            refused=delivery.refused,
            suspects=delivery.suspects,
        )

    async def _run(self, delivery: Delivery) -> McwatchError | None:
        try:
            await delivery.run()
        except McwatchError as error:
            return error
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return TransientError("a library cancelled the delivery by itself")
        except Exception as defect:
            # A verdict that makes no sense, for one: it must not end the daemon.
            logger.exception("delivery_defect", destination=self.name)
            return TransientError(f"a defect in mcwatch ended the delivery ({type(defect).__name__})")
        return AskedAgainError("the receiver asked for some events again") if delivery.is_asked_again else None

    def conclude(self, attempt: Attempt) -> None:
        """Set gate, health and count by how an attempt ended; nothing was attempted when there were no requests.

        One that ends with the sink, as a replay does, says nothing of a destination that is gone or has changed.
        """
        error = attempt.error
        if not attempt.requests or not self.is_open:
            return
        outcome = "ok" if error is None else str(error.reason)
        self.metrics.delivery_requests_total.labels(self.name, outcome).inc()
        asked_again = isinstance(error, AskedAgainError)
        if error is None or (asked_again and attempt.refused):
            # Whoever names the event that is in the way is asked for the others at once.
            self.worked(attempt.since)
            return
        if attempt.ended and attempt.since == self.gate.failures_total:
            self.gate.opened()
        quiet = asked_again and attempt.ended > 0
        if isinstance(error, UnprovenRefusalError):
            quiet = self._works_all_the_same(attempt)
        self.failed(error, attempt.since, quiet=quiet)

    def _works_all_the_same(self, attempt: Attempt) -> bool:
        """Tell whether unproven refusals say nothing of the destination yet.

        They do where it has never worked, or where they go on: nobody would learn why events wait.
        """
        if attempt.ended > attempt.refused:
            self._unproven = 0
            if attempt.since == self.gate.failures_total:
                self._is_up()
            return True
        self._unproven += 1
        return self._unproven <= _QUIET_REFUSALS and self.health.condition(self.component).up is True

    def worked(self, since: int) -> None:
        """Take note that the destination works, unless it has failed after that attempt began."""
        if since == self.gate.failures_total:
            self.gate.opened()
            self.concurrency.worked()
            self._unproven = 0
            self._is_up()

    def _is_up(self) -> None:
        if not self.is_unanswered:
            self.health.up(self.component)

    def failed(self, error: McwatchError, since: int, *, quiet: bool = False) -> float:
        """Take note of trouble, ``quiet`` when it is none of the destination's; return the seconds to wait."""
        if since == self.gate.failures_total:
            self.concurrency.failed()
        delay = self.gate.failed(error, since)
        logger.debug("delivery_failed", destination=self.name, reason=str(error), next_in_secs=round(delay, 1))
        if not quiet:
            self.health.failed(self.component, error)
        return delay
