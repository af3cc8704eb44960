"""The slower, deeper looks back: spread, resumable, once per period."""

from collections import Counter
from datetime import datetime, timedelta

import pytest

from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import Window, merged
from mcwatch.simulator import Fault
from mcwatch.sources.message_finder import MessageFinderSource
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import (
    DAY,
    HOUR,
    MINUTE,
    TO,
    covered,
    owed,
    read_some,
    stopped,
    subjects,
)
from tests.unit.sources.world import World, world

EVERY_HOUR = [{"every": "1h", "look_back": "12h"}]
LOOK_BACK = 12 * HOUR


async def polls(simulated: World, source: MessageFinderSource, count: int) -> list[list[Window]]:
    """Poll each minute; return what each poll asked for beside the fresh window."""
    found = []
    for _ in range(count):
        simulated.clock.advance(60.0)
        await simulated.read(source)
        found.append([Window(*one) for one in simulated.windows()[1:]])
    return found


def seconds_of(windows: list[Window]) -> Counter[datetime]:
    """Count how often each quarter of an hour was read."""
    counts: Counter[datetime] = Counter()
    for window in windows:
        at = datetime.fromtimestamp(-(-int(window.start.timestamp()) // 900) * 900, START.tzinfo)
        while at < window.end:
            counts[at] += 1
            at += 15 * MINUTE
    return counts


async def test_a_first_start_makes_no_burst() -> None:
    """The tiers of a new search begin to come due after its first poll, bit by bit."""
    async with world() as simulated:
        source = simulated.finder(rescans=EVERY_HOUR, max_window="1h")
        await simulated.read(source)
        assert all(start >= START - HOUR for start, _ in simulated.windows())
        made = await polls(simulated, source, 20)
    assert max(len(one) for one in made) <= 2


async def test_each_cell_once_per_period() -> None:
    """Within a period every part of the look-back is read, once or at its turn's two sides twice, never in a burst."""
    async with world() as simulated:
        stopped(simulated, timedelta(0), since=DAY)
        source = simulated.finder(rescans=EVERY_HOUR, max_window="1h")
        await simulated.read(source)
        simulated.windows()
        made = await polls(simulated, source, 58)
        counts = seconds_of([window for one in made for window in one])
        inside = {at: counts[at] for at in counts if START + HOUR - LOOK_BACK + MINUTE <= at < START}
    assert {1} == set(inside.values())
    assert 4 * 11 - 1 <= len(inside)
    assert max(len(one) for one in made) <= 2


async def test_a_change_of_status_is_found() -> None:
    """A mail whose status changes long after it was received is shown again within a period."""
    async with world() as simulated:
        life = [(0.0, "held"), (5 * 3600.0, "archived")]
        simulated.simulator.add_mail(subject="held", received_ago_secs=4 * 3600, life=life)
        stopped(simulated, timedelta(0), since=DAY)
        source, found = simulated.finder(rescans=EVERY_HOUR, max_window="1h"), set()
        await simulated.read(source)
        for _ in range(61 + 60):
            simulated.clock.advance(60.0)
            found |= {row.status for page in await simulated.read(source) for row in page.rows}
    assert {"held", "archived"} == found


async def test_after_a_long_stop_each_cell_has_one_turn() -> None:
    """However many periods were missed, the look-back is read once."""
    async with world() as simulated:
        stopped(simulated, timedelta(0), since=DAY)
        source = simulated.finder(rescans=EVERY_HOUR, max_window="1h")
        await simulated.read(source)
        simulated.clock.advance(9 * 3600.0)
        simulated.windows()
        await simulated.read(source)
        (_, *asked) = simulated.windows()
        rescans = [Window(*one) for one in asked if one[1] <= START]
    assert {1} == set(seconds_of([one for one in rescans if one.end < START - HOUR]).values())


async def test_a_turn_is_resumed_within_a_poll_and_after_a_restart() -> None:
    """A look back that was stopped in its middle goes on from there, in this process or the next."""
    async with world() as simulated:
        for number in range(300):
            simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=number * 100 + 30)
        stopped(simulated, timedelta(0), since=DAY)
        tiers = [{"every": "1h", "look_back": "6h"}]
        source = simulated.finder(rescans=tiers, max_window="6h", page_size=20)
        await simulated.read(source)
        simulated.clock.advance(3600.0)
        simulated.windows()
        await read_some(simulated, source, 16)
        first = [one for one in simulated.windows() if one[0] < START - 10 * MINUTE]
        async with simulated.restarted() as again:
            source = again.finder(rescans=tiers, max_window="6h", page_size=20)
            await again.read(source)
            second = [one for one in again.windows() if one[0] < START - 10 * MINUTE]
    assert len(first) > 2, "the turn had begun"
    assert min(second)[0] >= first[-2][0] > first[0][0]


async def test_rescans_claim_what_nobody_owes_without_alarm() -> None:
    """A look back beyond where a search began reads mail older than a week: no gap of any kind is told."""
    async with world() as simulated:
        source = simulated.finder(initial_look_back="24h", rescans=[{"every": "1h", "look_back": "16d"}])
        await simulated.read(source)
        for _ in range(70):
            simulated.clock.advance(60.0)
            await simulated.read(source)
        assert START - 16 * DAY + 2 * HOUR >= covered(simulated, Cover.AGED)[0].start
        assert 0.0 == simulated.metric("finder_rejected_gap_seconds_total")
        assert 0.0 == simulated.metric("finder_gap_seconds_total")
        (search,) = source.reading().searches
    assert ([], [], START - DAY) == (search.aged, search.gaps, search.since)


async def test_a_busy_day_read_again_and_again_stays_read() -> None:
    """The window with most mail shows the same number at every look back; that is no hidden cap."""
    async with world() as simulated:
        simulated.simulator.add_mail(count=60, received_ago_secs=9 * 86400 + 3600)
        begin = START - 10 * DAY
        stopped(simulated, timedelta(0), since=DAY)
        simulated.coverage[TO] = [Span(begin, START, Cover.READ, START)]
        source = simulated.finder(rescans=[{"every": "1h", "look_back": "12d"}], max_window="6h")
        for _ in range(30):
            simulated.clock.advance(600.0)
            await simulated.read(source)
            assert begin in [one.start for one in covered(simulated, Cover.READ)]
        assert 0.0 == simulated.metric("finder_rejected_gap_seconds_total")
        assert [] == owed(simulated, 9 * DAY)


async def test_turns_that_take_too_long_are_finished_all_the_same() -> None:
    """Where looking back takes longer than its period, each turn still comes to its end, one after the other."""
    async with world() as simulated:
        for number in range(400):
            simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=number * 54 + 30)
        stopped(simulated, timedelta(0), since=DAY)
        tiers = [{"every": "4m", "look_back": "6h"}]
        source, found = (
            simulated.finder(rescans=tiers, max_window="3h", page_size=20, interval="1m", overlap="1m"),
            set(),
        )
        for _ in range(60):
            found |= set(subjects(await read_some(simulated, source, 3)))
            simulated.clock.advance(60.0)
    assert len(found) >= 380


