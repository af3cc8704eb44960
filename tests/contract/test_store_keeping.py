"""What a store keeps, for whom and how long: destinations that come and go, and expiry. On every engine."""

import hashlib
from datetime import timedelta

import pytest

from mcwatch.domain.fingerprint import TIMELESS
from mcwatch.domain.outbox import Progress, Settlement
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
    rejected,
    settle_delivered,
)

pytestmark = pytest.mark.timeout(10)
_MARK = bytes(range(16))


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
        later = await store.feed("corp", FINDER)
        assert {later.account_id} == (await store.positions("stays")).keys() - {feed.account_id}
        assert {} == await store.positions("goes")
        await store.expire(engine.clock.now())
        assert [] == await store.read(feed.account_id, 0, 1 << 20)


async def test_dead_letters_outlive_their_destination(store: Store, engine: StoreEngine) -> None:
    """Dead letters of a released destination are listed under its name until keep_dead_letters has passed."""
    feed = await store.feed("acme", FINDER)
    await store.enrol({"goes": False})
    await append_numbers(store, engine, feed, range(3))
    await store.settle(Settlement("goes", [Progress(feed.account_id, 1, 0, 0)], [rejected(feed.account_id, 0)]))
    await store.enrol({})
    engine.clock.jump(timedelta(days=80).total_seconds())
    await store.expire(engine.clock.now())
    assert [] == (await store.snapshot()).destinations
    assert ["goes"] == [one.destination for one in await store.dead_letters(None, 10)]
    assert ["goes"] == [one.destination for one in await store.dead_letters("goes", 10)]
    engine.clock.jump(timedelta(days=11).total_seconds())
    for _ in range(2):
        await store.expire(engine.clock.now())
    assert [] == await store.dead_letters(None, 10)


async def test_released_destination_is_a_new_one_when_it_returns(store: Store, engine: StoreEngine) -> None:
    """After its release a name begins where a new one would, with counts from zero, and finds its dead letters."""
    feed = await store.feed("acme", FINDER)
    await store.enrol({"hook": False})
    await append_numbers(store, engine, feed, range(3))
    await store.settle(Settlement("hook", [Progress(feed.account_id, 1, 0, 0)], [rejected(feed.account_id, 0)]))
    await store.enrol({})
    engine.clock.jump(timedelta(days=2).total_seconds())
    await store.expire(engine.clock.now())
    assert [] == await store.enrol({"hook": True})
    assert {feed.account_id: 3} == await store.positions("hook")
    figures = figures_of(await store.snapshot(), "hook")
    assert (0, {}, 1) == (figures.offered, figures.dead_lettered, figures.dead_letters)
    engine.clock.jump(timedelta(days=2).total_seconds())
    await store.expire(engine.clock.now())
    assert {feed.account_id: 3} == await store.positions("hook")


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
    """A fingerprint goes when the row's own time is past keep_fingerprints; without a time, by when it was touched.

    How long it lingers then is the store's own affair.
    """
    feed = await store.feed("acme", FINDER)
    keep = timedelta(days=31).total_seconds()
    limit = int(engine.clock.now().timestamp())
    now = limit + int(keep)
    past = limit - 1 - int(engine.lingers.total_seconds())
    places = [past, limit, now, TIMELESS + 5]
    await store.commit_page(feed, lambda page: page.remember([(at, _MARK, b"") for at in places[:2]]))
    engine.clock.jump(keep)
    await store.commit_page(feed, lambda page: page.remember([(at, _MARK, b"") for at in places[2:]]))

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


async def test_ended_stays_are_kept_from_their_end(store: Store, engine: StoreEngine) -> None:
    """The count of a queue entry's stays is kept by the later of the mail's time and the end of the stay."""
    feed = await store.feed("acme", QUEUE)
    now = int(engine.clock.now().timestamp())
    days = int(timedelta(days=1).total_seconds())
    old, new = now - 300 * days, now + 10 * days
    await store.commit_page(feed, lambda page: page.remember([(old, b"", b"stay"), (new, b"", b"stay")]))

    async def kept() -> list[int]:
        return sorted(await store.commit_page(feed, lambda page: page.chains({old, new})))

    engine.clock.jump(30 * days)
    await store.expire(engine.clock.now())
    assert [old, new] == await kept()
    engine.clock.jump(2 * days)
    await store.expire(engine.clock.now())
    assert [new] == await kept()
    engine.clock.jump(10 * days)
    await store.expire(engine.clock.now())
    assert [] == await kept()


