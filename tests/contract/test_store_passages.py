"""What a store keeps of queue entries for the finder, on every engine."""

from collections.abc import Collection
from datetime import timedelta

import msgspec
import pytest

from mcwatch.domain.page import Feed, PageTransaction
from mcwatch.domain.passage import KeptPassage, Passage
from mcwatch.interfaces import Store
from tests.contract.store_kit import FINDER, QUEUE, StoreEngine

pytestmark = pytest.mark.timeout(10)
_DAYS = timedelta(days=1).total_seconds()
_HIGHEST = 2**63 - 1


def passage(place: int = 1, traits: int = 1, entry: bytes = b"e", visit: int = 0, queue: str = "processing") -> Passage:
    """Return a stay that lasts."""
    return Passage(place, traits, entry, visit, queue, place * 1_000)


def ended(stay: Passage) -> Passage:
    """Return a stay that is over."""
    return msgspec.structs.replace(stay, ended=b"figures")


async def keep(store: Store, feed: Feed, *stays: Passage) -> None:
    """Keep stays in a page of their own."""
    await store.commit_page(feed, lambda page: page.keep_passages(stays))


async def find(store: Store, feed: Feed, *wanted: tuple[int, int]) -> list[KeptPassage]:
    """Find stays, in the order of what names them."""
    found = await store.commit_page(feed, lambda page: page.passages(wanted))
    return sorted(found, key=lambda one: (one.passage.place, one.passage.traits, one.passage.entry, one.passage.visit))


async def taken(store: Store, feed: Feed, places: Collection[int]) -> list[bool]:
    """Tell of the stays in places whether they are taken."""
    return [one.taken for one in await find(store, feed, *((place, 1) for place in places))]


async def test_a_stay_is_found_by_the_other_feed(engine: StoreEngine) -> None:
    """What the queue's feed keeps, the finder's finds by place and traits alone, also after a restart."""
    stays = [passage(), passage(entry=b"f"), passage(visit=1), passage(2), passage(traits=_HIGHEST), passage(-3, 2)]
    async with engine.open() as store:
        await keep(store, await store.feed("acme", QUEUE), *stays)
    async with engine.open() as store:
        finder = await store.feed("acme", FINDER)
        found = await find(store, finder, (1, 1), (1, _HIGHEST), (-3, 2), (2, 2), (7, 1))
        assert [stays[5], stays[0], stays[2], stays[1], stays[4]] == [one.passage for one in found]
        assert [] == await find(store, finder)


async def test_accounts_do_not_see_each_other(store: Store) -> None:
    """A stay is found, asked for and taken within its account only."""
    mine, other = await store.feed("acme", QUEUE), await store.feed("corp", QUEUE)
    await keep(store, mine, passage())
    assert [] == await find(store, other, (1, 1))
    assert not await store.commit_page(other, lambda page: page.has_passages(0, 9))
    await store.commit_page(other, lambda page: page.take_passages([passage()]))
    assert [False] == await taken(store, mine, [1])


@pytest.mark.parametrize(
    ("first", "last", "expected"), [(5, 5, True), (0, 5, True), (5, 9, True), (0, 4, False), (6, 9, False)]
)
async def test_it_tells_whether_there_is_any(store: Store, first: int, last: int, *, expected: bool) -> None:
    """The question whether a range of places holds a stay includes both of its ends."""
    feed = await store.feed("acme", QUEUE)
    assert not await store.commit_page(feed, lambda page: page.has_passages(first, last))
    await keep(store, feed, passage(5))
    assert expected == await store.commit_page(feed, lambda page: page.has_passages(first, last))


async def test_a_live_stay_comes_with_what_the_queue_knows(store: Store) -> None:
    """A stay that lasts brings the entry's body and its queue's snapshot as they are; one that ended brings no body."""
    queue, finder = await store.feed("acme", QUEUE), await store.feed("acme", FINDER)
    stays = [passage(), passage(entry=b"f", queue="bulk_processing"), ended(passage(entry=b"g")), passage(entry=b"h")]
    await keep(store, queue, *stays)

    def poll(page: PageTransaction) -> None:
        for body, snapshot in ((b"1", b"s1"), (b"2", b"s2")):
            page.keep_stays("processing", {b"e": body, b"g": body})
            page.set_cursor("queue:processing", snapshot)

    await store.commit_page(queue, poll)
    await store.commit_page(finder, lambda page: page.set_cursor("queue:processing", b"other"))
    await store.commit_page(finder, lambda page: page.keep_stays("bulk_processing", {b"f": b"other"}))
    assert [
        KeptPassage(stays[0], False, b"2", b"s2"),
        KeptPassage(stays[1], False, None, None),
        KeptPassage(stays[2], False, None, b"s2"),
        KeptPassage(stays[3], False, None, b"s2"),
    ] == await find(store, finder, (1, 1))


async def test_a_stay_that_ended_is_the_same_stay(store: Store) -> None:
    """How a stay ended is kept in its place, and that it was taken is not forgotten; other stays stay free."""
    feed = await store.feed("acme", QUEUE)
    await keep(store, feed, passage(), passage(2), passage(3))
    await store.commit_page(feed, lambda page: page.take_passages([passage(), passage(3), passage(9)]))
    await keep(store, feed, ended(passage()))
    found = await find(store, feed, (1, 1), (2, 1), (3, 1))
    assert [ended(passage()), passage(2), passage(3)] == [one.passage for one in found]
    assert [True, False, True] == [one.taken for one in found]


async def test_stays_expire_by_when_they_were_touched(store: Store, engine: StoreEngine) -> None:
    """A stay goes when keep_fingerprints have passed since it entered, ended or was taken, whatever its own time."""
    feed = await store.feed("acme", QUEUE)
    await keep(store, feed, *(passage(place) for place in (-5, 1, 2, 3)))
    engine.clock.jump(20 * _DAYS)
    await keep(store, feed, ended(passage(2)))
    await store.commit_page(feed, lambda page: page.take_passages([passage(3)]))
    engine.clock.jump(12 * _DAYS)
    assert not await store.expire(engine.clock.now())
    assert [False, True] == await taken(store, feed, [-5, 1, 2, 3])
    engine.clock.jump(20 * _DAYS)
    await store.expire(engine.clock.now())
    assert not await store.commit_page(feed, lambda page: page.has_passages(-9, 9))


async def test_many_stays_expire_in_pieces(store: Store, engine: StoreEngine) -> None:
    """One call of expiry removes a bounded number of stays and reports more until none is left."""
    feed = await store.feed("acme", QUEUE)
    await keep(store, feed, *(passage(place) for place in range(1_200)))
    engine.clock.jump(32 * _DAYS)
    left = [1_200]
    while await store.expire(engine.clock.now()):
        left.append(len(await taken(store, feed, range(1_200))))
    assert left == sorted(set(left), reverse=True)
    assert len(left) > 2
    assert [] == await taken(store, feed, range(1_200))
