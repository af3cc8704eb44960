"""What the delivering half asks of a store: receipts, standings, skips, dead letters looked at again."""

import hashlib
from datetime import timedelta

import pytest

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.errors import FailureReason
from mcwatch.domain.outbox import LetterChoice, Progress, Receipt, Released, Settlement, Standing
from mcwatch.domain.page import Feed
from mcwatch.domain.record import Unreadable
from mcwatch.interfaces import Store
from tests.contract.store_kit import (
    FINDER,
    StoreEngine,
    append_numbers,
    assert_identities,
    figures_of,
    numbers_of,
    rejected,
    settle_delivered,
)

pytestmark = pytest.mark.timeout(10)


async def _hook(store: Store, engine: StoreEngine, events: int = 10) -> Feed:
    feed = await store.feed("acme", FINDER)
    await store.enrol({"hook": False})
    await append_numbers(store, engine, feed, range(events))
    return feed


def _receipt(engine: StoreEngine, account: int, start: int, end: int, token: bytes = b"t") -> Receipt:
    return Receipt(account, start, end, end - start, token, engine.clock.now())


async def test_receipts_survive_a_restart(engine: StoreEngine) -> None:
    """What was handed over is told by account and offset, whole, with the moment, to a later process too."""
    async with engine.open() as store:
        feed = await _hook(store, engine)
        corp = await store.feed("corp", FINDER)
        handed = [
            _receipt(engine, corp.account_id, 0, 2, b"\x00\xff"),
            Receipt(feed.account_id, 5, 9, 1, b"", engine.clock.now()),
            _receipt(engine, feed.account_id, 0, 5),
        ]
        await store.settle(Settlement("hook", [], (), handed))
        assert 0 == (await store.positions("hook"))[feed.account_id]
    async with engine.open() as store:
        assert [handed[2], handed[1], handed[0]] == await store.receipts("hook")
        assert [] == await store.receipts("other")


async def test_receipts_go_with_the_position(store: Store, engine: StoreEngine) -> None:
    """A position that passes the beginning of what was handed over has no need of the receipt any more."""
    feed = await _hook(store, engine)
    handed = [_receipt(engine, feed.account_id, start, start + 2) for start in (0, 2, 4)]
    await store.settle(Settlement("hook", [], (), handed))
    await settle_delivered(store, "hook", feed.account_id, 2)
    assert [2, 4] == [one.start for one in await store.receipts("hook")]
    await settle_delivered(store, "hook", feed.account_id, 3)
    assert [4] == [one.start for one in await store.receipts("hook")]


async def test_receipt_is_replaced_by_that_of_the_next_sending(store: Store, engine: StoreEngine) -> None:
    """The same events sent again have the new receipt."""
    feed = await _hook(store, engine)
    for token, end in ((b"old", 4), (b"new", 6)):
        await store.settle(Settlement("hook", [], (), [_receipt(engine, feed.account_id, 0, end, token)]))
    (kept,) = await store.receipts("hook")
    assert (b"new", 6) == (kept.token, kept.end)


async def test_receipt_of_one_destination_is_no_other_s(store: Store, engine: StoreEngine) -> None:
    """Each destination has its own, and its position moves no other's."""
    feed = await _hook(store, engine)
    await store.enrol({"hook": False, "other": False})
    for name in ("hook", "other"):
        await store.settle(Settlement(name, [], (), [_receipt(engine, feed.account_id, 0, 3, name.encode())]))
    await settle_delivered(store, "hook", feed.account_id, 3)
    assert ([], [b"other"]) == (
        await store.receipts("hook"),
        [one.token for one in await store.receipts("other")],
    )


async def test_channel_stays(engine: StoreEngine) -> None:
    """A destination is known by one channel across restarts, each by its own, also after it was gone for a while."""
    async with engine.open() as store:
        await store.enrol({"hook": False, "other": False})
        channel = await store.channel("hook")
        assert channel != await store.channel("other")
    async with engine.open() as store:
        await store.enrol({"other": False})
        await store.enrol({"hook": False, "other": False})
        assert channel == await store.channel("hook")


