"""The promises of ``interfaces.Store``, on every engine."""

import asyncio
import dataclasses
import threading
from datetime import timedelta

import pytest

from mcwatch.domain.errors import FailureReason
from mcwatch.domain.fingerprint import TIMELESS, timeless
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.domain.page import PageCounts, PageTransaction
from mcwatch.domain.record import Unreadable
from mcwatch.interfaces import Store
from tests.contract.store_kit import (
    FINDER,
    QUEUE,
    StoreEngine,
    append_numbers,
    assert_identities,
    events_in,
    figures_of,
    lines_of,
    native,
    rejected,
    settle_delivered,
)

pytestmark = pytest.mark.timeout(10)
_MARK = bytes(range(16))


async def test_feed_is_found_again(engine: StoreEngine) -> None:
    """A feed keeps its id, and accounts and sources are told apart, within a run and after a restart."""
    async with engine.open() as store:
        feed = await store.feed("acme", FINDER)
        other = await store.feed("acme", QUEUE)
        stranger = await store.feed("corp", FINDER)
        assert feed == await store.feed("acme", FINDER)
    async with engine.open() as store:
        assert feed == await store.feed("acme", FINDER)
    assert feed.account_id == other.account_id
    assert 3 == len({feed.id, other.id, stranger.id})
    assert feed.account_id != stranger.account_id


async def test_cursors_move_with_the_page(engine: StoreEngine) -> None:
    """A cursor is the feed's own, is seen inside the transaction and afterwards, and survives a restart."""
    async with engine.open() as store:
        feed, other = await store.feed("acme", FINDER), await store.feed("acme", QUEUE)

        def work(transaction: PageTransaction) -> tuple[bytes | None, bytes | None]:
            before = transaction.cursor("all")
            transaction.set_cursor("all", b"1")
            transaction.set_cursor("all", b"2")
            transaction.set_cursor("to=x", b"3")
            return before, transaction.cursor("all")

        assert (None, b"2") == await store.commit_page(feed, work)
        assert {} == (await store.progress(other)).cursors
    async with engine.open() as store:
        assert {"all": b"2", "to=x": b"3"} == (await store.progress(feed)).cursors


async def test_failing_page_leaves_nothing(store: Store, engine: StoreEngine) -> None:
    """A page whose work raises writes nothing at all, and its error comes out as it was."""
    feed = await store.feed("acme", FINDER)
    await append_numbers(store, engine, feed, range(2))

    def work(transaction: PageTransaction) -> None:
        transaction.set_cursor("all", b"1")
        transaction.remember([(1, _MARK, b"chain")])
        transaction.keep_stays("processing", {b"k": b"v"})
        transaction.append(lines_of([native(9)]), 1, engine.clock.now())
        transaction.quarantine([Unreadable(b"raw", "why")], engine.clock.now())
        transaction.count(PageCounts(1, 1, 1))
        raise KeyError("on purpose")

    before = await store.snapshot()
    with pytest.raises(KeyError, match="on purpose"):
        await store.commit_page(feed, work)
    after = await store.snapshot()
    assert (before.feeds, before.undecodable_letters) == (after.feeds, after.undecodable_letters)
    assert {feed.account_id: 2} == dict(store.heads())
    assert {} == (await store.progress(feed)).cursors
    assert [0, 1] == events_in(await store.read(feed.account_id, 0, 1 << 20))
    assert ({}, {}) == await store.commit_page(feed, lambda page: (page.marks({1}), page.stays("processing", [b"k"])))


async def test_failing_page_spares_its_neighbours(store: Store, engine: StoreEngine) -> None:
    """Pages that wait for the same commit as one that fails are committed, each once."""
    feed = await store.feed("acme", FINDER)
    release = threading.Event()

    def hold(_: PageTransaction) -> None:
        assert release.wait(5)

    def fail(transaction: PageTransaction) -> None:
        transaction.append(lines_of([native(99)]), 1, engine.clock.now())
        raise ValueError("on purpose")

    async with asyncio.TaskGroup() as group:
        held = group.create_task(store.commit_page(feed, hold))
        await asyncio.sleep(0)
        good = [group.create_task(append_numbers(store, engine, feed, range(at, at + 1))) for at in range(3)]
        bad = group.create_task(_caught(store.commit_page(feed, fail)))
        more = [group.create_task(append_numbers(store, engine, feed, range(at, at + 1))) for at in range(3, 6)]
        await asyncio.sleep(0)
        release.set()
    assert held.result() is None
    assert isinstance(bad.result(), ValueError)
    assert list(range(6)) == [task.result() for task in good + more]
    assert list(range(6)) == events_in(await store.read(feed.account_id, 0, 1 << 20))
    assert 6 == store.heads()[feed.account_id]


