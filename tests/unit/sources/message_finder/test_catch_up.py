"""After a stop: the newest first, then the oldest missing, window by window, until the next poll is due."""

from datetime import timedelta

import pytest

from mcwatch.domain.errors import TransientError
from mcwatch.domain.window.ranges import Window, merged
from mcwatch.mimecast.quota import Priority
from mcwatch.simulator import Fault
from mcwatch.sources.message_finder import MessageFinderSource
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    between,
    covered,
    owed,
    read_some,
    stopped,
    subjects,
)
from tests.unit.sources.world import World, world


async def slowly(simulated: World, source: MessageFinderSource, secs: float) -> list[tuple[float, bool]]:
    """Poll while each page takes so long; return when each came and whether it claimed anything."""
    found = []
    async for page in source.poll(simulated.progress):
        simulated.commit(page)
        found.append((simulated.clock.monotonic(), bool(page.covered)))
        simulated.clock.advance(secs)
    return found


async def test_the_newest_does_not_wait_for_the_oldest() -> None:
    """After a stop of a week the last minutes are read first, then everything from the stop on, oldest first."""
    async with world() as simulated:
        stopped(simulated, 6 * DAY)
        source = simulated.finder(overlap="5m", max_window="6h")
        await simulated.read(source)
        (fresh, *rest) = simulated.windows()
        assert (START - 8 * MINUTE, START) == fresh
        begin = START - 6 * DAY
        assert (begin - 5 * MINUTE, begin + 6 * HOUR - 5 * MINUTE) == rest[0]
        assert sorted(rest) == rest
        assert [Window(begin - 5 * MINUTE, START - 8 * MINUTE)] == merged(Window(*one) for one in rest)
        assert all(end - start <= 6 * HOUR for start, end in rest)
        assert [Window(begin - HOUR, START)] == covered(simulated)
        assert START == source.reading().covered_until


async def test_order_of_service() -> None:
    """The fresh window goes before catching up in the quota, and both before the looks back."""
    given: list[Priority] = []
    async with world() as simulated:
        stopped(simulated, HOUR)
        source = simulated.finder(rescans=[{"every": "10m", "look_back": "1h"}])
        call = simulated.client.call

        async def noting(*args: object, priority: Priority, **kwargs: object) -> object:
            given.append(priority)
            return await call(*args, priority=priority, **kwargs)  # type: ignore[arg-type]

        simulated.client.call = noting  # type: ignore[method-assign,assignment]
        await simulated.read(source)
        simulated.clock.advance(600.0)
        await simulated.read(source)
    assert [Priority.FRESH, Priority.CATCH_UP] == given[:2]
    assert Priority.RESCAN == given[-1]


async def test_a_poll_ends_when_the_next_is_due() -> None:
    """Catching up stops at the end of the interval and goes on from there at the next poll, fresh minutes first."""
    async with world() as simulated:
        stopped(simulated, 3 * DAY)
        source = simulated.finder(overlap="5m", max_window="1h", interval="1m")
        came = await slowly(simulated, source, 20.0)
        assert came[-1][0] < 60.0 <= came[-1][0] + 20.0
        first = simulated.windows()
        await slowly(simulated, source, 20.0)
        second = simulated.windows()
        assert second[0][0] == START - 5 * MINUTE
        assert first[-1][1] == second[1][0]
        assert {HOUR} == {end - start for start, end in second[1:]}


async def test_a_poll_that_is_always_late_still_catches_up() -> None:
    """Where fresh mail takes all of every interval, one missing window is read every few minutes nevertheless."""
    async with world() as simulated:
        stopped(simulated, 4 * HOUR)
        source = simulated.finder(overlap="5m", max_window="1h", interval="1m")
        before = owed(simulated, 4 * HOUR)
        for _ in range(12):
            await slowly(simulated, source, 90.0)
        left = [one for one in owed(simulated, 5 * HOUR) if one.start < START - HOUR]
    assert sum((one.length for one in before), timedelta(0)) > sum((one.length for one in left), timedelta(0))
    assert START - 3 * HOUR <= min((one.start for one in left), default=START)


@pytest.mark.parametrize("max_window", ["1m", "2m", "10m"])
async def test_an_overlap_wider_than_a_window_is_passed(max_window: str) -> None:
    """Catching up gets past the overlap before the hole, however small the windows and however late the polls."""
    async with world() as simulated:
        stopped(simulated, HOUR)
        source = simulated.finder(overlap="5m", max_window=max_window, interval="1m")
        for _ in range(6):
            await slowly(simulated, source, 25.0)
        stuck = [one for one in owed(simulated, 2 * HOUR) if one.start <= START - HOUR]
    assert [] == stuck


async def test_catching_up_survives_a_restart() -> None:
    """What was caught up before a restart is not read again."""
    async with world() as simulated:
        stopped(simulated, DAY)
        source = simulated.finder(overlap="5m", max_window="1h")
        await read_some(simulated, source, 6)
        first = simulated.windows()
        async with simulated.restarted() as again:
            await again.read(again.finder(overlap="5m", max_window="1h"))
            rest = again.windows()
        assert first[-1][1] in {one[0] for one in rest}
        assert [] == between(rest, START - 2 * DAY, first[-1][1])
        assert [] == owed(simulated, DAY)


async def test_mail_of_the_stop_is_found() -> None:
    """Every mail that came while polls were not made is read by the polls after."""
    async with world() as simulated:
        names = {f"mail {number}" for number in range(60)}
        for number in range(60):
            simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=number * 3600 + 7)
        stopped(simulated, 60 * HOUR)
        found = set(subjects(await simulated.read(simulated.finder())))
    assert names == found


async def test_a_late_row_before_the_stop_is_found() -> None:
    """A row of the last minute before a stop that appeared only afterwards is read by the overlap."""
    async with world() as simulated:
        source = simulated.finder(overlap="5m")
        await simulated.read(source)
        simulated.simulator.add_mail(subject="late", received_ago_secs=30, life=[(600.0, "accepted")])
        simulated.clock.advance(5 * 3600.0)
        assert "late" in subjects(await simulated.read(source))


async def test_a_catch_up_that_fails_holds_up_no_fresh_window() -> None:
    """A poll whose catching up fails has read what is new; the next one tries a narrower window of the same hole."""
    async with world() as simulated:
        stopped(simulated, DAY)
        source = simulated.finder(max_window="6h", overlap="0s")
        polling = source.poll(simulated.progress)
        while not covered(simulated) or covered(simulated)[-1].end < START:
            simulated.commit(await anext(polling))
        simulated.simulator.script(Fault("error_html", times=4, endpoint="finder"))
        with pytest.raises(TransientError):
            await anext(polling)
        simulated.windows()
        await simulated.read(source)
        asked = [one for one in simulated.windows() if one[0] < START - HOUR]
        assert (START - DAY, START - DAY + 3 * HOUR) == asked[0]
        assert [] == owed(simulated, DAY - SECOND)
