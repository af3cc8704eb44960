"""What the store's contract suite stands on: how a store is opened, and short words for what it does."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from mcwatch.domain.errors import FailureReason
from mcwatch.domain.outbox import DestinationFigures, OutboxRow, Progress, Rejected, Settlement, StoreSnapshot
from mcwatch.domain.page import Feed, PageCounts, PageTransaction
from mcwatch.interfaces import Store
from mcwatch.store.keep import Keep
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock

FINDER = "message_finder"
QUEUE = "processing_queue"


class Timed(Protocol):
    """Whatever has the clock of the store under test."""

    clock: FakeClock


class StoreEngine(Timed, Protocol):
    """One kind of store. Every ``open`` gives the same store as the one before it, as after a restart.

    ``keep`` and ``most_letters`` may be set before the first one; ``lingers`` is how long after its time a fingerprint
    may still be there.
    """

    keep: Keep
    most_letters: int
    lingers: timedelta

    def open(self) -> AbstractAsyncContextManager[Store]:
        """Open the store; leaving the context closes it."""


@dataclass
class SqliteEngine:
    """SQLite in one file of its own."""

    path: Path
    clock: FakeClock = field(default_factory=FakeClock)
    keep: Keep = field(default_factory=Keep)
    most_letters: int = 10_000
    lingers: timedelta = timedelta(0)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        """Open the file, with a reserve small enough not to slow the suite."""
        options = StoreOptions(
            self.path,
            max_backlog_bytes=1 << 20,
            keep_delivered=self.keep.delivered,
            keep_fingerprints=self.keep.fingerprints,
            keep_dead_letters=self.keep.dead_letters,
            reserve_bytes=4096,
            max_dead_letters=self.most_letters,
        )
        async with SqliteStore(options, clock=self.clock, metrics=Metrics()) as store:
            yield store


def native(number: int, *, account: str = "acme", kind: str = "message.seen", pad: int = 0) -> bytes:
    """Return one event as it is stored, told apart by its number; ``pad`` makes it longer."""
    event = {
        "schema": "mcwatch.event/1",
        "event_id": f"{number:032x}",
        "kind": kind,
        "account": account,
        "source": FINDER,
        "occurred_at": "2026-01-05T09:29:02Z",
        "observed_at": "2026-01-05T09:30:00.412Z",
        "message": {"id": f"id-{number}", "key": f"{number:032x}", "subject": "x" * pad},
        "previous": None,
        "queue": None,
    }
    return json.dumps(event, separators=(",", ":")).encode()


def lines_of(events: Sequence[bytes]) -> bytes:
    """Return events as the outbox takes them."""
    return b"".join(event + b"\n" for event in events)


def numbers_of(events: Sequence[bytes]) -> list[int]:
    """Return the numbers that events were made from."""
    return [int(json.loads(event)["event_id"], 16) for event in events]


async def append(store: Store, engine: Timed, feed: Feed, events: Sequence[bytes]) -> int:
    """Commit one page of events, counted as new; return the offset of the first."""
    observed_at = engine.clock.now()

    def work(transaction: PageTransaction) -> int:
        transaction.count(PageCounts(new=len(events)))
        return transaction.append(lines_of(events), len(events), observed_at)

    return await store.commit_page(feed, work)


async def append_numbers(store: Store, engine: Timed, feed: Feed, numbers: range) -> int:
    """Commit one page with the events of these numbers."""
    return await append(store, engine, feed, [native(number, account=feed.account) for number in numbers])


async def settle_delivered(store: Store, destination: str, account_id: int, position: int) -> None:
    """Move one position over events that were all delivered."""
    before = (await store.positions(destination))[account_id]
    await store.settle(Settlement(destination, [Progress(account_id, position, position - before, 0)]))


def rejected(account_id: int, number: int, *, account: str = "acme") -> Rejected:
    """Return a refused event."""
    event = native(number, account=account)
    return Rejected(account_id, f"{number:032x}", FailureReason.REFUSED, "the receiver's words", event)


def events_in(rows: Sequence[OutboxRow]) -> list[int]:
    """Return the numbers of all events in outbox rows that came with their lines."""
    return [number for row in rows for number in numbers_of((row.lines or b"").split(b"\n")[:-1])]


def figures_of(snapshot: StoreSnapshot, destination: str) -> DestinationFigures:
    """Return one destination's figures."""
    return next(one for one in snapshot.destinations if one.name == destination)


def assert_identities(snapshot: StoreSnapshot) -> None:
    """Check both conservation identities of the contract's section 8."""
    for feed in snapshot.feeds:
        assert feed.received == feed.new + feed.duplicate + feed.undecodable
    for one in snapshot.destinations:
        gone = one.delivered + sum(one.dead_lettered.values()) + one.not_selected + one.skipped
        assert one.offered == gone + one.waiting
