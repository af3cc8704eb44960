"""The promises of ``interfaces.Store``, on every engine."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from mcwatch.domain.errors import FailureReason
from mcwatch.domain.fingerprint import TIMELESS, timeless
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.domain.page import PageCounts, PageTransaction
from mcwatch.domain.record import Unreadable
from mcwatch.interfaces import Store
from tests.contract.store_kit import (
    ENGINES,
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


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> StoreEngine:
    """Give one engine after the other."""
    return ENGINES[request.param](tmp_path)


@pytest.fixture
async def store(engine: StoreEngine) -> AsyncIterator[Store]:
    """Give an open, empty store."""
    async with engine.open() as opened:
        yield opened


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
        assert {} == await store.cursors(other)
    async with engine.open() as store:
        assert {"all": b"2", "to=x": b"3"} == await store.cursors(feed)


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
    assert {} == await store.cursors(feed)
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
    unknown_account = rejected(feed.account_id + 77, 1)
    settlement = Settlement(
        "hook", [Progress(feed.account_id, 2, 0, 0)], [rejected(feed.account_id, 0), unknown_account]
    )
    with pytest.raises(Exception, match="store"):
        await store.settle(settlement)
    assert {feed.account_id: 0} == await store.positions("hook")
    assert [] == await store.dead_letters(None, 10)
    assert_identities(await store.snapshot())


async def test_new_destination_starts_where_it_is_told(store: Store, engine: StoreEngine) -> None:
    """A new destination starts at the head or the oldest event kept; accounts added later start at their first."""
    feed = await store.feed("acme", FINDER)
    await store.enrol({"first": False})
    await append_numbers(store, engine, feed, range(3))
    await settle_delivered(store, "first", feed.account_id, 3)
    engine.clock.jump(timedelta(days=2).total_seconds())
    await store.expire(engine.clock.now())
    await append_numbers(store, engine, feed, range(3, 5))
    assert [] == await store.enrol({"first": False, "latest": True, "earliest": False})
    assert {feed.account_id: 5} == await store.positions("latest")
    assert {feed.account_id: 3} == await store.positions("earliest")
    assert {feed.account_id: 3} == await store.positions("first")
    later = await store.feed("corp", FINDER)
    await append_numbers(store, engine, later, range(2))
    for name in ("first", "latest", "earliest"):
        assert 0 == (await store.positions(name))[later.account_id]
    await store.enrol({"first": True, "latest": True, "earliest": True})
    assert {feed.account_id: 3, later.account_id: 0} == await store.positions("earliest")
    assert_identities(await store.snapshot())


async def test_earliest_of_an_empty_log_is_its_head(store: Store, engine: StoreEngine) -> None:
    """Where everything has expired, a destination that starts at the oldest event waits for nothing."""
    feed = await store.feed("acme", FINDER)
    await append_numbers(store, engine, feed, range(3))
    engine.clock.jump(timedelta(days=2).total_seconds())
    await store.expire(engine.clock.now())
    await store.enrol({"hook": False})
    assert {feed.account_id: 3} == await store.positions("hook")
    assert 0 == figures_of(await store.snapshot(), "hook").offered


async def test_gone_destination_is_remembered_then_released(engine: StoreEngine) -> None:
    """A destination gone from the configuration keeps its backlog until keep_delivered has passed, no longer."""
    async with engine.open() as store:
        feed = await store.feed("acme", FINDER)
        await store.enrol({"stays": False, "goes": False})
        await append_numbers(store, engine, feed, range(3))
        await store.settle(Settlement("goes", [Progress(feed.account_id, 1, 0, 0)], [rejected(feed.account_id, 0)]))
        await settle_delivered(store, "stays", feed.account_id, 3)
        assert ["goes"] == await store.enrol({"stays": False})
        engine.clock.jump(timedelta(hours=20).total_seconds())
    async with engine.open() as store:
        assert ["goes"] == await store.enrol({"stays": False})
        engine.clock.jump(timedelta(hours=3).total_seconds())
        await store.expire(engine.clock.now())
        assert {feed.account_id: 1} == await store.positions("goes")
        assert [0, 1, 2] == events_in(await store.read(feed.account_id, 0, 1 << 20))
        engine.clock.jump(timedelta(hours=2).total_seconds())
        await store.expire(engine.clock.now())
        assert {} == await store.positions("goes")
        assert ["stays"] == [one.name for one in (await store.snapshot()).destinations]
        assert [] == await store.enrol({"stays": False})
        await store.expire(engine.clock.now())
        assert [] == await store.read(feed.account_id, 0, 1 << 20)


async def test_gone_destination_comes_back(store: Store, engine: StoreEngine) -> None:
    """A destination that returns in time finds its position, and its time of absence is forgotten."""
    feed = await store.feed("acme", FINDER)
    await store.enrol({"hook": False})
    await append_numbers(store, engine, feed, range(3))
    await settle_delivered(store, "hook", feed.account_id, 1)
    assert ["hook"] == await store.enrol({})
    engine.clock.jump(timedelta(hours=23).total_seconds())
    assert [] == await store.enrol({"hook": True})
    engine.clock.jump(timedelta(hours=23).total_seconds())
    await store.expire(engine.clock.now())
    assert {feed.account_id: 1} == await store.positions("hook")
    assert 2 == figures_of(await store.snapshot(), "hook").waiting


async def test_fingerprints_expire_by_row_time(store: Store, engine: StoreEngine) -> None:
    """A fingerprint goes when the row's own time is past keep_fingerprints; without a time, by when it was touched."""
    feed = await store.feed("acme", FINDER)
    now = int(engine.clock.now().timestamp())
    limit = now - int(timedelta(days=31).total_seconds())
    places = [limit - 1, limit, now, TIMELESS + 5]
    await store.commit_page(feed, lambda page: page.remember([(at, _MARK, b"") for at in places]))

    async def kept() -> list[int]:
        return sorted(await store.commit_page(feed, lambda page: page.marks(set(places))))

    assert not await store.expire(engine.clock.now())
    assert [limit, now, TIMELESS + 5] == await kept()
    engine.clock.jump(timedelta(days=30).total_seconds())
    await store.expire(engine.clock.now())
    assert [now, TIMELESS + 5] == await kept()
    await store.commit_page(feed, lambda page: page.remember([(TIMELESS + 5, _MARK, b"")]))
    engine.clock.jump(timedelta(days=2).total_seconds())
    await store.expire(engine.clock.now())
    assert [TIMELESS + 5] == await kept()
    engine.clock.jump(timedelta(days=31).total_seconds())
    await store.expire(engine.clock.now())
    assert [] == await kept()