async def test_standings(store: Store, engine: StoreEngine) -> None:
    """Each account's name, oldest offset kept, position and head, by name; nothing for a stranger."""
    feed = await _hook(store, engine)
    corp = await store.feed("Corp", FINDER)
    await settle_delivered(store, "hook", feed.account_id, 4)
    assert [
        Standing(corp.account_id, "Corp", 0, 0, 0),
        Standing(feed.account_id, "acme", 0, 4, 10),
    ] == await store.standings("hook")
    assert [] == await store.standings("stranger")


async def test_standings_know_what_is_not_kept_any_more(store: Store, engine: StoreEngine) -> None:
    """The oldest offset moves with expiry, up to the head when nothing is left."""
    feed = await _hook(store, engine, 4)
    await settle_delivered(store, "hook", feed.account_id, 4)
    engine.clock.advance(20 * 3600)
    await append_numbers(store, engine, feed, range(4, 6))
    await settle_delivered(store, "hook", feed.account_id, 6)
    engine.clock.advance(5 * 3600)
    await store.expire(engine.clock.now())
    assert [Standing(feed.account_id, "acme", 4, 6, 6)] == await store.standings("hook")
    engine.clock.advance(40 * 3600)
    await store.expire(engine.clock.now())
    assert [Standing(feed.account_id, "acme", 6, 6, 6)] == await store.standings("hook")


async def test_offset_at_a_moment(store: Store, engine: StoreEngine) -> None:
    """The first event recorded then or later; None when there is none, or no such account."""
    feed = await _hook(store, engine, 3)
    began = engine.clock.now()
    engine.clock.advance(60)
    await append_numbers(store, engine, feed, range(3, 5))
    moments = [timedelta(seconds=secs) for secs in (-1, 0, 1, 60)]
    assert [0, 0, 3, 3] == [await store.offset_at(feed.account_id, began + moment) for moment in moments]
    assert await store.offset_at(feed.account_id, began + timedelta(seconds=61)) is None
    assert await store.offset_at(feed.account_id + 99, began) is None


async def test_offset_before_a_moment(store: Store, engine: StoreEngine) -> None:
    """Behind the last event recorded earlier, also behind one that a clock ahead has stamped later; None without."""
    feed = await _hook(store, engine, 3)
    began = engine.clock.now()
    engine.clock.jump(86400)
    await append_numbers(store, engine, feed, range(3, 4))
    engine.clock.jump(-86400)
    engine.clock.advance(60)
    await append_numbers(store, engine, feed, range(4, 6))
    moments = [timedelta(seconds=secs) for secs in (1, 60, 61, 86401)]
    assert [3, 3, 6, 6] == [await store.offset_before(feed.account_id, began + moment) for moment in moments]
    assert await store.offset_before(feed.account_id, began) is None


async def test_backlog_of_one_destination(store: Store, engine: StoreEngine) -> None:
    """What one destination has not passed, a page begun included, whatever the others have."""
    feed = await _hook(store, engine, 5)
    await store.enrol({"hook": False, "other": False})
    await append_numbers(store, engine, feed, range(5, 9))
    whole = await store.backlog_bytes()
    assert whole == await store.backlog_of("hook") == await store.backlog_of("other") > 0
    await settle_delivered(store, "hook", feed.account_id, 4)
    assert whole == await store.backlog_of("hook")
    await settle_delivered(store, "hook", feed.account_id, 5)
    assert 0 < await store.backlog_of("hook") < whole
    await settle_delivered(store, "hook", feed.account_id, 9)
    assert (0, whole) == (await store.backlog_of("hook"), await store.backlog_of("other"))
    assert 0 == await store.backlog_of("stranger")


