"""The message finder against the simulator: which windows are asked, and when the cursor moves."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from mcwatch.domain.errors import AuthError, PermanentError, TransientError
from mcwatch.domain.page import FinderPage
from mcwatch.mimecast.errors import FilterRequired
from mcwatch.simulator import Fault, FinderRules, Shape, SimulatorConfig
from mcwatch.simulator.config import PaginationStyle
from mcwatch.sources.message_finder import Cursor, read_cursor
from mcwatch.sources.message_finder.config import HISTORY
from tests.fakes.clock import START
from tests.unit.sources.world import World, world

QUIET = SimulatorConfig.quiet()
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TO = "to=corp.example"


def cursor(at: datetime) -> bytes:
    """Return a cursor as it is stored."""
    return msgspec.json.encode(Cursor(at))


def ends(pages: list[FinderPage], name: str = TO) -> list[datetime | None]:
    """Return where each page moves the cursor, None where it does not."""
    return [read_cursor(page.cursors.get(name)) for page in pages]


def subjects(pages: list[FinderPage]) -> list[str | None]:
    """Return the subjects of all rows, in order."""
    return [row.subject for page in pages for row in page.rows]


def add(simulated: World, count: int, **mail: object) -> set[str]:
    """Let mails arrive one per second, the last one a second ago; return their subjects."""
    for number in range(count):
        simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=count - number, **mail)
    return {f"mail {number}" for number in range(count)}


async def test_first_poll() -> None:
    """The first poll asks for contiguous windows up to now, oldest first, with filter and reason."""
    async with world() as simulated:
        pages = await simulated.read(simulated.finder(initial_look_back="5h", max_window="2h", search_reason="why"))
        asked = simulated.client.asked[0]
        windows = simulated.windows()
    assert {"to": "corp.example"} == asked["advancedTrackAndTraceOptions"]
    assert "why" == asked["searchReason"]
    assert [START - 5 * HOUR, START - 3 * HOUR, START - HOUR] == [start for start, _ in windows]
    assert [end for _, end in windows] == ends(pages)
    assert START == windows[-1][1]


async def test_later_polls_overlap() -> None:
    """The next poll looks back by the overlap from where the last one ended, and the cursor goes on from there."""
    async with world() as simulated:
        source = simulated.finder(overlap="5m")
        await simulated.read(source)
        simulated.windows()
        simulated.clock.advance(60.0)
        pages = await simulated.read(source)
        assert [(START - 5 * MINUTE, START + MINUTE)] == simulated.windows()
    assert [START + MINUTE] == ends(pages)
    assert START + MINUTE == source.reading().covered_until


async def test_the_cursor_never_moves_back() -> None:
    """Windows that an overlap reads again end before the cursor, which stands until one goes beyond."""
    async with world() as simulated:
        simulated.cursors[TO] = cursor(START - MINUTE)
        pages = await simulated.read(simulated.finder(overlap="25m", max_window="10m"))
    assert [START - MINUTE, START - MINUTE, START] == ends(pages)


async def test_an_ordinary_page_takes_the_fast_path() -> None:
    """Rows as documented are decoded at once, and come with all they said."""
    async with world() as simulated:
        wanted = add(simulated, 3, spam_score=6, detection_level="relaxed", header_from="news@news.example")
        pages = await simulated.read(simulated.finder())
        assert [True] == [answer.items is not None for answer in simulated.client.answers]
    assert wanted == set(subjects(pages))
    row = pages[0].rows[0]
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
    assert [0] == [len(page.unreadable) for page in pages]


async def test_the_cursor_moves_with_the_last_page_of_a_window() -> None:
    """Next pages are followed; none but the last one moves the cursor."""
    async with world() as simulated:
        wanted = add(simulated, 25)
        pages = await simulated.read(simulated.finder(page_size=10))
    assert [None, None, START] == ends(pages)
    assert [10, 10, 5] == [len(page.rows) for page in pages]
    assert wanted == set(subjects(pages))


async def test_a_cut_answer_is_halved() -> None:
    """An answer that is full and names no next page is asked for again in halves, until all is read."""
    shape = Shape(total_count=False, next_token=False, page_cap=10)
    async with world(replace(QUIET, finder=shape)) as simulated:
        wanted = add(simulated, 25)
        pages = await simulated.read(simulated.finder(page_size=10))
        splits = simulated.metric("finder_window_splits_total")
        asked = simulated.windows()
    moved = [end for end in ends(pages) if end is not None]
    assert wanted == set(subjects(pages))
    assert (sorted(moved), START) == (moved, moved[-1])
    assert splits == len(asked) - len(moved)
    complete = [window for window, page in zip(asked, pages, strict=True) if page.cursors]
    assert all(older[1] == newer[0] for older, newer in pairwise(complete))
    assert (START - HOUR, START) == (complete[0][0], complete[-1][1])


async def test_a_cap_below_the_page_size_is_found_out() -> None:
    """A server that clamps to 100 rows without a word is found out by the round number."""
    shape = Shape(pagination="absent", page_cap=100)
    async with world(replace(QUIET, finder=shape)) as simulated:
        wanted = add(simulated, 130)
        assert wanted == set(subjects(await simulated.read(simulated.finder())))


async def test_a_cap_that_nobody_names_is_found_out_by_its_repetition() -> None:
    """A server that clamps to 37 rows is found out at its third such answer, and the first two are asked for again."""
    shape = Shape(pagination="absent", page_cap=37)
    async with world(replace(QUIET, finder=shape)) as simulated:
        for number in range(240):
            simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=60 * number + 30)
        pages = await simulated.read(simulated.finder(initial_look_back="4h", max_window="1h"))
    assert {f"mail {number}" for number in range(240)} == set(subjects(pages))
    assert START == max(end for end in ends(pages) if end is not None)


async def test_what_is_owed_survives_a_poll_that_fails() -> None:
    """Windows found out to be cut are read again at the next poll when this one ends before it came to them."""
    shape = Shape(pagination="absent", page_cap=37)
    async with world(replace(QUIET, finder=shape)) as simulated:
        for number in range(240):
            simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=60 * number + 30)
        source, pages = simulated.finder(initial_look_back="4h", max_window="1h"), []
        poll = source.poll({})
        async for page in poll:
            pages.append(page)
            simulated.cursors.update(page.cursors)
            if ends([page]) == [START]:
                break
        await poll.aclose()  # type: ignore[attr-defined]  # a generator
        assert len(set(subjects(pages))) < 240
        pages += await simulated.read(source)
    assert {f"mail {number}" for number in range(240)} == set(subjects(pages))


async def test_fewer_rows_than_told_are_halved() -> None:
    """An answer that tells of more rows than it shows is cut, though its page is not full."""
    shape = Shape(total_count=True, next_token=False, page_cap=7)
    async with world(replace(QUIET, finder=shape)) as simulated:
        wanted = add(simulated, 9)
        assert wanted == set(subjects(await simulated.read(simulated.finder())))
        assert simulated.metric("finder_window_splits_total")


async def test_a_second_that_does_not_fit() -> None:
    """More mail in a second than an answer shows is counted as incomplete, and reading goes on.

    The second after it counts too: requests begin a second early, so its answer holds the same rows.
    """
    shape = Shape(total_count=False, next_token=False, page_cap=10)
    async with world(replace(QUIET, finder=shape, rules=FinderRules(end_inclusive=False))) as simulated:
        simulated.simulator.add_mail(count=11, received_ago_secs=30)
        add(simulated, 1)
        pages = await simulated.read(simulated.finder(page_size=10))
        assert 2.0 == simulated.metric("finder_incomplete_windows_total")
    assert "mail 0" in subjects(pages)
    assert START == [end for end in ends(pages) if end is not None][-1]


@pytest.mark.parametrize("pagination", ["full", "absent", "zero"])
@pytest.mark.parametrize("empty", ["rows", "data"])
async def test_empty_answers(pagination: PaginationStyle, empty: str) -> None:
    """However an answer says that there is nothing, the window counts as read."""
    shape = Shape(pagination=pagination, empty="data" if empty == "data" else "rows")
    async with world(replace(QUIET, finder=shape)) as simulated:
        pages = await simulated.read(simulated.finder())
    assert ([[]], [START]) == ([page.rows for page in pages], ends(pages))


async def test_rows_that_cannot_be_read() -> None:
    """Junk among the rows is handed on as unreadable; its neighbours are read and the cursor moves."""
    async with world() as simulated:
        wanted = add(simulated, 4)
        simulated.simulator.script(Fault("odd_rows"))
        pages = await simulated.read(simulated.finder())
    assert wanted == set(subjects(pages))
    assert [6] == [len(page.unreadable) for page in pages]
    assert [START] == ends(pages)


async def test_spoilt_rows_are_read_as_far_as_they_go() -> None:
    """Wrong types and invalid UTF-8 cost a row its spoilt fields, not its neighbours."""
    async with world() as simulated:
        wanted = add(simulated, 2)
        simulated.simulator.script(Fault("wrong_types"))
        first = await simulated.read(simulated.finder())
        simulated.simulator.script(Fault("invalid_utf8"))
        second = await simulated.read(simulated.finder())
    assert ([1], [0]) == ([len(page.unreadable) for page in first], [len(page.unreadable) for page in second])
    assert wanted < set(subjects(first))
    assert {*wanted, "Gr\ufffd\ufffde \ufffd"} == set(subjects(second))


async def test_a_failing_search_does_not_stop_the_others() -> None:
    """The others are read, the failed one keeps its cursor, and the error comes out at the end."""
    async with world() as simulated:
        source = simulated.finder(domains=["corp.example", "corp.org.example"], searches=[])
        simulated.simulator.script(Fault("fail_ok", code="err_odd"))
        with pytest.raises(PermanentError):
            await simulated.read(source)
        assert {"from=corp.example", "to=corp.org.example", "from=corp.org.example"} == simulated.cursors.keys()
        assert START - HOUR == source.reading().covered_until
        await simulated.read(source)
        assert START == source.reading().covered_until


async def test_an_api_that_is_away_is_not_asked_for_every_search() -> None:
    """The first search that finds nobody there ends the poll; the next poll begins with the others."""
    async with world() as simulated:
        source = simulated.finder(domains=["corp.example", "corp.org.example"], searches=[])
        simulated.simulator.script(Fault("reset_before", times=4, endpoint="finder"))
        with pytest.raises(TransientError):
            await simulated.read(source)
        assert 1 == len(simulated.client.asked)
        await simulated.read(source)
        asked = [item["advancedTrackAndTraceOptions"] for item in simulated.client.asked]
    assert [{"from": "corp.example"}, {"to": "corp.example"}] == [asked[1], asked[-1]]


async def test_what_was_read_before_a_failure_stays_read() -> None:
    """Windows read before one that failed have moved the cursor, and the next poll goes on from there."""
    async with world() as simulated:
        source = simulated.finder(max_window="30m", overlap="0s")
        polling = source.poll({})
        page = await anext(polling)
        simulated.simulator.script(Fault("fail_ok", code="err_odd"))
        with pytest.raises(PermanentError):
            await anext(polling)
        simulated.cursors.update(page.cursors)
        simulated.windows()
        await simulated.read(source)
        assert [(START - 30 * MINUTE, START)] == simulated.windows()


async def test_a_refused_credential_ends_the_poll_at_once() -> None:
    """After a refusal that the operator must lift, no further search is tried."""
    async with world() as simulated:
        source = simulated.finder(domains=["corp.example"], searches=[])
        simulated.simulator.script(Fault("forbidden", endpoint="finder"))
        with pytest.raises(AuthError):
            await simulated.read(source)
        assert 1 == len(simulated.client.asked)


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
    assert (wanted, [START]) == (set(subjects(pages)), ends(pages, "all"))


async def test_a_long_stop_leaves_a_gap() -> None:
    """What is out of the API's reach is counted, once however often the poll fails, and the rest is read."""
    async with world() as simulated:
        simulated.cursors[TO] = cursor(START - 40 * DAY)
        source = simulated.finder(max_window="7d")
        simulated.simulator.script(Fault("fail_ok", code="err_odd"))
        with pytest.raises(PermanentError):
            await simulated.read(source)
        assert (40 * DAY - HISTORY).total_seconds() == simulated.metric("finder_gap_seconds_total")
        simulated.windows()
        simulated.clock.advance(60.0)
        await simulated.read(source)
        assert (40 * DAY - HISTORY + MINUTE).total_seconds() == simulated.metric("finder_gap_seconds_total")
        windows = simulated.windows()
        simulated.clock.advance(60.0)
        await simulated.read(source)
        assert (40 * DAY - HISTORY + MINUTE).total_seconds() == simulated.metric("finder_gap_seconds_total")
    assert (START + MINUTE - HISTORY, START + MINUTE, 4) == (windows[0][0], windows[-1][1], len(windows))


