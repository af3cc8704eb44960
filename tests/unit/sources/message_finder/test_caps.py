"""Answers cut short without a word, too large ones, and lists that move while they are paged."""

from collections.abc import Sequence
from dataclasses import replace

from mcwatch.domain.page import FeedProgress, FinderPage
from mcwatch.domain.window.coverage import Cover
from mcwatch.domain.window.ranges import Window, merged
from mcwatch.simulator import Shape
from mcwatch.sources import SourceContext
from mcwatch.sources.message_finder import MessageFinderConfig
from tests.fakes.clock import START
from tests.unit.mimecast.api import OAUTH2, Reply, scripted
from tests.unit.sources.message_finder.finders import (
    HOUR,
    MINUTE,
    QUIET,
    SECOND,
    add,
    covered,
    owed,
    read_some,
    subjects,
)
from tests.unit.sources.world import World, world

CAPPED = replace(QUIET, finder=Shape(pagination="absent", page_cap=37))


def a_mail_a_minute(simulated: World) -> set[str]:
    """Let four hours have had a mail each minute; return their subjects."""
    for number in range(240):
        simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=60 * number + 30)
    return {f"mail {number}" for number in range(240)}


async def test_a_cap_that_nobody_names_is_found_out_by_its_repetition() -> None:
    """A server that clamps to 37 rows is found out at its third such answer, and the first two are asked for again."""
    async with world(CAPPED) as simulated:
        wanted = a_mail_a_minute(simulated)
        found = subjects(await simulated.read(simulated.finder(initial_look_back="4h", max_window="1h")))
        assert [Window(START - 4 * HOUR, START)] == covered(simulated)
        assert not simulated.metric("finder_incomplete_windows_total")
    assert wanted == set(found)


async def test_windows_believed_before_become_missing() -> None:
    """The page that finds the cap out takes two hours that were claimed back; a stop then leaves them owed."""
    async with world(CAPPED) as simulated:
        wanted, source, found = a_mail_a_minute(simulated), None, list[str | None]()
        source = simulated.finder(initial_look_back="4h", max_window="1h")
        polling = source.poll(simulated.progress)
        async for page in polling:
            simulated.commit(page)
            found += subjects([page])
            if any(span.cover is Cover.UNREAD for spans in page.covered.values() for span in spans):
                break
        await polling.aclose()  # type: ignore[attr-defined]  # a generator
        assert 2 * HOUR <= sum((one.length for one in owed(simulated, 4 * HOUR)[:1]), 0 * HOUR)
        assert set(found) < wanted
        async with simulated.restarted() as again:
            found += subjects(await again.read(again.finder(initial_look_back="4h", max_window="1h")))
    assert wanted == set(found)


async def test_a_page_that_takes_claims_back_and_is_lost_is_brought_again() -> None:
    """When the commit of such a page fails, the next poll takes the same claims back."""
    async with world(CAPPED) as simulated:
        wanted, found = a_mail_a_minute(simulated), list[str | None]()
        source = simulated.finder(initial_look_back="4h", max_window="1h")
        polling = source.poll(simulated.progress)
        async for page in polling:
            if any(span.cover is Cover.UNREAD for spans in page.covered.values() for span in spans):
                break
            simulated.commit(page)
            found += subjects([page])
        await polling.aclose()  # type: ignore[attr-defined]  # a generator
        for _ in range(3):
            found += subjects(await simulated.read(source))
        assert [] == owed(simulated, 4 * HOUR)
    assert wanted == set(found)


async def test_a_cap_below_the_page_size_is_found_out() -> None:
    """A server that clamps to 100 rows without a word is found out by the round number."""
    async with world(replace(QUIET, finder=Shape(pagination="absent", page_cap=100))) as simulated:
        wanted = add(simulated, 130)
        assert wanted == set(subjects(await simulated.read(simulated.finder())))
        assert [] == owed(simulated, HOUR)


async def test_answers_too_large_are_asked_for_in_parts() -> None:
    """A window whose answer weighs more than is read is halved until it does not, and nothing is left out."""
    async with world(max_answer="40KiB") as simulated:
        wanted = add(simulated, 300)
        found = subjects(await simulated.read(simulated.finder()))
        assert [Window(START - HOUR, START)] == covered(simulated)
        assert 2.0 <= (simulated.metric("finder_window_splits_total") or 0.0)
    assert wanted == set(found)


async def test_a_second_too_large_is_incomplete() -> None:
    """A second whose answer weighs more than is read is recorded as incomplete, and reading goes on."""
    async with world(max_answer="40KiB") as simulated:
        simulated.simulator.add_mail(count=120, received_ago_secs=30)
        wanted = add(simulated, 3)
        found = subjects(await simulated.read(simulated.finder()))
        incomplete = covered(simulated, Cover.INCOMPLETE)
        assert [] == [one for one in owed(simulated, HOUR) if one not in incomplete]
        assert incomplete[0].start <= START - 30 * SECOND < incomplete[-1].end
    assert wanted <= set(found)


def reply(names: Sequence[str], token: str | None = None, *, total: int | None = None) -> Reply:
    """Return an answer of the finder with rows of these ids."""
    rows = [{"id": name} for name in names]
    pagination = {"next": token, "totalCount": total}
    return Reply(body={"meta": {"status": 200, "pagination": pagination}, "data": [{"trackedEmails": rows}]})