async def test_skipped_events_are_counted(store: Store, engine: StoreEngine) -> None:
    """What is passed over counts as skipped; nothing waits any more and the identities hold."""
    feed = await _hook(store, engine)
    await settle_delivered(store, "hook", feed.account_id, 3)
    await store.settle(Settlement("hook", [Progress(feed.account_id, 10, 0, 0, 7)]))
    snapshot = await store.snapshot()
    assert_identities(snapshot)
    figures = figures_of(snapshot, "hook")
    assert (10, 3, 7, 0) == (figures.offered, figures.delivered, figures.skipped, figures.waiting)


async def test_skipped_ranges_are_told(store: Store, engine: StoreEngine) -> None:
    """When what was passed over had been recorded, newest first and ten at most: enough to have it replayed."""
    feed = await _hook(store, engine, 3)
    began = engine.clock.now()
    engine.clock.advance(60)
    await store.settle(Settlement("hook", [Progress(feed.account_id, 3, 0, 0, 3)]))
    [first] = figures_of(await store.snapshot(), "hook").skipped_ranges
    assert (began, 3) == (first.start, first.events)
    await append_numbers(store, engine, feed, range(3, 4))
    for end in range(4, 15):
        engine.clock.advance(60)
        await store.settle(Settlement("hook", [Progress(feed.account_id, end, 0, 0, 1)]))
        await append_numbers(store, engine, feed, range(end, end + 1))
    offsets = await store.offset_at(feed.account_id, first.start), await store.offset_before(feed.account_id, first.end)
    assert (0, 4) == offsets  # with what was recorded in the same moment
    ranges = figures_of(await store.snapshot(), "hook").skipped_ranges
    assert [(began + timedelta(minutes=at), 1) for at in range(11, 1, -1)] == [
        (one.start, one.events) for one in ranges
    ]


async def test_forgetting_a_destination(store: Store, engine: StoreEngine) -> None:
    """It is released at once with its receipts, once; its dead letters stay, and nobody's backlog is kept for it."""
    feed = await _hook(store, engine)
    settlement = Settlement(
        "hook",
        [Progress(feed.account_id, 2, 1, 0)],
        [rejected(feed.account_id, 1)],
        [_receipt(engine, feed.account_id, 2, 5)],
    )
    await store.settle(settlement)
    await store.enrol({"other": True})
    assert ["hook", "other"] == await store.destinations()
    assert Released("hook", 8, 1) == await store.forget("hook")
    assert ["other"] == await store.destinations()
    assert await store.forget("hook") is None
    assert await store.forget("stranger") is None
    assert [] == await store.receipts("hook")
    assert 0 == await store.backlog_bytes()
    assert ["hook"] == [one.destination for one in await store.dead_letters(None, 10)]


async def _letters(store: Store, engine: StoreEngine) -> Feed:
    """Keep five dead letters of hook, 1 to 5, and an unreadable row, 6."""
    feed = await _hook(store, engine)
    letters = [rejected(feed.account_id, number) for number in range(5)]
    await store.settle(Settlement("hook", [Progress(feed.account_id, 5, 0, 0)], letters))
    await store.commit_page(feed, lambda page: page.quarantine([Unreadable(b"\xffraw", "why")], engine.clock.now()))
    return feed


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (LetterChoice(), [1, 2, 3, 4, 5, 6]),
        (LetterChoice(destination="hook"), [1, 2, 3, 4, 5]),
        (LetterChoice(destination=""), [6]),
        (LetterChoice(destination="stranger"), []),
        (LetterChoice((5, 2, 99)), [2, 5]),
        (LetterChoice((6, 2), "hook"), [2]),
    ],
)
async def test_letters_that_are_meant(
    store: Store, engine: StoreEngine, choice: LetterChoice, expected: list[int]
) -> None:
    """Chosen by number, by destination, both or neither, oldest first; as many as asked for behind a number."""
    await _letters(store, engine)
    assert expected == [one.letter.id for one in await store.letters(choice, 0, 100)]
    assert expected[:2] == [one.letter.id for one in await store.letters(choice, 0, 2)]
    assert [one for one in expected if one > 2] == [one.letter.id for one in await store.letters(choice, 2, 100)]