async def test_a_cursor_in_the_future_comes_back() -> None:
    """A cursor written by a wrong clock hides no stop: the search is read as one that never was."""
    async with world() as simulated:
        simulated.cursors[TO] = cursor(START + DAY)
        source = simulated.finder(overlap="5m", max_window="4m")
        pages = await simulated.read(source)
        assert (START - HOUR + 4 * MINUTE, START) == (ends(pages)[0], ends(pages)[-1])
        simulated.windows()
        simulated.clock.advance(3600.0)
        await simulated.read(source)
        assert START - 5 * MINUTE == simulated.windows()[0][0]


async def test_a_cursor_a_moment_ahead_costs_no_second_look_at_the_past() -> None:
    """What two estimates of the server's time differ by is read again by the overlap alone, and claimed no more."""
    async with world() as simulated:
        simulated.cursors[TO] = cursor(START + timedelta(seconds=2))
        pages = await simulated.read(simulated.finder(overlap="5m", max_window="4m"))
        assert (START - 5 * MINUTE, [START - MINUTE, START]) == (simulated.windows()[0][0], ends(pages))


async def test_windows_are_in_the_servers_time() -> None:
    """With a server hours ahead, windows end at its now from the first one on."""
    async with world(replace(QUIET, clock_offset_secs=7200.0)) as simulated:
        await simulated.read(simulated.finder())
        assert abs(simulated.windows()[-1][1] - (START + 2 * HOUR)) <= timedelta(seconds=1)


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
        assert {} == simulated.cursors
