"""What has left the API's history: recorded, counted and logged exactly once."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.errors import PermanentError
from mcwatch.domain.window.coverage import BRIEF_HISTORY, Cover
from mcwatch.domain.window.ranges import Window
from mcwatch.simulator import Fault
from mcwatch.sources.message_finder.config import HISTORY
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import (
    DAY,
    HOUR,
    MINUTE,
    QUIET,
    TO,
    add,
    covered,
    owed,
    read_some,
    server_now,
    stopped,
    subjects,
)
from tests.unit.sources.world import World, world


@pytest.fixture
def in_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set this machine's time zone for a test."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


def gap_secs(simulated: World) -> float:
    """Return how much was told to be lost."""
    return simulated.metric("finder_gap_seconds_total") or 0.0


def rejected_secs(simulated: World) -> float:
    """Return of how much rejected mail was told to be lost."""
    return simulated.metric("finder_rejected_gap_seconds_total") or 0.0


async def test_a_long_stop_leaves_a_gap() -> None:
    """What is out of the API's reach is counted and logged once however often polls fail, and the rest is read."""
    async with world() as simulated:
        stopped(simulated, 40 * DAY)
        source, lost_secs = simulated.finder(max_window="7d"), (40 * DAY - HISTORY).total_seconds()
        simulated.simulator.script(Fault("fail_ok", code="err_odd", times=3, endpoint="finder"))
        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(PermanentError):
                    await simulated.read(source)
            await simulated.read(source)
            await simulated.read(source)
        assert pytest.approx(lost_secs, abs=2.0) == gap_secs(simulated)
        assert [Window(START - 40 * DAY, START - HISTORY)] == covered(simulated, Cover.GAP)
        assert [] == owed(simulated, HISTORY)
        told = [entry for entry in logs if entry["event"] == "finder_gap"]
        assert "2025-11-26T09:30:00+0000" == told[0]["start"]
        assert 1 == len([one for one in told if one["start"] == told[0]["start"]])
        assert ("to corp.example", "error") == (told[0]["search"], told[0]["log_level"])
        async with simulated.restarted() as again:
            await again.read(again.finder(max_window="7d"))
            assert 0.0 == gap_secs(again), "it was told by the process that found it"


async def test_a_gap_committed_by_a_poll_that_was_stopped_is_told() -> None:
    """A poll that ends with the commit of a gap leaves the telling to the next."""
    async with world() as simulated:
        stopped(simulated, 40 * DAY)
        source = simulated.finder()
        await read_some(simulated, source, 1)
        assert covered(simulated, Cover.GAP)
        await read_some(simulated, source, 1)
        assert pytest.approx((40 * DAY - HISTORY).total_seconds(), abs=2.0) == gap_secs(simulated)


async def test_a_gap_whose_commit_failed_is_not_told_twice() -> None:
    """What was not committed is not told; the poll that commits it tells it."""
    async with world() as simulated:
        stopped(simulated, 40 * DAY)
        source = simulated.finder()
        polling = source.poll(simulated.progress)
        await anext(polling)
        await polling.aclose()  # type: ignore[attr-defined]  # a generator
        assert 0.0 == gap_secs(simulated)
        await simulated.read(source)
        assert pytest.approx((40 * DAY - HISTORY).total_seconds(), abs=2.0) == gap_secs(simulated)


async def test_a_stop_of_more_than_a_week_leaves_a_rejected_gap() -> None:
    """What is first read when rejected and deferred mail has left is counted and logged once, to the second."""
    async with world() as simulated:
        stopped(simulated, 10 * DAY)
        with capture_logs() as logs:
            source = simulated.finder(overlap="5m", rescans=[{"every": "1h", "look_back": "16d"}])
            for _ in range(5):
                await simulated.read(source)
                simulated.clock.advance(60.0)
        assert pytest.approx(3 * DAY.total_seconds(), abs=60.0) == rejected_secs(simulated)
        aged = covered(simulated, Cover.AGED)
        assert any(one.start <= START - 10 * DAY < one.end for one in aged)
        assert abs(START - BRIEF_HISTORY - max(one.end for one in aged)) < MINUTE
        assert 0.0 == gap_secs(simulated)
        told = [entry for entry in logs if entry["event"] == "finder_rejected_gap"]
        assert len({entry["start"] for entry in told}) == len(told)
        assert "rejected and deferred mail" in told[0]["remedy"]
        (search,) = source.reading().searches
    assert START - 10 * DAY - HOUR == search.since
    assert all(one.start >= search.since for one in search.aged)


