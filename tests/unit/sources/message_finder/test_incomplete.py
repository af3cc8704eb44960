"""A second that holds more mail than an answer shows: recorded once, tried again in parts, healed where that helps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from mcwatch.domain.errors import FailureReason, PermanentError
from mcwatch.domain.window.coverage import Cover
from mcwatch.domain.window.ranges import Window
from mcwatch.simulator import FinderRules, Shape
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import HOUR, MINUTE, QUIET, SECOND, add, covered, owed, subjects
from tests.unit.sources.world import World, world

CAPPED = replace(
    QUIET, finder=Shape(total_count=False, next_token=False, page_cap=10), rules=FinderRules(end_inclusive=False)
)
CROWDED = Window(START - 30 * SECOND, START - 29 * SECOND)


@asynccontextmanager
async def crowded(count: int = 8, **more: object) -> AsyncIterator[World]:
    """Run a simulator with a second of more mail than an answer shows, of three routes and two states."""
    async with world(CAPPED) as simulated:
        for route in ("inbound", "outbound", "internal"):
            for status in ("accepted", "held"):
                simulated.simulator.add_mail(
                    subject=f"{route} {status} {{n}}",
                    count=count,
                    route=route,
                    life=[(0.0, status)],
                    received_ago_secs=30,
                    **more,
                )
        yield simulated


def narrowed(simulated: World) -> int:
    """Return how many requests named a route."""
    return sum("route" in item for item in simulated.client.asked)


async def test_a_second_that_does_not_fit() -> None:
    """More mail in a second than an answer shows is counted as incomplete, and reading goes on.

    The second after it counts too: requests begin a second early, so its answer holds the same rows.
    """
    async with world(CAPPED) as simulated:
        simulated.simulator.add_mail(count=11, received_ago_secs=30)
        add(simulated, 1)
        pages = await simulated.read(simulated.finder(page_size=10))
        assert 2.0 == simulated.metric("finder_incomplete_windows_total")
        assert [Window(CROWDED.start, CROWDED.end + SECOND)] == covered(simulated, Cover.INCOMPLETE)
        assert [Window(START - HOUR, CROWDED.start), Window(CROWDED.end + SECOND, START)] == covered(simulated)
    assert "mail 0" in subjects(pages)


async def test_it_is_healed_by_route_and_status() -> None:
    """Where the API honours route and status, all mail of the second is read, and it counts as read."""
    async with crowded() as simulated:
        found = subjects(await simulated.read(simulated.finder(page_size=10)))
        assert [] == covered(simulated, Cover.INCOMPLETE) == owed(simulated, HOUR)
        assert narrowed(simulated) <= 2 * (4 + 3 * 11)
    assert 48 == len(set(found))


async def test_it_stays_incomplete_where_even_its_parts_do_not_fit() -> None:
    """A route and status with more mail than an answer shows leaves the second incomplete, tried once an hour."""
    async with crowded(11) as simulated:
        source = simulated.finder(page_size=10, overlap="5m", initial_look_back="4m")
        await simulated.read(source)
        first = narrowed(simulated)
        assert 2.0 == simulated.metric("finder_incomplete_windows_total")
        for _ in range(5):
            simulated.clock.advance(690.0)
            await simulated.read(source)
        assert first == narrowed(simulated) > 0
        simulated.clock.advance(180.0)
        await simulated.read(source)
        assert 2 * first == narrowed(simulated)
        assert 2.0 == simulated.metric("finder_incomplete_windows_total")
        assert [Window(CROWDED.start, CROWDED.end + SECOND)] == covered(simulated, Cover.INCOMPLETE)


async def test_it_stays_incomplete_where_the_api_ignores_the_fields() -> None:
    """An API that answers as if no route was named is asked a few times only, and nothing is claimed."""
    async with crowded() as simulated:
        call = simulated.client.call

        async def ignoring(endpoint: object, item: dict[str, object], *args: object, **kwargs: object) -> object:
            simulated.client.asked.append(item)
            known = {name: value for name, value in item.items() if name not in {"route", "status"}}
            return await call(endpoint, known, *args, **kwargs)  # type: ignore[arg-type]

        simulated.client.call = ignoring  # type: ignore[method-assign,assignment]
        await simulated.read(simulated.finder(page_size=10))
        assert narrowed(simulated) <= 2 * 4
        assert [Window(CROWDED.start, CROWDED.end + SECOND)] == covered(simulated, Cover.INCOMPLETE)


@pytest.mark.parametrize("reason", [FailureReason.REFUSED, FailureReason.TOO_LARGE])
async def test_it_stays_incomplete_where_the_api_refuses_the_fields(reason: FailureReason) -> None:
    """A refusal of the fields fails no poll."""
    async with crowded() as simulated:
        call = simulated.client.call

        async def refusing(endpoint: object, item: dict[str, object], *args: object, **kwargs: object) -> object:
            if "route" in item:
                simulated.client.asked.append(item)
                raise PermanentError("unknown field", reason=reason)
            return await call(endpoint, item, *args, **kwargs)  # type: ignore[arg-type]

        simulated.client.call = refusing  # type: ignore[method-assign,assignment]
        await simulated.read(simulated.finder(page_size=10))
        assert [Window(CROWDED.start, CROWDED.end + SECOND)] == covered(simulated, Cover.INCOMPLETE)
        assert narrowed(simulated) > 0


async def test_a_second_with_less_mail_later_is_healed_whole() -> None:
    """When the second fits an answer an hour later, it counts as read without any narrowing."""
    async with world(CAPPED) as simulated:
        for gone_after_secs in (600.0, 1e6):
            life = [(0.0, "held"), (gone_after_secs, "gone")]
            simulated.simulator.add_mail(count=7, received_ago_secs=30, life=life)
        source = simulated.finder(page_size=10, initial_look_back="4m")
        await simulated.read(source)
        assert covered(simulated, Cover.INCOMPLETE)
        simulated.clock.advance(3700.0)
        await simulated.read(source)
        assert [] == covered(simulated, Cover.INCOMPLETE)


async def test_an_incomplete_second_holds_up_nothing() -> None:
    """Beside it the poll reads everything else, and coverage passes it."""
    async with crowded(11) as simulated:
        source = simulated.finder(page_size=10)
        await simulated.read(source)
        simulated.clock.advance(60.0)
        await simulated.read(source)
        assert START + MINUTE <= (source.reading().covered_until or START)
        (search,) = source.reading().searches
    assert [Window(CROWDED.start, CROWDED.end + SECOND)] == search.incomplete