async def test_batches_expire_behind_every_destination(store: Store, engine: StoreEngine) -> None:
    """A batch goes once it is old and every destination has passed it wholly; what one still needs stays."""
    feed = await store.feed("acme", FINDER)
    await store.enrol({"fast": False, "slow": False})
    for at in (0, 2, 4):
        await append_numbers(store, engine, feed, range(at, at + 2))
    await settle_delivered(store, "fast", feed.account_id, 6)
    await settle_delivered(store, "slow", feed.account_id, 3)
    await store.expire(engine.clock.now())
    assert [0, 2, 4] == [row.first_offset for row in await store.read(feed.account_id, 0, 1 << 20)]
    engine.clock.jump(timedelta(hours=25).total_seconds())
    await store.expire(engine.clock.now())
    assert [2, 3, 4, 5] == events_in(await store.read(feed.account_id, 2, 1 << 20))
    assert [] == [row for row in await store.read(feed.account_id, 0, 1 << 20) if row.first_offset < 2]
    assert await store.backlog_bytes() == (await store.snapshot()).outbox_bytes > 0


async def test_dead_letters_expire(store: Store, engine: StoreEngine) -> None:
    """Dead letters go after keep_dead_letters, the count of them stays."""
    feed = await store.feed("acme", FINDER)
    await store.enrol({"hook": False})
    await append_numbers(store, engine, feed, range(1))
    await store.settle(Settlement("hook", [Progress(feed.account_id, 1, 0, 0)], [rejected(feed.account_id, 0)]))
    await store.commit_page(feed, lambda page: page.quarantine([Unreadable(b"raw", "why")], engine.clock.now()))
    engine.clock.jump(timedelta(days=89).total_seconds())
    await store.expire(engine.clock.now())
    assert 2 == len(await store.dead_letters(None, 10))
    engine.clock.jump(timedelta(days=2).total_seconds())
    await store.expire(engine.clock.now())
    assert [] == await store.dead_letters(None, 10)
    snapshot = await store.snapshot()
    assert {"refused": 1} == figures_of(snapshot, "hook").dead_lettered
    assert 0 == figures_of(snapshot, "hook").dead_letters
    assert {"acme": 0} == snapshot.undecodable_letters


async def test_dead_letters_are_listed_newest_first(store: Store, engine: StoreEngine) -> None:
    """A listing shows a destination's, the undecodable rows or everything, newest first, no more than asked for."""
    feed = await store.feed("acme", FINDER)
    await store.enrol({"hook": False, "other": False})
    await append_numbers(store, engine, feed, range(2))
    await store.commit_page(feed, lambda page: page.quarantine([Unreadable(b"raw", "why")], engine.clock.now()))
    for name, number in (("hook", 0), ("other", 0), ("hook", 1)):
        engine.clock.jump(1)
        progress = [Progress(feed.account_id, number + 1, 0, 0)]
        await store.settle(Settlement(name, progress, [rejected(feed.account_id, number)]))
    assert ["hook", "other", "hook", ""] == [one.destination for one in await store.dead_letters(None, 10)]
    assert [f"{1:032x}", f"{0:032x}"] == [one.event_id for one in await store.dead_letters("hook", 10)]
    assert [("why", 3)] == [(one.detail, one.size) for one in await store.dead_letters("", 10)]
    newest = await store.dead_letters(None, 1)
    assert [engine.clock.now()] == [one.at for one in newest]
    assert {"acme": 1} == (await store.snapshot()).undecodable_letters


async def test_expiry_is_bounded_and_says_so(store: Store, engine: StoreEngine) -> None:
    """One call of expiry removes a bounded amount and reports more until nothing is left."""
    feed = await store.feed("acme", FINDER)
    await store.commit_page(feed, lambda page: page.remember([(at, _MARK, b"") for at in range(3000)]))

    async def left() -> int:
        return len(await store.commit_page(feed, lambda page: page.marks(set(range(3000)))))

    counts = [3000]
    while await store.expire(engine.clock.now()):
        counts.append(await left())
        assert 0 < counts[-2] - counts[-1] < 3000
    assert 0 == await left()
    assert len(counts) > 2


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
