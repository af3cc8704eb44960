"""Tenants whose API answers for a shorter time than others."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mcwatch.mimecast.errors import HistoryExceeded
from mcwatch.simulator import Fault, FinderRules
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import DAY, QUIET, covered, stopped
from tests.unit.sources.world import world

TWO_DAYS = replace(QUIET, rules=FinderRules(history_days=2))
TOO_OLD = "err_track_and_trace_invalid_start_date"


async def test_a_first_poll_beyond_the_history_begins_later() -> None:
    """Reading begins within an hour of where the API answers; later polls know."""
    async with world(TWO_DAYS) as simulated:
        simulated.simulator.add_mail(subject="old", received_ago_secs=46.5 * 3600)
        source = simulated.finder(initial_look_back="7d", max_window="1h")
        pages = await simulated.read(source)
        probes = [start for start, end in simulated.windows() if end - start == timedelta(seconds=1)]
        assert START <= covered(simulated)[-1].end + timedelta(seconds=1)
        assert "old" in {row.subject for page in pages for row in page.rows}
        assert 1 <= len(probes) <= 11
        simulated.clock.advance(60.0)
        await simulated.read(source)
        assert 1 == len(simulated.windows())
        assert 0.0 == (simulated.metric("finder_gap_seconds_total") or 0.0)


async def test_a_long_stop_beyond_the_history_leaves_a_gap() -> None:
    """What the API refuses to look at is counted as lost, and reading goes on behind it."""
    async with world(TWO_DAYS) as simulated:
        stopped(simulated, 9 * DAY)
        source = simulated.finder(max_window="1d")
        await simulated.read(source)
        await simulated.read(source)
        lost_secs = simulated.metric("finder_gap_seconds_total")
        assert START <= covered(simulated)[-1].end
        assert START <= (source.reading().covered_until or START)
    assert lost_secs is not None
    assert timedelta(days=7) <= timedelta(seconds=lost_secs) <= timedelta(days=7, hours=1)


async def test_an_api_that_refuses_every_start() -> None:
    """Where no later start helps, the refusal comes out and nothing has moved."""
    async with world() as simulated:
        simulated.simulator.script(Fault("fail_ok", code=TOO_OLD, times=50, endpoint="finder"))
        with pytest.raises(HistoryExceeded):
            await simulated.read(simulated.finder(initial_look_back="7d"))
        assert [] == covered(simulated)
        assert 13 > len(simulated.client.asked)


async def test_a_short_history_is_no_gap_after_a_restart_either() -> None:
    """A search that began where a short history does has lost nothing, whichever process learns of it."""
    async with world(TWO_DAYS) as simulated:
        source = simulated.finder(initial_look_back="7d", max_window="6h")
        await simulated.read(source)
        simulated.clock.advance(60.0)
        await simulated.read(source)
        async with simulated.restarted() as again:
            source = again.finder(initial_look_back="7d", max_window="6h")
            for _ in range(3):
                again.clock.advance(3600.0)
                await again.read(source)
            assert not again.metric("finder_gap_seconds_total")
        (search,) = source.reading().searches
    assert ([], []) == (search.gaps, search.missing)