async def one_window(*replies: Reply, **options: object) -> tuple[list[FinderPage], int]:
    """Read eight minutes of a finder that is answered so; return its pages and how many answers were asked for."""
    async with scripted(OAUTH2, max_requests_per_minute=1_000_000) as (api, client):
        api.replies += replies
        given = {"type": "message_finder", "initial_look_back": "1m", "rescans": []}
        config = MessageFinderConfig.model_validate(given | options)
        source = config.build(SourceContext("acme", client, api.clock, api.metrics))
        pages = [page async for page in source.poll(FeedProgress())]
        return [page for page in pages if not page.cursors], len(api.paths("/api/"))


def names(pages: Sequence[FinderPage]) -> list[list[str | None]]:
    """Return the ids of the rows of each page."""
    return [[row.id for row in page.rows] for page in pages]


def read(pages: Sequence[FinderPage]) -> list[Window]:
    """Return what the pages claim."""
    return merged(span.window for page in pages for span in page.covered.get("all", ()) if span.cover is Cover.READ)


ALL = [Window(START - 8 * MINUTE, START)]


async def test_a_list_that_grows_between_pages_is_begun_again_once() -> None:
    """When the number of rows changes from one page to the next, the window is read from its first page again."""
    pages, asked = await one_window(
        reply(["a"], "t", total=2), reply(["b"], total=3), reply(["c"], "t", total=3), reply(["a", "b"], total=3)
    )
    assert ([["a"], ["b"], ["c"], ["a", "b"]], 4, ALL) == (names(pages), asked, read(pages))


async def test_a_list_that_goes_on_moving_is_halved() -> None:
    """When it changes again, nothing is claimed, and the halves are asked for."""
    moving = [reply(["a"], "t", total=2), reply(["b"], total=3)]
    pages, asked = await one_window(
        *moving, reply(["c"], "t", total=4), reply(["b"], total=5), reply(["a"], total=1), reply(["b"], total=1)
    )
    assert ([["a"], ["b"], ["c"], ["b"], ["a"], ["b"]], 6) == (names(pages), asked)
    assert [False, False, False, False, True, True] == [bool(page.covered) for page in pages]
    assert ALL == read(pages)


async def test_totals_of_the_page_do_not_look_like_a_moving_list() -> None:
    """A server that counts the rows of each page is read to its last page, once."""
    pages, asked = await one_window(
        reply(["a", "b"], "t", total=2), reply(["c", "d"], "u", total=2), reply(["e"], total=1)
    )
    assert ([["a", "b"], ["c", "d"], ["e"]], 3, ALL) == (names(pages), asked, read(pages))


async def test_a_total_that_shrinks_counts_as_moved() -> None:
    """Rows that leave between two pages pull others forward: that pass is not believed either."""
    pages, asked = await one_window(
        reply(["a"], "t", total=3), reply(["c"], total=2), reply(["a"], "t", total=2), reply(["c"], total=2)
    )
    assert (4, ALL, False) == (asked, read(pages), bool(pages[0].covered))


async def test_a_total_that_means_nothing_starves_nobody() -> None:
    """A server that names one number for every window is found out; its windows are read, not halved for ever."""
    answers = [reply(["a"], total=900)] * 300
    pages, asked = await one_window(*answers, initial_look_back="6h", max_window="1h")
    assert asked < 60
    assert [Window(START - 6 * HOUR, START)] == read(pages)


async def test_an_empty_first_page_narrows_nothing_for_good() -> None:
    """An empty page before the rows costs a few narrower windows at most."""
    async with scripted(OAUTH2, max_requests_per_minute=1_000_000) as (api, client):
        api.replies += [reply([], "t"), reply(["a"])]
        given = {"type": "message_finder", "initial_look_back": "12h", "rescans": [], "interval": "10m"}
        source = MessageFinderConfig.model_validate(given).build(SourceContext("acme", client, api.clock, api.metrics))
        pages = [page async for page in source.poll(FeedProgress())]
        assert len(api.paths("/api/")) < 40
    assert [Window(START - 12 * HOUR, START)] == read(pages)


async def test_reading_goes_on_after_a_stop_in_halves() -> None:
    """A poll that ended between two halves goes on with the other one."""
    async with world(replace(QUIET, finder=Shape(total_count=False, next_token=False, page_cap=10))) as simulated:
        wanted, found = add(simulated, 25), list[str | None]()
        source = simulated.finder(page_size=10, overlap="0s")
        for _ in range(60):
            found += subjects(await read_some(simulated, source, 3))
        assert wanted == set(found)


async def test_what_was_learnt_of_a_cap_outlives_a_restart() -> None:
    """Two answers believed before a stop are asked for again when the third comes after it."""
    async with world(CAPPED) as simulated:
        wanted, found = a_mail_a_minute(simulated), list[str | None]()
        polling = simulated.finder(initial_look_back="4h", max_window="1h").poll(simulated.progress)
        async for page in polling:
            simulated.commit(page)
            found += subjects([page])
            if covered(simulated)[:1] and covered(simulated)[0].length == 2 * HOUR:
                break
        await polling.aclose()  # type: ignore[attr-defined]  # a generator
        assert 2 * HOUR == covered(simulated)[0].length
        async with simulated.restarted() as again:
            found += subjects(await again.read(again.finder(initial_look_back="4h", max_window="1h")))
            assert [Window(START - 4 * HOUR, START)] == covered(again)
    assert wanted == set(found)
