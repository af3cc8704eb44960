"""A disk that is really full: a small tmpfs, mounted for the test, with the store and nothing else on it."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.domain.page import Feed, PageCounts, PageTransaction
from mcwatch.domain.selection import Selection
from mcwatch.formats.json import JsonFormat
from mcwatch.pipeline.backpressure import Backpressure
from mcwatch.pipeline.batches import BatchLimits, BatchReader, View
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.dispatcher import Dispatcher
from mcwatch.pipeline.letterbox import Letterbox
from mcwatch.pipeline.outlet import Outlet, Senses
from mcwatch.pipeline.rendering import NATIVE, Rendering
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.health import STORE, Health
from mcwatch.telemetry.metrics import Metrics
from tests.contract.store_kit import assert_identities, figures_of, lines_of, native, numbers_of, rejected
from tests.fakes.clock import FakeClock
from tests.fakes.sink import FakeSink
from tests.fakes.small_disk import small_disk

pytestmark = pytest.mark.integration

_DISK_BYTES = 128 << 20
_RESERVE_BYTES = 48 << 20
"""More than the log grows to before SQLite moves it into the file, which takes as much room again for a moment."""
_NOISE = random.Random(1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 128 MiB."""
    with small_disk(tmp_path / "disk", _DISK_BYTES) as mount_point:
        yield mount_point


class _House:
    """A store on the small disk and what goes with it."""

    def __init__(self, store: SqliteStore, clock: FakeClock, metrics: Metrics, feed: Feed) -> None:
        self.store, self.clock, self.metrics, self.feed = store, clock, metrics, feed
        self.health = Health(metrics, clock.now)
        self.pressure = Backpressure(store, 1 << 30, clock=clock, metrics=metrics, health=self.health)
        self.head = 0

    async def commit(self) -> None:
        """Commit one page of four events that do not compress."""
        numbers = range(self.head, self.head + 4)
        noise = [_NOISE.randbytes(32_000).hex().encode() for _ in numbers]
        events = [native(number)[:-1] + b',"noise":"%s"}' % more for number, more in zip(numbers, noise, strict=True)]

        def work(transaction: PageTransaction) -> None:
            transaction.count(PageCounts(new=len(events)))
            transaction.set_cursor("head", b"%d" % (self.head + 4))
            transaction.append(lines_of(events), len(events), self.clock.now())

        await self.store.commit_page(self.feed, work)
        self.head += 4

    async def fill(self) -> None:
        """Commit until the disk is full, also with the log moved into the file."""
        for _ in range(1000):
            try:
                await self.commit()
            except StoreUnavailable:
                if not await self.store.recover():
                    return
        pytest.fail("the disk is never full")

    async def settle(self, position: int) -> None:
        """Pass events up to a position, refusing the last one."""
        account = self.feed.account_id
        before = (await self.store.positions("hook"))[account]
        progress = [Progress(account, position, position - before - 1, 0)]
        await self.store.settle(Settlement("hook", progress, [rejected(account, position - 1)]))

    async def everything(self, position: int) -> list[int]:
        """Read all events from a position on."""
        found: list[int] = []
        while position + len(found) < self.store.heads()[self.feed.account_id]:
            rows = await self.store.read(self.feed.account_id, position + len(found), 1 << 20)
            skip = position + len(found) - rows[0].first_offset
            found += [number for row in rows for number in numbers_of((row.lines or b"").splitlines())][skip:]
        return found

    def paused(self) -> object:
        """Return polling_paused{reason="store"}."""
        return self.metrics.registry.get_sample_value("mcwatch_polling_paused", {"reason": "store"})


@pytest.fixture
async def house(disk: Path) -> AsyncIterator[_House]:
    """Give a store on the small disk with one account and one destination."""
    clock, metrics = FakeClock(), Metrics()
    options = StoreOptions(disk / "mcwatch.db", reserve_bytes=_RESERVE_BYTES, keep_delivered=timedelta(hours=1))
    async with SqliteStore(options, clock=clock, metrics=metrics) as store:
        feed = await store.feed("acme", "message_finder")
        await store.enrol({"hook": False})
        yield _House(store, clock, metrics, feed)


async def test_full_disk_stops_pages_and_nothing_else(house: _House, disk: Path) -> None:
    """On a full disk pages are refused with nothing written, and positions, dead letters and reads still work."""
    await house.fill()
    assert house.store.full
    assert not (disk / "mcwatch.db.reserve").exists()
    await house.pressure.refresh()
    assert 1.0 == house.paused()
    assert ["store"] == house.pressure.paused
    assert house.pressure.holds("processing_queue")
    assert house.health.condition(STORE).up is False
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await house.commit()
        await house.pressure.refresh()
        assert 1.0 == house.paused(), "the room just given up is no reason to go on"
    await house.store.ping()
    assert house.head == house.store.heads()[house.feed.account_id]
    assert {"head": b"%d" % house.head} == (await house.store.progress(house.feed)).cursors
    assert list(range(house.head)) == await house.everything(0)
    for position in range(10, 60, 10):
        await house.settle(position)
    assert {house.feed.account_id: 50} == await house.store.positions("hook")
    snapshot = await house.store.snapshot()
    assert {"refused": 5} == figures_of(snapshot, "hook").dead_lettered
    assert house.head == snapshot.feeds[0].new
    assert_identities(snapshot)


