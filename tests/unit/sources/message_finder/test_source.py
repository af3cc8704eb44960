"""The message finder against the simulator: which windows are asked for, and what counts as read."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest

from mcwatch.domain.errors import PermanentError, TransientError
from mcwatch.domain.page import FinderPage
from mcwatch.domain.window.coverage import Cover
from mcwatch.domain.window.ranges import Window
from mcwatch.mimecast.errors import FilterRequired
from mcwatch.simulator import Fault, FinderRules, Shape
from mcwatch.simulator.config import PaginationStyle
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import (
    HOUR,
    MINUTE,
    QUIET,
    SECOND,
    add,
    covered,
    ends,
    owed,
    read_some,
    stopped,
    subjects,
)
from tests.unit.sources.world import world


async def test_first_poll() -> None:
    """The first poll asks for the newest minutes, then for all before them in steps, oldest first."""
    async with world() as simulated:
        await simulated.read(simulated.finder(initial_look_back="5h", max_window="2h", search_reason="why"))
        asked = simulated.client.asked[0]
        windows = simulated.windows()
        assert [Window(START - 5 * HOUR, START)] == covered(simulated)
    assert ({"to": "corp.example"}, "why") == (asked["advancedTrackAndTraceOptions"], asked["searchReason"])
    assert (START - 8 * MINUTE, START) == windows[0]
    steps = [START - 5 * HOUR, START - 3 * HOUR, START - HOUR, START - 8 * MINUTE]
    assert list(pairwise(steps)) == windows[1:]


async def test_later_polls_overlap() -> None:
    """The next poll looks back by the overlap from where the last one ended, and coverage goes on from there."""
    async with world() as simulated:
        source = simulated.finder(overlap="5m")
        await simulated.read(source)
        simulated.windows()
        simulated.clock.advance(60.0)
        pages = await simulated.read(source)
        assert [(START - 5 * MINUTE, START + MINUTE)] == simulated.windows()
    assert [START + MINUTE] == ends(pages)
    assert START + MINUTE == source.reading().covered_until


async def test_reading_again_takes_no_claim_back() -> None:
    """Windows that an overlap reads again leave what is covered as it is."""
    async with world() as simulated:
        stopped(simulated, MINUTE)
        before = covered(simulated)
        polling = (source := simulated.finder(overlap="25m", max_window="10m")).poll(simulated.progress)
        async for page in polling:
            simulated.commit(page)
            assert all(window.start == START - HOUR - MINUTE for window in covered(simulated))
        assert [Window(before[0].start, START)] == covered(simulated)
    assert START == source.reading().covered_until


async def test_an_ordinary_page_takes_the_fast_path() -> None:
    """Rows as documented are decoded at once, and come with all they said."""
    async with world() as simulated:
        wanted = add(simulated, 3, spam_score=6, detection_level="relaxed", header_from="news@news.example")
        pages = await simulated.read(simulated.finder())
        assert all(answer.items is not None for answer in simulated.client.answers)
    assert wanted == set(subjects(pages))
    row = next(row for page in pages for row in page.rows)
    assert (6, "relaxed", "inbound", msgspec.UNSET) == (row.spam_score, row.detection_level, row.route, row.extra)
    assert START - timedelta(seconds=1) == row.received_at
    assert row.to is not None
    assert ["amy.adams@corp.example"] == [entry.address for entry in row.to]


@pytest.mark.parametrize("oddity", ["numbers_as_text", "to_as_object", "other_keys", "nulls", "unknown_keys", "floats"])
async def test_odd_rows_are_read(oddity: str) -> None:
    """Every unusual spelling the simulator knows is read, and its ordinary neighbour with it."""
    async with world() as simulated:
        add(simulated, 1)
        simulated.simulator.add_mail(subject="odd", oddity=oddity, received_ago_secs=9)
        pages = await simulated.read(simulated.finder())
    assert ["mail 0", None if oddity == "nulls" else "odd"] == subjects(pages)
    assert 0 == sum(len(page.unreadable) for page in pages)


async def test_a_cap_below_the_page_size_is_found_out() -> None:
    """A server that clamps to 100 rows without a word is found out by the round number."""
    shape = Shape(pagination="absent", page_cap=100)
    async with world(replace(QUIET, finder=shape)) as simulated:
        wanted = add(simulated, 130)
        assert wanted == set(subjects(await simulated.read(simulated.finder())))


async def test_fewer_rows_than_told_are_halved() -> None:
    """An answer that tells of more rows than it shows is cut, though its page is not full."""
    shape = Shape(total_count=True, next_token=False, page_cap=7)
    async with world(replace(QUIET, finder=shape)) as simulated:
        wanted = add(simulated, 9)
        assert wanted == set(subjects(await simulated.read(simulated.finder())))
        assert simulated.metric("finder_window_splits_total")


async def test_rows_that_cannot_be_read() -> None:
    """Junk among the rows is handed on as unreadable; its neighbours are read and the cursor moves."""
    async with world() as simulated:
        wanted = add(simulated, 4)
        simulated.simulator.script(Fault("odd_rows"))
        pages = await simulated.read(simulated.finder())
    assert wanted == set(subjects(pages))
    assert [Window(START - HOUR, START)] == covered(simulated)
    assert 6 == sum(len(page.unreadable) for page in pages)


def unreadable(pages: list[FinderPage]) -> int:
    """Return how many rows could not be read."""
    return sum(len(page.unreadable) for page in pages)


async def test_spoilt_rows_are_read_as_far_as_they_go() -> None:
    """Wrong types and invalid UTF-8 cost a row its spoilt fields, not its neighbours."""
    async with world() as simulated:
        wanted = add(simulated, 2)
        simulated.simulator.script(Fault("wrong_types"))
        first = await simulated.read(simulated.finder())
        simulated.simulator.script(Fault("invalid_utf8"))
        second = await simulated.read(simulated.finder())
    assert (1, 0) == (unreadable(first), unreadable(second))
    assert wanted < set(subjects(first))
    assert {*wanted, "Gr\ufffd\ufffde \ufffd"} == set(subjects(second))


async def test_a_tenant_that_demands_a_filter() -> None:
    """The plain window is asked where nothing is configured; refused, it says what to do."""
    async with world() as simulated:
        with pytest.raises(FilterRequired) as caught:
            await simulated.read(simulated.finder(searches=[]))
        assert "advancedTrackAndTraceOptions" not in simulated.client.asked[0]
        assert "domains" in caught.value.remedy


async def test_a_tenant_that_answers_the_plain_window() -> None:
    """Where no filter is needed, one search reads everything."""
    async with world(replace(QUIET, rules=FinderRules(plain_window=True))) as simulated:
        wanted = add(simulated, 2)
        pages = await simulated.read(simulated.finder(searches=[]))
        assert [Window(START - HOUR, START)] == covered(simulated, name="all")
    assert wanted == set(subjects(pages))


async def test_coverage_moves_with_the_last_page_of_a_window() -> None:
    """Next pages are followed; none but the last one brings coverage."""
    async with world() as simulated:
        wanted = add(simulated, 25)
        pages = await simulated.read(simulated.finder(page_size=10, initial_look_back="5m"))
        assert [Window(START - 8 * MINUTE, START)] == covered(simulated)
    assert [None, None, START] == ends(pages)
    assert [10, 10, 5] == [len(page.rows) for page in pages if page.rows]
    assert wanted == set(subjects(pages))


async def test_a_poll_left_between_pages_claims_nothing() -> None:
    """What was committed before the last page of a window was is kept, and the window is asked for from its start."""
    async with world() as simulated:
        wanted = add(simulated, 25)
        source = simulated.finder(page_size=10, initial_look_back="5m")
        found = await read_some(simulated, source, 3)
        assert (20, []) == (len(subjects(found)), covered(simulated))
        simulated.windows()
        found = await simulated.read(source)
        assert (START - 8 * MINUTE, START) == simulated.windows()[0]
        assert [Window(START - 8 * MINUTE, START)] == covered(simulated)
    assert wanted == set(subjects(found))


async def test_a_commit_that_fails_claims_nothing() -> None:
    """A last page that was not committed is read again at the next poll."""
    async with world() as simulated:
        wanted = add(simulated, 3)
        source = simulated.finder(initial_look_back="5m")
        await read_some(simulated, source, 1)
        polling = source.poll(simulated.progress)
        page = await anext(polling)
        assert page.covered
        await polling.aclose()  # type: ignore[attr-defined]  # a generator
        assert START > (source.reading().covered_until or START)
        simulated.windows()
        assert wanted == set(subjects(await simulated.read(source)))
        assert [(START - 8 * MINUTE, START)] == simulated.windows()


@pytest.mark.parametrize("pagination", ["full", "absent", "zero"])
@pytest.mark.parametrize("empty", ["rows", "data"])
async def test_empty_answers(pagination: PaginationStyle, empty: str) -> None:
    """However an answer says that there is nothing, the window counts as read."""
    shape = Shape(pagination=pagination, empty="data" if empty == "data" else "rows")
    async with world(replace(QUIET, finder=shape)) as simulated:
        pages = await simulated.read(simulated.finder())
        assert [Window(START - HOUR, START)] == covered(simulated)
    assert [] == subjects(pages)


async def test_a_cut_answer_is_halved() -> None:
    """An answer that is full and names no next page is asked for again in halves, until all is read."""
    shape = Shape(total_count=False, next_token=False, page_cap=10)
    async with world(replace(QUIET, finder=shape)) as simulated:
        wanted = add(simulated, 25)
        pages = await simulated.read(simulated.finder(page_size=10))
        splits = simulated.metric("finder_window_splits_total")
        asked = simulated.windows()
        assert [Window(START - HOUR, START)] == covered(simulated)
        assert [] == owed(simulated, HOUR) == covered(simulated, Cover.INCOMPLETE)
    assert wanted == set(subjects(pages))
    assert splits == len(asked) - len([end for end in ends(pages) if end is not None])


async def test_windows_are_in_the_servers_time() -> None:
    """With a server hours ahead, windows end at its now from the first one on."""
    async with world(replace(QUIET, clock_offset_secs=7200.0)) as simulated:
        await simulated.read(simulated.finder())
        assert all(end <= START + 2 * HOUR for _, end in simulated.windows())
        assert START + 2 * HOUR - SECOND <= max(window.end for window in covered(simulated))


async def test_routes_are_filtered_here() -> None:
    """Only rows of the routes asked for are kept."""
    async with world() as simulated:
        for route in ("inbound", "outbound", "internal"):
            simulated.simulator.add_mail(subject=route, route=route, received_ago_secs=5)
        pages = await simulated.read(simulated.finder(routes=["internal", "inbound"]))
        assert {"inbound", "internal"} == set(subjects(pages))
        everything = await simulated.read(simulated.finder())
    assert 3 == len(subjects(everything))


async def test_coverage_and_lag() -> None:
    """After a poll, coverage is the end of the oldest search and lag the time since."""
    async with world() as simulated:
        source = simulated.finder()
        assert source.reading().covered_until is None
        await simulated.read(source)
        simulated.clock.advance(30.0)
        simulated.simulator.script(Fault("fail_ok", code="err_odd"))
        with pytest.raises(PermanentError):
            await simulated.read(source)
        assert START.timestamp() == simulated.metric("finder_coverage_end_timestamp_seconds")
        # The server's Date has whole seconds.
        assert pytest.approx(30.0, abs=1.0) == simulated.metric("finder_lag_seconds")


async def test_a_throttled_poll_waits_and_goes_on() -> None:
    """A refusal that passes within bounds costs virtual time, no rows."""
    async with world() as simulated:
        wanted = add(simulated, 3)
        simulated.simulator.script(Fault("throttle", after_secs=5.0), Fault("error_html"), Fault("cut_json"))
        assert wanted == set(subjects(await simulated.read(simulated.finder())))


async def test_a_lasting_failure_is_transient() -> None:
    """What does not pass within the retries is raised, and nothing has moved."""
    async with world() as simulated:
        simulated.simulator.script(Fault("error_html", times=4))
        with pytest.raises(TransientError):
            await simulated.read(simulated.finder())
        assert [] == covered(simulated)