async def _caught(commit: "asyncio.Future[None] | object") -> BaseException | None:
    try:
        await commit  # type: ignore[misc]  # any awaitable will do
    except ValueError as error:
        return error
    return None


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(list(range(1000, 1040)), id="dense"),
        pytest.param([0, 5, 10**9, 1_767_605_342, TIMELESS - 1], id="sparse"),
        pytest.param([TIMELESS, TIMELESS + 65_535, timeless(b"\x12\x34" + bytes(14))], id="timeless"),
        pytest.param([7, TIMELESS + 9], id="mixed"),
    ],
)
async def test_seconds_round_trip(engine: StoreEngine, seconds: list[int]) -> None:
    """Fingerprints and chains come back for the seconds asked for alone, whatever lies between or in other feeds."""
    async with engine.open() as store:
        feed, other = await store.feed("acme", FINDER), await store.feed("acme", QUEUE)
        rows = [(second, _MARK + second.to_bytes(16), b"c%d" % second) for second in seconds]
        await store.commit_page(feed, lambda page: page.remember(rows))
        await store.commit_page(other, lambda page: page.remember([(second, b"other", b"") for second in seconds]))
        await store.commit_page(feed, lambda page: page.remember([(seconds[0], b"replaced", b"")]))
    async with engine.open() as store:
        asked = set(seconds[:-1]) | {seconds[-1] + 1}
        expected = {second: (marks, chains) for second, marks, chains in rows[:-1]} | {seconds[0]: (b"replaced", b"")}
        marks = await store.commit_page(feed, lambda page: page.marks(asked))
        chains = await store.commit_page(feed, lambda page: page.chains(asked))
        assert {second: pair[0] for second, pair in expected.items()} == marks
        assert {second: pair[1] for second, pair in expected.items()} == chains
        assert {} == await store.commit_page(feed, lambda page: page.marks(()))


async def test_stays_round_trip(engine: StoreEngine) -> None:
    """Live entries are kept per queue, replaced, found by key or by absence, and dropped."""
    async with engine.open() as store:
        feed = await store.feed("acme", QUEUE)

        def work(transaction: PageTransaction) -> None:
            transaction.keep_stays("processing", {b"a": b"1", b"b": b"2", b"c": b"3"})
            transaction.keep_stays("bulk_processing", {b"a": b"other"})
            transaction.keep_stays("processing", {b"b": b"22"})
            transaction.drop_stays("processing", [b"c", b"unknown"])

        await store.commit_page(feed, work)
    async with engine.open() as store:
        found, absent, bulk = await store.commit_page(
            feed,
            lambda page: (
                page.stays("processing", [b"b", b"c"]),
                page.absent_stays("processing", {b"b"}),
                page.absent_stays("bulk_processing", set()),
            ),
        )
    assert {b"b": b"22"} == found
    assert {b"a": b"1"} == absent
    assert {b"a": b"other"} == bulk


async def test_offsets_have_no_holes(engine: StoreEngine) -> None:
    """Offsets count per account, over all its feeds, from 0 and without holes."""
    async with engine.open() as store:
        finder, queue = await store.feed("acme", FINDER), await store.feed("acme", QUEUE)
        stranger = await store.feed("corp", FINDER)
        assert 0 == await append_numbers(store, engine, finder, range(3))
        assert 3 == await append_numbers(store, engine, queue, range(3, 5))
        assert 0 == await append_numbers(store, engine, stranger, range(1))
        assert 5 == await append_numbers(store, engine, finder, range(5, 6))
        assert {finder.account_id: 6, stranger.account_id: 1} == dict(store.heads())
        rows = await store.read(finder.account_id, 0, 1 << 20)
    assert [(0, 3), (3, 2), (5, 1)] == [(row.first_offset, row.count) for row in rows]


