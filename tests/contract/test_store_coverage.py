"""The coverage ledger as a store keeps it, on every engine."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import pytest

from mcwatch.domain.page import Feed, PageTransaction
from mcwatch.domain.window.coverage import Cover, Span, lay
from mcwatch.domain.window.ranges import Window
from mcwatch.interfaces import Store
from mcwatch.store.keep import Keep
from tests.contract.store_kit import FINDER, QUEUE, StoreEngine
from tests.fakes.clock import START

pytestmark = pytest.mark.timeout(10)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def span(start: timedelta, end: timedelta, cover: Cover = Cover.READ, at: timedelta = timedelta(0)) -> Span:
    """Return the span between two times before the start, found so long before it."""
    return Span(START - start, START - end, cover, START - at)


async def cover(store: Store, feed: Feed, search: str, *spans: Span) -> None:
    """Lay spans, one after the other, in one transaction."""

    def work(transaction: PageTransaction) -> None:
        for one in spans:
            known = transaction.spans(search, one.window)
            transaction.replace_spans(search, one.window, lay(known, one))

    await store.commit_page(feed, work)


async def ledger(store: Store, feed: Feed, search: str = "all") -> Sequence[Span]:
    """Return what is kept of a search."""
    return (await store.progress(feed)).coverage.get(search, ())


async def expire(store: Store, engine: StoreEngine) -> None:
    """Let everything expire that is past its time."""
    while await store.expire(engine.clock.now()):
        pass


async def test_spans_are_kept_as_they_are(engine: StoreEngine) -> None:
    """All that a span says survives a restart, in order, for the search and the feed it was laid for."""
    spans = [
        span(3 * HOUR, 2 * HOUR, Cover.GAP, HOUR),
        span(2 * HOUR, HOUR),
        span(HOUR, 30 * MINUTE, Cover.INCOMPLETE),
        span(30 * MINUTE, MINUTE, Cover.AGED),
    ]
    async with engine.open() as store:
        feed, other = await store.feed("acme", FINDER), await store.feed("corp", FINDER)
        await store.commit_page(feed, lambda page: page.replace_spans("all", Window(START - DAY, START), spans[::-1]))
        await cover(store, feed, "to=x", spans[1])
    async with engine.open() as store:
        assert spans == await ledger(store, feed)
        assert [spans[1]] == await ledger(store, feed, "to=x")
        assert {} == (await store.progress(other)).coverage
        assert {} == (await store.progress(await store.feed("acme", QUEUE))).coverage


async def test_the_spans_at_a_window(store: Store) -> None:
    """Those that overlap or touch a window are found and replaced, and no others."""
    feed = await store.feed("acme", FINDER)
    far, touching, over, after = (
        span(9 * HOUR, 8 * HOUR), span(6 * HOUR, 5 * HOUR), span(4 * HOUR, 3 * HOUR), span(2 * HOUR, HOUR)
    )  # fmt: skip
    window = Window(START - 5 * HOUR, START - 2 * HOUR)
    one = span(5 * HOUR, 2 * HOUR, Cover.GAP)

    def work(transaction: PageTransaction) -> list[Span]:
        transaction.replace_spans("all", Window(START - DAY, START), [far, touching, over, after])
        found = transaction.spans("all", window)
        transaction.replace_spans("all", window, [one])
        return found

    assert [touching, over, after] == await store.commit_page(feed, work)
    assert [far, one] == await ledger(store, feed)


async def test_a_page_that_fails_claims_nothing(store: Store) -> None:
    """Coverage counts with the transaction it is laid in, and not without it."""
    feed = await store.feed("acme", FINDER)
    await cover(store, feed, "all", span(2 * HOUR, HOUR))

    def work(transaction: PageTransaction) -> None:
        window = Window(START - HOUR, START)
        transaction.replace_spans("all", window, [span(HOUR, timedelta(0))])
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        await store.commit_page(feed, work)
    assert [span(2 * HOUR, HOUR)] == await ledger(store, feed)


async def test_polls_of_a_day_make_one_span(store: Store) -> None:
    """Minute after minute, laid over what is there, the ledger stays small."""
    feed = await store.feed("acme", FINDER)
    for minute in range(60, 0, -1):
        await cover(store, feed, "all", span((minute + 5) * MINUTE, (minute - 1) * MINUTE, at=minute * MINUTE))
    assert [(START - 65 * MINUTE, START)] == [(one.start, one.end) for one in await ledger(store, feed)]


def _set(name: str, transaction: PageTransaction) -> None:
    transaction.set_cursor(name, b"1")


async def test_a_cursor_is_forgotten(engine: StoreEngine) -> None:
    """A cursor that is forgotten is gone, after a restart too; others of the feed stay, and so does an absent one."""
    async with engine.open() as store:
        feed, other = await store.feed("acme", FINDER), await store.feed("corp", FINDER)
        for one in (feed, other):
            for name in ("a", "b"):
                await store.commit_page(one, partial(_set, name))

        def work(transaction: PageTransaction) -> bytes | None:
            transaction.forget_cursor("a")
            transaction.forget_cursor("never")
            return transaction.cursor("a")

        assert await store.commit_page(feed, work) is None
    async with engine.open() as store:
        assert {"b": b"1"} == (await store.progress(feed)).cursors
        assert {"a": b"1", "b": b"1"} == (await store.progress(other)).cursors


async def test_spans_expire_by_their_searchs_newest(store: Store, engine: StoreEngine) -> None:
    """What ended 31 days before the search's newest span goes; the newest of every search stays as long."""
    feed = await store.feed("acme", FINDER)
    old, kept = span(40 * DAY, 32 * DAY, Cover.AGED), span(31 * DAY, 30 * DAY, Cover.GAP)
    await cover(store, feed, "all", old, kept, span(HOUR, timedelta(0)))
    await cover(store, feed, "to=x", old, kept)
    await expire(store, engine)
    assert [kept, span(HOUR, timedelta(0))] == await ledger(store, feed)
    assert [old, kept] == await ledger(store, feed, "to=x"), "a search that stands still keeps what it had read"