async def test_clock_that_ran_ahead_holds_up_nothing(store: Store, engine: StoreEngine) -> None:
    """A batch written while the clock was years ahead goes with those behind it, and leaves no hole meanwhile."""
    feed = await store.feed("acme", FINDER)
    years = timedelta(days=3650).total_seconds()
    for shift in (0.0, years, -years):
        engine.clock.jump(shift)
        await append_numbers(store, engine, feed, range(1))
    engine.clock.jump(timedelta(hours=25).total_seconds())
    await store.expire(engine.clock.now())
    assert [] == await store.read(feed.account_id, 0, 1 << 20)


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


async def test_long_unreadable_row_is_kept_in_part(store: Store, engine: StoreEngine) -> None:
    """Of an undecodable row 64 KiB are kept; the detail says how long it was and what it hashes to."""
    feed = await store.feed("acme", FINDER)
    raw = bytes(range(256)) * 1024
    await store.commit_page(feed, lambda page: page.quarantine([Unreadable(raw, "why")], engine.clock.now()))
    [letter] = await store.dead_letters("", 10)
    assert 64 * 1024 == letter.size
    assert letter.detail.startswith("why ")
    assert str(len(raw)) in letter.detail
    assert hashlib.sha256(raw).hexdigest() in letter.detail


async def test_sweep_visits_all_in_turn(store: Store, engine: StoreEngine) -> None:
    """An account with much to remove keeps no other waiting: every account has lost something before it has all."""
    big, small = await store.feed("acme", FINDER), await store.feed("corp", FINDER)
    for at in range(200):
        await append_numbers(store, engine, big, range(at, at + 1))
    await append_numbers(store, engine, small, range(1))
    engine.clock.jump(timedelta(days=2).total_seconds())

    async def left(account_id: int) -> bool:
        return bool(await store.read(account_id, 0, 1))

    small_went_first = False
    while await store.expire(engine.clock.now()):
        small_went_first |= await left(big.account_id) and not await left(small.account_id)
    assert small_went_first
    assert not await left(big.account_id)


async def test_a_row_older_than_the_history_is_known_from_when_it_was_seen(store: Store, engine: StoreEngine) -> None:
    """A row that the API shows although its own time is long past is not forgotten at once, and so not sent again."""
    feed = await store.feed("acme", FINDER)
    old = int((engine.clock.now() - timedelta(days=40)).timestamp())
    await store.commit_page(feed, lambda page: page.remember([(old, _MARK, b"")]))

    async def known() -> bool:
        return bool(await store.commit_page(feed, lambda page: page.marks({old})))

    for _ in range(2):
        await store.expire(engine.clock.now())
        assert await known()
        engine.clock.jump(timedelta(days=15).total_seconds())
    engine.clock.jump(timedelta(days=2).total_seconds())
    await store.expire(engine.clock.now())
    assert not await known()


async def test_expiry_is_bounded_and_says_so(store: Store, engine: StoreEngine) -> None:
    """One call of expiry removes a bounded amount and reports more until nothing is left."""
    feed = await store.feed("acme", FINDER)
    await store.commit_page(feed, lambda page: page.remember([(at, _MARK, b"") for at in range(3000)]))
    engine.clock.jump(timedelta(days=32).total_seconds())

    async def left() -> int:
        return len(await store.commit_page(feed, lambda page: page.marks(set(range(3000)))))

    counts = [3000]
    while await store.expire(engine.clock.now()):
        counts.append(await left())
        assert 0 < counts[-2] - counts[-1] < 3000
    assert 0 == await left()
    assert len(counts) > 2