async def test_a_rejected_gap_is_told_where_polls_are_cut_short() -> None:
    """Polls that stop after one window each tell all of it, and none of it twice."""
    async with world() as simulated:
        stopped(simulated, 9 * DAY)
        source = simulated.finder(overlap="0s", max_window="6h")
        while owed(simulated, 9 * DAY):
            await read_some(simulated, source, 3)
        await read_some(simulated, source, 1)
        assert pytest.approx(2 * DAY.total_seconds(), abs=60.0) == rejected_secs(simulated)


@pytest.mark.parametrize("begin", ["24h", "3d"])
async def test_an_initial_look_back_leaves_no_gap(begin: str) -> None:
    """A new search has lost nothing, whatever it looks back to within a week, and whatever its rescans read."""
    async with world() as simulated:
        source = simulated.finder(initial_look_back=begin, rescans=[{"every": "20m", "look_back": "16d"}])
        for _ in range(20):
            await simulated.read(source)
            simulated.clock.advance(60.0)
        assert covered(simulated, Cover.AGED)
        assert (0.0, 0.0) == (gap_secs(simulated), rejected_secs(simulated))
        (search,) = source.reading().searches
    assert ([], [], []) == (search.aged, search.gaps, search.missing)


async def test_cursors_of_the_first_versions_go_on() -> None:
    """What an older version stored is where reading goes on: the stop since then is caught up."""
    async with world() as simulated:
        for days_ago in (0.1, 1, 2, 2.9):
            simulated.simulator.add_mail(subject=f"{days_ago}", received_ago_secs=days_ago * 86400)
        read_until = (START - 3 * DAY).isoformat().replace("+00:00", "Z")
        simulated.cursors[TO] = b'{"read_until":"%s"}' % read_until.encode()
        found = subjects(await simulated.read(simulated.finder()))
        assert {"0.1", "1", "2", "2.9"} == set(found)
        assert [Window(START - 3 * DAY, START)] == covered(simulated)
        assert b"read_until" not in simulated.cursors[TO].partition(b"tiers")[0]
        simulated.clock.advance(60.0)
        simulated.windows()
        await simulated.read(simulated.finder())
        assert 1 == len(simulated.windows())


@pytest.mark.parametrize(
    "begin",
    [
        datetime(2024, 2, 28, 23, 50, tzinfo=START.tzinfo),
        datetime(2023, 12, 31, 23, 50, tzinfo=START.tzinfo),
        datetime(2026, 3, 29, 0, 50, tzinfo=START.tzinfo),
        datetime(2025, 10, 26, 0, 50, tzinfo=START.tzinfo),
    ],
    ids=["leap day", "year end", "summer time", "winter time"],
)
@pytest.mark.parametrize("in_zone", ["Europe/Berlin", "America/New_York"], indirect=True)
@pytest.mark.usefixtures("in_zone")
async def test_the_calendar_makes_no_holes(begin: datetime) -> None:
    """Over a leap day, a year's end and changes of daylight saving, wherever the machine is, all mail is read."""
    async with world(replace(QUIET, clock_offset_secs=(begin - START).total_seconds())) as simulated:
        source, found = simulated.finder(overlap="1m", initial_look_back="2h"), set[str | None]()
        for number in range(12):
            add(simulated, 1)
            simulated.simulator.add_mail(subject=f"at {number}", received_ago_secs=240)
            found |= set(subjects(await simulated.read(source)))
            simulated.clock.advance(600.0)
        await simulated.read(source)
        assert [] == owed(simulated, 4 * HOUR)
        assert 4 * HOUR <= server_now(simulated) - covered(simulated)[0].start + 5 * MINUTE
    assert {f"at {number}" for number in range(12)} <= found