async def test_coverage_stays_while_it_can_be_owed(engine: StoreEngine) -> None:
    """However short fingerprints are kept, what was read within the API's history is not owed again."""
    engine.keep = Keep(fingerprints=HOUR)
    spans = [span(30 * DAY, 29 * DAY, Cover.GAP), span(27 * DAY, 20 * DAY, Cover.AGED), span(HOUR, timedelta(0))]
    async with engine.open() as store:
        feed = await store.feed("acme", FINDER)
        await cover(store, feed, "all", span(40 * DAY, 32 * DAY, Cover.AGED), *spans)
        await expire(store, engine)
        assert spans == await ledger(store, feed)


async def test_a_search_that_is_gone_expires_in_the_end(store: Store, engine: StoreEngine) -> None:
    """Coverage of a search that is read no more is kept for twice the time, and no longer."""
    feed = await store.feed("acme", FINDER)
    await cover(store, feed, "to=x", span(2 * HOUR, HOUR))
    engine.clock.advance((61 * DAY).total_seconds())
    await expire(store, engine)
    assert [span(2 * HOUR, HOUR)] == await ledger(store, feed, "to=x")
    engine.clock.advance((2 * DAY).total_seconds())
    await expire(store, engine)
    assert [] == list(await ledger(store, feed, "to=x"))


async def test_a_claim_of_the_future_expires_nothing_recent(store: Store, engine: StoreEngine) -> None:
    """A span far ahead, as a wrong clock writes it, does not make the others old."""
    feed = await store.feed("acme", FINDER)
    recent = span(2 * DAY, DAY)
    await cover(store, feed, "all", recent, span(-400 * DAY, -401 * DAY))
    await expire(store, engine)
    assert recent in await ledger(store, feed)
