"""Polls of a machine whose clock is wrong: nothing unread counts as read, and no mail is missed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from mcwatch.domain.errors import PermanentError, TransientError
from mcwatch.domain.page import FeedProgress, FinderPage
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import Window
from mcwatch.simulator import Fault
from mcwatch.sources import SourceContext
from mcwatch.sources.message_finder import MessageFinderConfig, MessageFinderSource
from mcwatch.sources.message_finder.ledger import Cursor
from tests.fakes.clock import START
from tests.unit.mimecast.api import Reply, scripted
from tests.unit.sources.message_finder.finders import DAY, HOUR, MINUTE, QUIET, SECOND, TO, covered
from tests.unit.sources.world import HMAC, OAUTH2, World, world

YEAR = timedelta(days=365)


def read_until(simulated: World) -> timedelta:
    """Return how far the stored cursor is behind the server's now."""
    return server_now(simulated) - (covered(simulated)[-1].end - START)


def server_now(simulated: World) -> timedelta:
    """Return the server's time since the start."""
    return timedelta(seconds=simulated.simulator.now()) - timedelta(seconds=START.timestamp())


def gap_secs(simulated: World) -> float:
    """Return what was told to be lost."""
    return simulated.metric("finder_gap_seconds_total") or 0.0


def subjects(pages: list[FinderPage]) -> set[str | None]:
    """Return the subjects of all rows."""
    return {row.subject for page in pages for row in page.rows}


async def mails_arrive(
    simulated: World, source: MessageFinderSource | None, minutes: int, name: str
) -> set[str | None]:
    """Let a mail arrive each minute and poll, unless there is nothing to poll with; return what was read."""
    found: set[str | None] = set()
    for minute in range(minutes):
        simulated.clock.advance(60.0)
        simulated.simulator.add_mail(subject=f"{name} {minute}", received_ago_secs=1)
        if source is not None:
            found |= subjects(await simulated.read(source))
            assert -SECOND <= read_until(simulated) <= 2 * SECOND
    return found


@pytest.mark.parametrize("auth", [OAUTH2, HMAC], ids=["oauth2", "hmac"])
@pytest.mark.parametrize("mended", [False, True], ids=["still wrong", "set right"])
@pytest.mark.parametrize("ahead", [3 * HOUR, -3 * HOUR, 2 * SECOND, 50 * YEAR, -56 * YEAR], ids=str)
async def test_a_wrong_clock_hides_no_stop(ahead: timedelta, mended: bool, auth: Mapping[str, str]) -> None:
    """However wrong the clock at the first poll and after a stop of half an hour, all mail is read and no gap told."""
    async with world(auth=auth, clock_ahead_secs=ahead.total_seconds()) as simulated:
        simulated.simulator.add_mail(subject="old", received_ago_secs=50 * 60)
        source = simulated.finder(overlap="1m")
        found = subjects(await simulated.read(source))
        assert timedelta(0) <= read_until(simulated) <= 2 * SECOND
        found |= await mails_arrive(simulated, source, 2, "before")
        await mails_arrive(simulated, None, 30, "while away")
        if mended:
            simulated.clock.jump(-ahead.total_seconds())
        async with simulated.restarted() as again:
            source = again.finder(overlap="1m")
            found |= subjects(await again.read(source))
            found |= await mails_arrive(again, source, 2, "after")
            assert (0.0, 0.0) == (gap_secs(simulated), gap_secs(again))
    names = {"before": 2, "while away": 30, "after": 2}
    assert {"old"} | {f"{name} {minute}" for name, count in names.items() for minute in range(count)} == found


@pytest.mark.parametrize("offset", [3 * HOUR, -3 * HOUR], ids=str)
async def test_a_server_with_a_clock_of_its_own(offset: timedelta) -> None:
    """The server's clock is the one that counts, whoever is right."""
    async with world(replace(QUIET, clock_offset_secs=offset.total_seconds())) as simulated:
        source = simulated.finder(overlap="1m")
        found = subjects(await simulated.read(source))
        await mails_arrive(simulated, None, 30, "while away")
        async with simulated.restarted() as again:
            found |= subjects(await again.read(again.finder(overlap="1m")))
            assert timedelta(0) <= read_until(again) <= 2 * SECOND
    assert {f"while away {minute}" for minute in range(30)} == found


