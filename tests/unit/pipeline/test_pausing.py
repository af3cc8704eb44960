"""When a dispatcher looks again."""

import asyncio

from mcwatch.pipeline.pausing import Lingering, NextLook
from mcwatch.telemetry.liveness import resting
from tests.fakes.clock import FakeClock


async def test_the_earliest_moment_noted_counts() -> None:
    """Later ones change nothing, in whatever order they were noted."""
    clock = FakeClock()
    look = NextLook(clock)
    for secs in (30.0, 5.0, 60.0):
        look.within(secs, "backoff")
    await look.wait(asyncio.Event(), resting)
    assert [5.0] == clock.sleeps


async def test_news_is_sooner_than_any_moment() -> None:
    """It ends the wait, and with it the sleep; a moment once forgotten counts no more."""
    clock, news = FakeClock(manual=True), asyncio.Event()
    look = NextLook(clock)
    look.within(1.0, "backoff")
    look.forget()
    look.within(3600.0, "backoff")
    async with asyncio.TaskGroup() as group:
        group.create_task(look.wait(news, resting))
        await clock.asleep.wait()
        news.set()
    assert ([3600.0], 0.0) == (clock.sleeps, clock.monotonic())


async def test_with_nothing_noted_only_news_ends_the_wait() -> None:
    """It is the caller who says what is waited for then."""
    clock, news, asked = FakeClock(), asyncio.Event(), asyncio.Event()

    def idling() -> resting:
        asked.set()
        return resting("no event to send")

    async with asyncio.TaskGroup() as group:
        group.create_task(NextLook(clock).wait(news, idling))
        await asked.wait()
        news.set()
    assert [] == clock.sleeps


def test_a_batch_lingers_from_its_first_event() -> None:
    """More events do not prolong the time, enough of them end it, and the next batch has all of it again."""
    clock = FakeClock()
    lingering = Lingering(clock, 10.0)
    assert (0.0, 10.0) == (lingering.left_secs(0, 5), lingering.left_secs(1, 5))
    clock.advance(7.0)
    assert 3.0 == lingering.left_secs(4, 5)
    assert (0.0, 10.0) == (lingering.left_secs(5, 5), lingering.left_secs(1, 5))
    clock.advance(10.0)
    assert (0.0, 10.0) == (lingering.left_secs(1, 5), lingering.left_secs(1, 5))
