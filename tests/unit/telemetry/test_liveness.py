"""Loops that turn, loops that rest, and loops that hang."""

import asyncio
from math import inf

import pytest

from mcwatch.telemetry.liveness import (
    ALLOWANCE_SECS,
    Liveness,
    StuckLoop,
    beside,
    current,
    holding,
    part_of,
    resting,
    turns,
)
from tests.fakes.clock import FakeClock

LONG_SECS = 1e9


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands still."""
    return FakeClock()


@pytest.fixture
def liveness(clock: FakeClock) -> Liveness:
    """Give a registry without loops."""
    return Liveness(clock.monotonic)


def _names(liveness: Liveness, clock: FakeClock) -> list[str]:
    return [one.name for one in liveness.stuck(clock.monotonic())]


def test_a_silent_loop_is_stuck_once_its_allowance_is_over(liveness: Liveness, clock: FakeClock) -> None:
    """It is named with the moment of its last sign of life and what it did then; a sign clears it."""
    with liveness.loop("poll acme/queue"):
        clock.advance(10)
        turns("poll")
        clock.advance(ALLOWANCE_SECS)
        assert [] == liveness.stuck(clock.monotonic())
        assert "" == liveness.summary(clock.monotonic())
        clock.advance(1)
        assert [StuckLoop("poll acme/queue", 10.0, "poll")] == liveness.stuck(clock.monotonic())
        assert "poll acme/queue hangs (poll)" == liveness.summary(clock.monotonic())
        turns("poll")
        assert [] == liveness.stuck(clock.monotonic())


def test_a_loop_that_ends_leaves_the_registry(liveness: Liveness, clock: FakeClock) -> None:
    """Also with an error: what no longer runs cannot hang."""
    with pytest.raises(ZeroDivisionError), liveness.loop("gone"):
        raise ZeroDivisionError
    clock.advance(LONG_SECS)
    assert [] == liveness.stuck(clock.monotonic())
    assert current() is None


def test_a_rest_holds_until_its_moment(liveness: Liveness, clock: FakeClock) -> None:
    """A quota closed for hours is no hang; sleeping past the moment it opens, for longer than the allowance, is."""
    with liveness.loop("poll"), resting("quota", 7200):
        clock.advance(7200 + ALLOWANCE_SECS)
        assert [] == _names(liveness, clock)
        clock.advance(1)
        assert [StuckLoop("poll", 0.0, "quota")] == liveness.stuck(clock.monotonic())


def test_the_allowance_begins_anew_after_a_rest(liveness: Liveness, clock: FakeClock) -> None:
    """A rest that was cut short excuses nothing afterwards, and the reason is again the one before it."""
    with liveness.loop("poll"):
        turns("poll")
        with resting("quota", 7200):
            clock.advance(60)
        clock.advance(ALLOWANCE_SECS)
        assert [] == _names(liveness, clock)
        clock.advance(1)
        assert [StuckLoop("poll", 60.0, "poll")] == liveness.stuck(clock.monotonic())


def test_a_rest_without_an_end_is_never_stuck(liveness: Liveness, clock: FakeClock) -> None:
    """Nobody has to send events."""
    with liveness.loop("deliver"), resting("no event to send", inf):
        clock.advance(LONG_SECS)
        assert [] == _names(liveness, clock)


def test_of_rests_inside_each_other_the_longest_counts(liveness: Liveness, clock: FakeClock) -> None:
    """The end of the shorter one does not take away the excuse of the longer."""
    with liveness.loop("deliver"), resting("backoff", 7200):
        with resting(secs=10):
            clock.advance(10)
        clock.advance(7000)
        assert [] == _names(liveness, clock)


def test_a_loop_that_rests_on_its_parts_needs_some(liveness: Liveness, clock: FakeClock) -> None:
    """While a part runs the loop is excused, and the part judged by its own allowance; without any it hangs."""
    with liveness.loop("deliver splunk") as loop:
        part = part_of(loop, "batch", 3600)
        with resting("batches under way", on_parts=True):
            with part:
                clock.advance(3600)
                assert [] == _names(liveness, clock)
                clock.advance(1)
                assert ["deliver splunk: batch"] == _names(liveness, clock)
            clock.advance(ALLOWANCE_SECS)
            assert [] == _names(liveness, clock)
            clock.advance(1)
            assert ["deliver splunk"] == _names(liveness, clock)


def test_what_goes_on_beside_a_loop_does_not_speak_for_it(liveness: Liveness, clock: FakeClock) -> None:
    """The signs of life of a task beside the loop are its own, and it is nothing the loop may rest on."""
    with liveness.loop("deliver"), resting("batches under way", on_parts=True), beside("receipts"):
        clock.advance(ALLOWANCE_SECS + 1)
        turns("acknowledgements")
        assert ["deliver"] == _names(liveness, clock)


def test_a_process_that_stood_still_blames_no_loop(liveness: Liveness, clock: FakeClock) -> None:
    """After a suspended night every loop has its allowance from now on."""
    with liveness.loop("poll"):
        clock.advance(LONG_SECS)
        liveness.pardon(clock.monotonic())
        clock.advance(ALLOWANCE_SECS)
        assert [] == _names(liveness, clock)
        clock.advance(1)
        assert ["poll"] == _names(liveness, clock)


async def test_the_wait_for_a_lock_is_a_rest(liveness: Liveness, clock: FakeClock) -> None:
    """Whoever holds the lock is watched; those behind it hang no more than it does."""
    lock = asyncio.Lock()

    async def hold() -> None:
        async with holding(lock, "token"):
            turns("request")

    await lock.acquire()
    async with asyncio.TaskGroup() as group:
        group.create_task(liveness.watched("poll", hold))
        await asyncio.sleep(0)
        clock.advance(LONG_SECS)
        assert [] == _names(liveness, clock)
        lock.release()
    assert not lock.locked()


async def test_tasks_speak_for_their_own_loop(liveness: Liveness, clock: FakeClock) -> None:
    """Two loops that call the same code below them are told apart."""
    go_on = asyncio.Event()

    async def silent() -> None:
        await go_on.wait()

    async def lively() -> None:
        while not go_on.is_set():
            turns("poll")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(liveness.watched("silent", silent))
        group.create_task(liveness.watched("lively", lively))
        await asyncio.sleep(0)
        clock.advance(ALLOWANCE_SECS + 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ["silent"] == _names(liveness, clock)
        go_on.set()


def test_without_a_loop_nothing_happens() -> None:
    """Commands and tests need no registry."""
    turns("poll")
    with resting("quota", 10), beside("receipts"), part_of(None, "batch") as part:
        assert part is None
    assert current() is None