async def test_offset_is_never_used_twice(engine: StoreEngine) -> None:
    """After everything was delivered and expired, and after a restart, offsets go on where they were."""
    async with engine.open() as store:
        feed = await store.feed("acme", FINDER)
        await store.enrol({"hook": False})
        await append_numbers(store, engine, feed, range(4))
        await settle_delivered(store, "hook", feed.account_id, 4)
        engine.clock.jump(timedelta(days=2).total_seconds())
        assert not await store.expire(engine.clock.now())
        assert [] == await store.read(feed.account_id, 0, 1 << 20)
        assert 4 == await append_numbers(store, engine, feed, range(1))
        await settle_delivered(store, "hook", feed.account_id, 5)
        engine.clock.jump(timedelta(days=2).total_seconds())
        await store.expire(engine.clock.now())
    async with engine.open() as store:
        assert {feed.account_id: 5} == dict(store.heads())
        assert 5 == await append_numbers(store, engine, feed, range(1))
        assert {feed.account_id: 5} == await store.positions("hook")


async def test_read_from_the_middle_of_a_row(store: Store, engine: StoreEngine) -> None:
    """A read begins with the row that holds the position, and tells its observation time."""
    feed = await store.feed("acme", FINDER)
    await append_numbers(store, engine, feed, range(5))
    await append_numbers(store, engine, feed, range(5, 8))
    rows = await store.read(feed.account_id, 3, 1 << 20)
    assert [0, 5] == [row.first_offset for row in rows]
    assert [5] == [row.first_offset for row in await store.read(feed.account_id, 5, 1 << 20)]
    assert [5] == [row.first_offset for row in await store.read(feed.account_id, 7, 1 << 20)]
    assert [] == await store.read(feed.account_id, 8, 1 << 20)
    assert [] == await store.read(feed.account_id + 99, 0, 1 << 20)
    assert engine.clock.now() == rows[0].observed_at


async def test_read_is_bounded_but_never_empty(store: Store, engine: StoreEngine) -> None:
    """A read ends once it has max_bytes, and gives at least one row however little is asked for."""
    feed = await store.feed("acme", FINDER)
    for at in range(10):
        await append_numbers(store, engine, feed, range(at, at + 1))
    one = len(native(0)) + 1
    assert [0] == events_in(await store.read(feed.account_id, 0, 0))
    assert [4] == events_in(await store.read(feed.account_id, 4, 1))
    assert [0, 1, 2] == events_in(await store.read(feed.account_id, 0, 3 * one))
    assert [0, 1, 2] == events_in(await store.read(feed.account_id, 0, 2 * one + 1))


async def test_read_leaves_out_what_is_at_hand(store: Store, engine: StoreEngine) -> None:
    """Rows the caller has come without their lines, in their place among the others."""
    feed = await store.feed("acme", FINDER)
    for at in (0, 2, 4):
        await append_numbers(store, engine, feed, range(at, at + 2))
    rows = await store.read(feed.account_id, 1, 1 << 20, {0, 4})
    assert [(0, False), (2, True), (4, False)] == [(row.first_offset, row.lines is not None) for row in rows]


async def test_settlement_moves_positions_and_counts(engine: StoreEngine) -> None:
    """A settlement over two accounts moves both positions, counts every fate and keeps the dead letter, durably."""
    async with engine.open() as store:
        acme, corp = await store.feed("acme", FINDER), await store.feed("corp", FINDER)
        await store.enrol({"hook": False, "other": False})
        await append_numbers(store, engine, acme, range(5))
        await append_numbers(store, engine, corp, range(10, 13))
        progress = [Progress(acme.account_id, 4, 2, 1), Progress(corp.account_id, 2, 2, 0)]
        await store.settle(Settlement("hook", progress, [rejected(acme.account_id, 3)]))
    async with engine.open() as store:
        assert {acme.account_id: 4, corp.account_id: 2} == await store.positions("hook")
        assert {acme.account_id: 0, corp.account_id: 0} == await store.positions("other")
        snapshot = await store.snapshot()
        letters = await store.dead_letters("hook", 10)
    mine = figures_of(snapshot, "hook")
    assert (8, 4, {"refused": 1}, 1, 0, 2, 1) == (
        mine.offered,
        mine.delivered,
        mine.dead_lettered,
        mine.not_selected,
        mine.skipped,
        mine.waiting,
        mine.dead_letters,
    )
    assert engine.clock.now() == mine.oldest_waiting_at
    assert 8 == figures_of(snapshot, "other").waiting
    assert_identities(snapshot)
    assert [("acme", "hook", f"{3:032x}", FailureReason.REFUSED, "the receiver's words", len(native(3)))] == [
        (one.account, one.destination, one.event_id, one.reason, one.detail, one.size) for one in letters
    ]