@pytest.mark.parametrize("ahead", [50 * YEAR, -56 * YEAR], ids=str)
async def test_an_api_that_is_away_at_the_start(ahead: timedelta) -> None:
    """As long as the API's time is unknown, no cursor moves, no gap is told, and nothing is asked for."""
    async with world(clock_ahead_secs=ahead.total_seconds()) as simulated:
        before = {TO: [Span(START - 2 * HOUR, START - HOUR, Cover.READ, START - HOUR)]}
        simulated.cursors[TO] = msgspec.json.encode(Cursor(START - 2 * HOUR))
        simulated.coverage |= before
        source = simulated.finder()
        simulated.simulator.script(Fault("reset_before", times=4))
        with pytest.raises(TransientError):
            await simulated.read(source)
        assert ([], before) == (simulated.client.asked, simulated.coverage)
        assert 0.0 == gap_secs(simulated)
        await simulated.read(source)
        assert 0.0 == gap_secs(simulated)
        assert timedelta(0) <= read_until(simulated) <= 2 * SECOND


async def test_an_api_that_never_tells_its_time() -> None:
    """By a clock that nothing confirms no claim is taken back, however far ahead it lies."""
    untold = {"Date": ""}
    async with scripted(OAUTH2, max_requests_per_minute=1_000_000) as (api, client):
        api.token_replies.append(Reply(body={"access_token": "t", "expires_in": 1799}, headers=untold))
        api.replies += [Reply(headers=untold)] * 99
        config = MessageFinderConfig.model_validate(
            {"type": "message_finder", "domains": ["corp.example"], "rescans": []}
        )
        source = config.build(SourceContext("acme", client, api.clock, api.metrics))
        ahead = [Span(START - HOUR, START + 3 * HOUR, Cover.READ, START + 3 * HOUR)]
        stored = FeedProgress({TO: msgspec.json.encode(Cursor(START - HOUR))}, {TO: ahead})
        spans = [span for page in [page async for page in source.poll(stored)] for span in page.covered.get(TO, ())]
        assert client.skew_secs is None
    assert {Cover.READ} == {span.cover for span in spans}
    assert all(span.end <= START + SECOND for span in spans)


async def test_a_time_told_late_bounds_the_claim() -> None:
    """A window planned by a clock that proves fast counts as read up to the server's time at its first page only."""
    untold = {"Date": ""}
    page = {"meta": {"status": 200, "pagination": {"next": "t"}}, "data": [], "fail": []}
    async with scripted(OAUTH2, max_requests_per_minute=1_000_000) as (api, client):
        api.server_ahead_secs = -MINUTE.total_seconds()
        api.token_replies.append(Reply(body={"access_token": "t", "expires_in": 1799}, headers=untold))
        api.replies += [Reply(headers=untold), Reply(body=page), Reply()]
        options = {"type": "message_finder", "searches": [{"to": "corp.example"}], "initial_look_back": "5m"}
        source = MessageFinderConfig.model_validate(options | {"rescans": []}).build(
            SourceContext("acme", client, api.clock, api.metrics)
        )
        polling = source.poll(FeedProgress())
        assert [True, False] == [bool((await anext(polling)).cursors) for _ in range(2)]
        api.clock.advance(600.0)
        last = await anext(polling)
    assert [START - 8 * MINUTE] == [span.start for span in last.covered[TO]]
    assert all(abs(span.end - (START - MINUTE)) <= SECOND for span in last.covered[TO])