@pytest.mark.parametrize("ahead", [40 * DAY, 3 * HOUR], ids=str)
async def test_a_tier_led_by_a_wrong_clock_begins_again(ahead: timedelta) -> None:
    """Progress written by a clock far ahead does not keep the looks back from coming due."""
    async with world() as simulated:
        stopped(simulated, timedelta(0), since=DAY)
        source = simulated.finder(rescans=EVERY_HOUR, max_window="1h")
        wrong = (START + ahead).isoformat().encode()
        cursor = b'{"since":"%s","tiers":{"3600/43200":{"taken_until":"%s"}}}'
        simulated.cursors[TO] = cursor % ((START - DAY).isoformat().encode(), wrong)
        await simulated.read(source)
        simulated.windows()
        made = await polls(simulated, source, 59)
        read = merged(window for one in made for window in one)
    assert read[0].start <= START + HOUR - LOOK_BACK + MINUTE


async def test_a_failing_look_back_is_tried_again() -> None:
    """A turn that fails is not taken."""
    async with world() as simulated:
        stopped(simulated, timedelta(0), since=DAY)
        source = simulated.finder(rescans=[{"every": "10m", "look_back": "1h"}], overlap="0s")
        await simulated.read(source)
        simulated.clock.advance(600.0)
        polling = source.poll(simulated.progress)
        while not covered(simulated) or covered(simulated)[-1].end < START + 3 * MINUTE:
            simulated.commit(await anext(polling))
        simulated.simulator.script(Fault("fail_ok", code="err_odd", endpoint="finder"))
        errors = 0
        try:
            async for page in polling:
                simulated.commit(page)
        except Exception:  # noqa: BLE001 -- counted
            errors += 1
        simulated.windows()
        await simulated.read(source)
        assert (1, True) == (errors, any(start == START + 10 * MINUTE - HOUR for start, _ in simulated.windows()))