async def test_settlement_is_all_or_nothing(store: Store, engine: StoreEngine) -> None:
    """A settlement that cannot be kept as a whole moves no position and keeps no dead letter."""
    feed = await store.feed("acme", FINDER)
    await store.enrol({"hook": False})
    await append_numbers(store, engine, feed, range(2))
    unkeepable = dataclasses.replace(rejected(feed.account_id, 1), detail="no text: \ud800")
    settlement = Settlement("hook", [Progress(feed.account_id, 2, 0, 0)], [rejected(feed.account_id, 0), unkeepable])
    with pytest.raises(UnicodeEncodeError):
        await store.settle(settlement)
    assert {feed.account_id: 0} == await store.positions("hook")
    assert [] == await store.dead_letters(None, 10)
    assert_identities(await store.snapshot())


async def test_waiting_ends_with_the_next_events(store: Store, engine: StoreEngine) -> None:
    """A waiter wakes for a committed page with events, not for one without, and never for what it has seen."""
    feed = await store.feed("acme", FINDER)
    seen = await store.wait_for_events(-1)
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(store.wait_for_events(seen)) for _ in range(3)]
        await store.commit_page(feed, lambda page: page.set_cursor("all", b"1"))
        assert not any(waiter.done() for waiter in waiters)
        await append_numbers(store, engine, feed, range(1))
    now = {waiter.result() for waiter in waiters}
    assert 1 == len(now)
    assert seen < (then := now.pop())
    await append_numbers(store, engine, feed, range(1))
    assert then < await store.wait_for_events(then)


async def test_cancelled_commit_is_not_lost(store: Store, engine: StoreEngine) -> None:
    """A page whose caller is cancelled while it commits is there, is in the head and wakes those who wait."""
    feed = await store.feed("acme", FINDER)
    begun, release = threading.Event(), threading.Event()
    observed_at = engine.clock.now()

    def work(transaction: PageTransaction) -> None:
        begun.set()
        assert release.wait(5)
        transaction.append(lines_of([native(7)]), 1, observed_at)

    seen = await store.wait_for_events(-1)
    task = asyncio.ensure_future(store.commit_page(feed, work))
    assert await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert seen < await store.wait_for_events(seen)
    assert {feed.account_id: 1} == dict(store.heads())
    assert [7] == events_in(await store.read(feed.account_id, 0, 1 << 20))


async def test_closing_finishes_what_was_asked(engine: StoreEngine) -> None:
    """Pages still waiting when the store closes are committed first."""
    async with engine.open() as store:
        feed = await store.feed("acme", FINDER)
        tasks = [asyncio.ensure_future(append_numbers(store, engine, feed, range(at, at + 1))) for at in range(5)]
        await asyncio.sleep(0)
    assert list(range(5)) == [await task for task in tasks]
    async with engine.open() as store:
        assert list(range(5)) == events_in(await store.read(feed.account_id, 0, 1 << 20))


async def test_snapshot_counts_what_is_not_delivered(store: Store, engine: StoreEngine) -> None:
    """The backlog counts the bytes of rows that some destination has not passed, a row begun included."""
    feed = await store.feed("acme", FINDER)
    assert 0 == await store.backlog_bytes()
    await append_numbers(store, engine, feed, range(2))
    assert 0 == await store.backlog_bytes(), "nobody waits for it"
    await store.enrol({"a": False, "b": False})
    await append_numbers(store, engine, feed, range(2, 4))
    both = await store.backlog_bytes()
    await settle_delivered(store, "a", feed.account_id, 4)
    assert both == await store.backlog_bytes()
    await settle_delivered(store, "b", feed.account_id, 3)
    assert 0 < await store.backlog_bytes() < both
    await settle_delivered(store, "b", feed.account_id, 4)
    assert 0 == await store.backlog_bytes()
    snapshot = await store.snapshot()
    assert (0, 1 << 20) == (snapshot.outbox_bytes, snapshot.outbox_limit_bytes)
    assert snapshot.store_bytes > 0
    assert figures_of(snapshot, "b").oldest_waiting_at is None


async def test_ping_and_recover_answer(store: Store) -> None:
    """A healthy store answers a ping and can take pages."""
    await store.ping()
    assert await store.recover()
