"""A receiver that says later what it has stored, and a lab in virtual time for tests in which waiting matters."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.pipeline.dispatcher import Dispatcher
from mcwatch.store.sqlite import StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.contract.store_kit import numbers_of
from tests.fakes.clock import START, FakeClock
from tests.fakes.sink import Answer, FakeSink
from tests.unit.pipeline.lab import Lab, MoodyStore
from tests.virtual.clock import VirtualClock
from tests.virtual.loop import virtual_loop
from tests.virtual.threads import tied_to_virtual_time

if TYPE_CHECKING:
    from mcwatch.domain.errors import McwatchError

Story = Callable[[Lab], Awaitable[None]]
Virtually = Callable[[Story], None]
"""Runs a story in a lab in virtual time."""


class Indexers:
    """Confirms receipts as a test says, each only once, as Splunk does."""

    def __init__(self, timeout_secs: float) -> None:
        self.timeout_secs = timeout_secs
        self.asked: list[tuple[float, set[bytes]]] = []
        """When it was asked, and for what."""
        self.stored: set[bytes] = set()
        self.stores_all = False
        self.lost: set[bytes] = set()
        """What it will never confirm."""
        self.outage: McwatchError | None = None
        self.secs = 0.0
        """How long an answer takes."""
        self._told: set[bytes] = set()

    async def confirmed(self, receipts: Collection[bytes]) -> Collection[bytes]:
        """Tell what is stored."""
        self.asked.append((virtual_loop().time(), set(receipts)))
        stored = {one for one in receipts if self.stores_all or one in self.stored}
        told = stored - self._told - self.lost
        self._told |= told
        await asyncio.sleep(self.secs)
        if self.outage:
            raise self.outage
        return told


class ReceiptSink(FakeSink):
    """Takes batches against receipts ``r0``, ``r1`` and so on, each delivery in ``secs`` seconds."""

    def __init__(
        self, *answers: Answer, most_at_once: int = 1, timeout_secs: float = 60.0, secs: float = 0.0, first: int = 0
    ) -> None:
        super().__init__(*answers, most_at_once=most_at_once)
        self.indexers = Indexers(timeout_secs)
        self.acknowledgements = self.indexers
        self.secs = secs
        self.taken: dict[bytes, list[int]] = {}
        """The numbers of the events of each receipt."""
        self._given = first

    async def deliver(self, batch: Batch) -> Verdicts:
        """Answer as scripted, with a receipt where something was taken."""
        await asyncio.sleep(self.secs)
        before = len(self.accepted)
        verdicts = await super().deliver(batch)
        taken = numbers_of(self.accepted[before:])
        if not taken:
            return verdicts
        receipt = b"r%d" % self._given
        self._given += 1
        self.taken[receipt] = taken
        return replace(verdicts, receipt=receipt)


@asynccontextmanager
async def virtual_lab(path: Path) -> AsyncIterator[Lab]:
    """Open a lab on the running virtual loop, with the account acme and the destination hook at the first event."""
    clock = cast("FakeClock", VirtualClock(virtual_loop(), START))
    metrics = Metrics()
    with tied_to_virtual_time():
        async with MoodyStore(
            StoreOptions(path / "mcwatch.db", reserve_bytes=0), clock=clock, metrics=metrics
        ) as store:
            feed = await store.feed("acme", "message_finder")
            await store.enrol({"hook": False})
            yield Lab(store, clock, metrics, feed)


@asynccontextmanager
async def running(lab: Lab, dispatcher: Dispatcher) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a dispatcher meanwhile; in the end it is killed, as by the end of the process, unless it has returned."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(dispatcher.run(lab.accounts))
        yield task
        task.cancel()


async def drained(lab: Lab, dispatcher: Dispatcher) -> float:
    """Run a dispatcher that is to drain; return the seconds it took."""
    started = lab.clock.monotonic()
    dispatcher.drain()
    await dispatcher.run(lab.accounts)
    return lab.clock.monotonic() - started