async def test_letters_come_with_what_they_hold(store: Store, engine: StoreEngine) -> None:
    """The native event of a refused one, the bytes of a row that could not be read."""
    await _letters(store, engine)
    kept = await store.letters(LetterChoice(), 0, 100)
    assert [0, 1, 2, 3, 4] == numbers_of([one.body for one in kept[:5]])
    assert b"\xffraw" == kept[5].body
    assert [len(one.body) for one in kept] == [one.letter.size for one in kept]


async def test_discarding(store: Store, engine: StoreEngine) -> None:
    """The chosen ones go, the oldest first and no more than asked for; what was ever refused stays counted."""
    await _letters(store, engine)
    assert 2 == await store.discard(LetterChoice(destination="hook"), 2)
    assert [3, 4, 5, 6] == [one.letter.id for one in await store.letters(LetterChoice(), 0, 100)]
    assert 1 == await store.discard(LetterChoice((1, 4)), 100)
    assert 3 - 1 == await store.dead_letter_count("hook")
    assert 1 == await store.discard(LetterChoice(destination=""), 100)
    snapshot = await store.snapshot()
    assert_identities(snapshot)
    assert {"refused": 5} == figures_of(snapshot, "hook").dead_lettered


async def test_what_was_sent_again(store: Store, engine: StoreEngine) -> None:
    """Delivered ones are dead letters no more, the others have the newest word; no figure of delivery moves."""
    await _letters(store, engine)
    before = figures_of(await store.snapshot(), "hook")
    await store.retried([1, 3], {2: Refusal(FailureReason.TOO_LARGE, "still no")})
    letters = {one.letter.id: one.letter for one in await store.letters(LetterChoice(destination="hook"), 0, 100)}
    assert [2, 4, 5] == sorted(letters)
    assert ("too_large", "still no") == (letters[2].reason, letters[2].detail)
    assert ("refused", "the receiver's words") == (letters[4].reason, letters[4].detail)
    after = figures_of(await store.snapshot(), "hook")
    assert (before.delivered, before.dead_lettered, 3) == (after.delivered, after.dead_lettered, after.dead_letters)


async def test_a_number_is_never_used_twice(store: Store, engine: StoreEngine) -> None:
    """A dead letter that comes later has a number of its own, whatever was removed."""
    feed = await _letters(store, engine)
    await store.discard(LetterChoice(), 100)
    await store.settle(Settlement("hook", [Progress(feed.account_id, 6, 0, 0)], [rejected(feed.account_id, 5)]))
    assert [7] == [one.letter.id for one in await store.letters(LetterChoice(), 0, 100)]


async def test_letters_of_one_destination_are_counted(store: Store, engine: StoreEngine) -> None:
    """Neither unreadable rows nor others' letters count; a stranger has none."""
    await _letters(store, engine)
    assert (5, 0) == (await store.dead_letter_count("hook"), await store.dead_letter_count("stranger"))


async def _quarantine(store: Store, engine: StoreEngine, feed: Feed, *rows: bytes) -> None:
    unreadable = [Unreadable(row, "why") for row in rows]
    await store.commit_page(feed, lambda page: page.quarantine(unreadable, engine.clock.now()))


async def test_unreadable_rows_beyond_the_limit_keep_reason_and_digest(engine: StoreEngine) -> None:
    """Of an account with its limit of them no bytes are kept any more; other accounts' rows are kept whole."""
    engine.most_letters = 3
    async with engine.open() as store:
        feed, corp = await store.feed("acme", FINDER), await store.feed("corp", FINDER)
        await _quarantine(store, engine, feed, b"one-0", b"one-1")
        await _quarantine(store, engine, feed, b"two-0", b"two-1")
        await _quarantine(store, engine, corp, b"x")
        kept = await store.letters(LetterChoice(), 0, 100)
    assert [b"one-0", b"one-1", b"two-0", b"", b"x"] == [one.body for one in kept]
    assert hashlib.sha256(b"two-1").hexdigest() in kept[3].letter.detail
    assert kept[3].letter.detail.startswith("why")