@pytest.mark.parametrize("back", [2 * HOUR, 3 * DAY, 40 * DAY], ids=str)
async def test_a_server_clock_that_jumps_ahead_and_back(back: timedelta) -> None:
    """What was claimed, lost and planned by the time that never was is forgotten; all mail of the real time is read."""
    async with world() as simulated:
        source = simulated.finder(overlap="1m", rescans=[{"every": "10m", "look_back": "1h"}])
        found = subjects(await simulated.read(source))
        found |= await mails_arrive(simulated, source, 2, "before")
        async with ahead(simulated, back) as wrong:
            await wrong.read(wrong.finder(overlap="1m", rescans=[{"every": "10m", "look_back": "1h"}]))
            assert covered(simulated)[-1].end > START + back
        await mails_arrive(simulated, None, 10, "while wrong")
        async with simulated.restarted() as again:
            source = again.finder(overlap="1m", rescans=[{"every": "10m", "look_back": "1h"}])
            found |= subjects(await again.read(source))
            now = START + server_now(again)
            assert now >= covered(again)[-1].end
            assert [] == covered(again, Cover.GAP) or covered(again, Cover.GAP)[-1].end < START
            found |= await mails_arrive(again, source, 12, "after")
            taken = msgspec.json.decode(again.cursors[TO], type=Cursor).tiers["600/3600"].taken_until
            assert now < taken <= now + 13 * MINUTE
            assert source.reading().covered_until is not None
            assert [] == source.reading().searches[0].missing
    names = {"before": 2, "while wrong": 10, "after": 12}
    assert {f"{name} {minute}" for name, count in names.items() for minute in range(count)} == found


@asynccontextmanager
async def ahead(simulated: World, by: timedelta) -> AsyncIterator[World]:
    """Run a process that is answered by a server whose clock is ahead; it shares the store."""
    config = replace(QUIET, clock_offset_secs=(by + server_now(simulated)).total_seconds())
    async with world(config) as wrong:
        wrong.cursors, wrong.coverage = simulated.cursors, simulated.coverage
        yield wrong


async def test_an_owed_time_in_the_future_comes_back() -> None:
    """A search whose owed time was begun by a clock far ahead hides no stop: it is owed as one never read."""
    async with world() as simulated:
        for stored in (b'{"read_until":"2026-01-09T00:00:00Z"}', b'{"since":"2027-01-01T00:00:00Z","tiers":{}}'):
            simulated.cursors[TO] = stored
            simulated.coverage.clear()
            source = simulated.finder(overlap="5m")
            await simulated.read(source)
            assert [Window(START - HOUR, START)] == [
                Window(one.start, min(one.end, START)) for one in covered(simulated)
            ]
            simulated.windows()


async def test_a_claim_a_moment_ahead_costs_no_second_look_at_the_past() -> None:
    """What two estimates of the server's time differ by is read again by the overlap alone."""
    async with world() as simulated:
        simulated.cursors[TO] = msgspec.json.encode(Cursor(START - HOUR))
        ahead_of_now = START + 2 * SECOND
        simulated.coverage[TO] = [Span(START - HOUR, ahead_of_now, Cover.READ, ahead_of_now)]
        pages = await simulated.read(simulated.finder(overlap="5m"))
        assert [(START - 5 * MINUTE, START)] == simulated.windows()
    assert all(span.end <= START for page in pages for span in page.covered.get(TO, ()))


async def test_coverage_of_a_search_never_read() -> None:
    """It counts from where its first poll begins, by the server's clock once that is known, and does not slide."""
    async with world(clock_ahead_secs=3600.0) as simulated:
        source = simulated.finder(domains=["corp.example"], searches=[], initial_look_back="2h")
        simulated.simulator.script(Fault("reset_before", times=4))
        with pytest.raises(TransientError):
            await simulated.read(source)
        assert START - HOUR <= (source.reading().covered_until or START) <= START - HOUR + MINUTE
        simulated.simulator.script(Fault("fail_ok", code="err_odd", endpoint="finder"))
        with pytest.raises(PermanentError):
            await simulated.read(source)
        begun = source.reading().covered_until
        assert begun is not None
        assert START - 2 * HOUR <= begun <= START - 2 * HOUR + MINUTE
        simulated.clock.advance(600.0)
        simulated.simulator.script(Fault("fail_ok", code="err_odd", endpoint="finder"))
        with pytest.raises(PermanentError):
            await simulated.read(source)
        assert begun == source.reading().covered_until
        lag_secs = (server_now(simulated) - (begun - START)).total_seconds()
        assert pytest.approx(lag_secs, abs=2.0) == simulated.metric("finder_lag_seconds")