async def test_room_made_by_others_is_taken(house: _House, disk: Path) -> None:
    """Once somebody makes room the reserve is taken back first, then pages go on where they stopped."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(64 << 20))
    await house.fill()
    refused_at = house.head
    await house.pressure.refresh()
    assert 1.0 == house.paused()
    ballast.unlink()
    assert await house.store.recover()
    assert _RESERVE_BYTES == (disk / "mcwatch.db.reserve").stat().st_size
    await house.pressure.refresh()
    assert 0.0 == house.paused()
    assert house.health.condition(STORE).up is True
    for _ in range(10):
        await house.commit()
    assert refused_at + 40 == house.head
    assert list(range(house.head)) == await house.everything(0)
    assert_identities(await house.store.snapshot())


async def test_room_made_by_expiry_is_used(house: _House) -> None:
    """A disk that the store itself has filled: once events are delivered and expired, pages go on by themselves."""
    await house.fill()
    await house.settle(house.head)
    house.clock.jump(7200)
    while await house.store.expire(house.clock.now()):
        pass
    assert await house.store.recover()
    begun, refusals = house.head, 0
    while house.head < begun + 200:
        try:
            await house.commit()
        except StoreUnavailable:
            # The log has used up what is free outside the file; moved into the file, it gives it back.
            refusals += 1
            assert await house.store.recover()
    assert refusals < 5
    assert list(range(begun, house.head)) == await house.everything(begun)
    assert_identities(await house.store.snapshot())


async def test_state_outlives_a_restart_on_a_full_disk(house: _House, disk: Path) -> None:
    """A store left full opens again with everything in it, and still takes settlements."""
    await house.fill()
    await house.settle(20)
    head = house.head
    await house.store.__aexit__(None, None, None)
    metrics = Metrics()
    options = StoreOptions(disk / "mcwatch.db", reserve_bytes=_RESERVE_BYTES)
    async with SqliteStore(options, clock=house.clock, metrics=metrics) as store:
        again = _House(store, house.clock, metrics, await store.feed("acme", "message_finder"))
        assert [] == await store.enrol({"hook": False})
        assert {again.feed.account_id: head} == dict(store.heads())
        assert list(range(20, head)) == await again.everything(20)
        await again.settle(30)
        assert {again.feed.account_id: 30} == await store.positions("hook")


async def test_delivery_goes_on_while_pages_rest(house: _House) -> None:
    """A destination receives everything recorded, once and in order, while the disk is full and after it is not."""
    sink = FakeSink()
    dispatcher = _dispatcher(house, sink)
    await house.fill()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dispatcher.run({house.feed.account_id: "acme"}))
        pages = 0
        for _ in range(50):
            while (await house.store.positions("hook"))[house.feed.account_id] < house.head:  # noqa: ASYNC110
                await asyncio.sleep(0)
            house.clock.jump(7200)
            while await house.store.expire(house.clock.now()):
                pass
            await house.pressure.refresh()
            if house.pressure.paused:
                continue
            with suppress(StoreUnavailable):  # full again, until the next events are delivered and expired
                await house.commit()
                pages += 1
        dispatcher.drain()
        await running
    assert pages > 30
    assert list(range(house.head)) == numbers_of(sink.accepted)
    assert_identities(await house.store.snapshot())


def _dispatcher(house: _House, sink: FakeSink) -> Dispatcher:
    limits = BatchLimits(max_events=40)
    view = View(Selection(), Rendering(NATIVE, JsonFormat()))
    reader = BatchReader("hook", house.store, LineCache(1 << 20), view, limits)
    outlet = Outlet("hook", sink, Senses(house.clock, house.metrics, house.health, random.Random(1)))
    return Dispatcher(outlet, house.store, reader, limits, Letterbox("hook", house.store, house.health, 1000))


async def test_settlement_that_meets_the_full_disk_first_takes_the_reserve(house: _House, disk: Path) -> None:
    """When others fill the disk while nothing is polled, the next settlement gives up the reserve and goes through."""
    for _ in range(3):
        await house.commit()
    with (disk / "ballast").open("wb") as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(1 << 16))
            ballast.flush()
    await house.settle(10)
    assert {house.feed.account_id: 10} == await house.store.positions("hook")
    assert house.store.full
    assert not (disk / "mcwatch.db.reserve").exists()
    assert not await house.store.expire(house.clock.now())
