"""The live feed: committed pages for whoever watches, bounded, and nothing twice."""

from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from datetime import timedelta

import msgspec
import pytest

from mcwatch.domain.errors import PermanentError, StoreUnavailable
from mcwatch.domain.event import EventKind
from mcwatch.domain.page import Feed
from mcwatch.domain.tailing import TailNote, TailRequest, Word
from mcwatch.pipeline.ingest import Ingest
from mcwatch.pipeline.tap import LeftOut, Piece, Tail, Tap
from tests.contract.store_kit import numbers_of
from tests.unit.pipeline.lab import Lab, page, row

FEED = Feed(1, 1, "acme", "message_finder")
LISTENING = TailNote(note=Word.LISTENING).line()


def _lines(count: int) -> bytes:
    return b'{"x":1}\n' * count


async def test_pages_come_in_order() -> None:
    """Each listener gets all of them."""
    tap = Tap()
    with tap.listening(TailRequest()) as one, tap.listening(TailRequest()) as two:
        tap.put(FEED, 0, _lines(1))
        tap.put(FEED, 1, _lines(2))
        for listener in (one, two):
            assert Piece(1, 0, _lines(1)) == await listener.take()
            assert Piece(1, 1, _lines(2)) == await listener.take()


async def test_a_reader_that_takes_nothing_costs_no_memory() -> None:
    """What does not fit is counted; once it has taken what was held, it learns how much it has missed, once."""
    tap = Tap(held_bytes=5 * 8)
    with tap.listening(TailRequest()) as listener:
        for number in range(1000):
            tap.put(FEED, number * 2, _lines(2))
        assert 32 == listener._held_bytes
        tap.put(FEED, 2000, _lines(1))
        taken = [await listener.take() for _ in range(3)]
        tap.put(FEED, 2001, _lines(2))
        taken.append(await listener.take())
    assert [Piece(1, 0, _lines(2)), Piece(1, 2, _lines(2)), LeftOut(998 * 2 + 1), Piece(1, 2001, _lines(2))] == taken


async def test_a_page_larger_than_all_room_comes_alone() -> None:
    """Else it could never be shown."""
    tap = Tap(held_bytes=8)
    with tap.listening(TailRequest()) as listener:
        tap.put(FEED, 0, _lines(100))
        assert Piece(1, 0, _lines(100)) == await listener.take()


async def test_accounts_nobody_asked_for_take_no_room() -> None:
    """They are left to the others."""
    tap = Tap()
    with tap.listening(TailRequest(accounts=["other*"])) as listener:
        tap.put(FEED, 0, _lines(1))
        tap.put(Feed(2, 2, "other-1", "message_finder"), 0, _lines(3))
        assert Piece(2, 0, _lines(3)) == await listener.take()


def test_there_is_an_end_to_listeners() -> None:
    """One too many is refused, and one that leaves makes room."""
    tap = Tap(most_listeners=2)
    with ExitStack() as stack:
        stack.enter_context(tap.listening(TailRequest()))
        with tap.listening(TailRequest()), pytest.raises(PermanentError, match="2 terminals watch"):
            stack.enter_context(tap.listening(TailRequest()))
        stack.enter_context(tap.listening(TailRequest()))


async def _next(stream: AsyncGenerator[bytes, None]) -> list[str]:
    return [msgspec.json.decode(line)["message"]["subject"] for line in (await anext(stream)).splitlines()]


async def _full(_feed: Feed, _work: object) -> None:
    raise StoreUnavailable("the disk is full")


async def test_what_an_ingest_commits_is_seen(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment of listening on, by the filters, and only what was committed."""
    tap = Tap()
    ingest = Ingest(lab.feed, lab.store, lab.cache, clock=lab.clock, metrics=lab.metrics, tap=tap)
    await ingest.commit(page([row(1)]))
    async with aclosing(Tail(tap, lab.store).follow(TailRequest(statuses=["held"]))) as stream:
        assert LISTENING == await anext(stream)
        await ingest.commit(page([row(2), row(3, "held")]))
        await ingest.commit(page([row(2), row(3, "held")]))
        monkeypatch.setattr(lab.store, "commit_page", _full)
        with pytest.raises(StoreUnavailable):
            await ingest.commit(page([row(4, "held")]))
        monkeypatch.undo()
        await ingest.commit(page([row(5, "held")]))
        assert [["subject 3"], ["subject 5"]] == [await _next(stream), await _next(stream)]
    assert not tap._listeners


async def test_the_past_comes_first_and_nothing_twice(lab: Lab) -> None:
    """Events recorded since the moment asked for, then those committed while they were read, each once."""
    tap = Tap()
    ingest = Ingest(lab.feed, lab.store, lab.cache, clock=lab.clock, metrics=lab.metrics, tap=tap)
    await ingest.commit(page([row(1)]))
    await lab.clock.sleep(600.0)
    since = lab.clock.now() - timedelta(seconds=300)
    await ingest.commit(page([row(2)]))
    async with aclosing(Tail(tap, lab.store).follow(TailRequest(since=since))) as stream:
        assert LISTENING == await anext(stream)
        await ingest.commit(page([row(3)]))
        assert [["subject 2"], ["subject 3"]] == [await _next(stream), await _next(stream)]
        await ingest.commit(page([row(4)]))
        assert ["subject 4"] == await _next(stream)


async def test_the_past_of_other_accounts_is_not_read(lab: Lab) -> None:
    """One look tells whose it is."""
    other = await lab.account("other")
    await lab.append(range(3))
    await lab.append(range(5, 7), other)
    request = TailRequest(since=lab.clock.now() - timedelta(days=1), accounts=["other"])
    async with aclosing(Tail(Tap(), lab.store).follow(request)) as stream:
        await anext(stream)
        assert [5, 6] == numbers_of((await anext(stream)).splitlines())


async def test_what_was_left_out_is_said(lab: Lab) -> None:
    """As a number at most where a filter might not have let all of it pass."""
    for request, at_most in ((TailRequest(), False), (TailRequest(kinds=[EventKind.SEEN]), True)):
        tap = Tap(held_bytes=8)
        async with aclosing(Tail(tap, lab.store).follow(request)) as stream:
            await anext(stream)
            line = b'{"kind":"message.seen","account":"acme","source":"s","message":{}}\n'
            tap.put(FEED, 0, line)
            tap.put(FEED, 1, line * 7)
            assert line == await anext(stream)
            assert TailNote(note=Word.LEFT_OUT, events=7, at_most=at_most).line() == await anext(stream)
