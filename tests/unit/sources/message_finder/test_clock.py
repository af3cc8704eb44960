"""Polls of a machine whose clock is wrong: nothing unread counts as read, and no mail is missed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from mcwatch.domain.errors import PermanentError, TransientError
from mcwatch.domain.page import FinderPage
from mcwatch.simulator import Fault, SimulatorConfig
from mcwatch.sources import SourceContext
from mcwatch.sources.message_finder import Cursor, MessageFinderConfig, MessageFinderSource, read_cursor
from tests.fakes.clock import START
from tests.unit.mimecast.api import Reply, scripted
from tests.unit.sources.world import HMAC, OAUTH2, World, world

QUIET = SimulatorConfig.quiet()
SECOND, MINUTE, HOUR, YEAR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=365)
TO = "to=corp.example"


def read_until(simulated: World) -> timedelta:
    """Return how far the stored cursor is behind the server's now."""
    stored = read_cursor(simulated.cursors[TO])
    assert stored is not None
    return server_now(simulated) - (stored - START)


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
            assert timedelta(0) <= read_until(simulated) <= 2 * SECOND
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
        simulated.cursors[TO] = msgspec.json.encode(Cursor(START - HOUR))
        source = simulated.finder()
        simulated.simulator.script(Fault("reset_before", times=4))
        with pytest.raises(TransientError):
            await simulated.read(source)
        assert ([], timedelta(hours=1)) == (simulated.client.asked, read_until(simulated) - server_now(simulated))
        assert 0.0 == gap_secs(simulated)
        await simulated.read(source)
        assert 0.0 == gap_secs(simulated)
        assert timedelta(0) <= read_until(simulated) <= 2 * SECOND


async def test_an_api_that_never_tells_its_time() -> None:
    """By a clock that nothing confirms, no cursor moves back, and none moves ahead of it."""
    untold = {"Date": ""}
    ahead = START + 3 * HOUR
    async with scripted(OAUTH2, max_requests_per_minute=1_000_000) as (api, client):
        api.token_replies.append(Reply(body={"access_token": "t", "expires_in": 1799}, headers=untold))
        api.replies += [Reply(headers=untold)] * 9
        config = MessageFinderConfig.model_validate({"type": "message_finder", "domains": ["corp.example"]})
        source = config.build(SourceContext("acme", client, api.clock, api.metrics))
        stored = {TO: msgspec.json.encode(Cursor(ahead)), "from=corp.example": msgspec.json.encode(Cursor(START))}
        pages = [page async for page in source.poll(stored)]
        assert client.skew_secs is None
    assert [ahead, START] == [read_cursor(value) for page in pages for value in page.cursors.values()]


async def test_a_time_told_late_bounds_the_cursor() -> None:
    """A window planned by a clock that proves fast counts as read up to the server's time at its first page only."""
    untold = {"Date": ""}
    page = {"meta": {"status": 200, "pagination": {"next": "t"}}, "data": [], "fail": []}
    async with scripted(OAUTH2, max_requests_per_minute=1_000_000) as (api, client):
        api.server_ahead_secs = (-3 * HOUR).total_seconds()
        api.token_replies.append(Reply(body={"access_token": "t", "expires_in": 1799}, headers=untold))
        api.replies += [Reply(headers=untold), Reply(body=page), Reply()]
        options = {"type": "message_finder", "searches": [{"to": "corp.example"}], "initial_look_back": "1h"}
        source = MessageFinderConfig.model_validate(options).build(
            SourceContext("acme", client, api.clock, api.metrics)
        )
        polling = source.poll({})
        assert {} == (await anext(polling)).cursors
        api.clock.advance(600.0)
        (last,) = [page async for page in polling]
    assert START - 3 * HOUR == read_cursor(last.cursors[TO])


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
