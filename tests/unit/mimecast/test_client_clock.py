"""A clock that is wrong by hours, on either side and in either direction: signatures use the server's time."""

import pytest

from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.simulator import SimulatorConfig
from tests.unit.mimecast.api import ANYTHING, Reply, scripted
from tests.unit.mimecast.api import HMAC as SCRIPTED_HMAC
from tests.unit.mimecast.world import FOUND, HMAC, OAUTH2, World, both, run

FINDER, QUEUE = Endpoint.MESSAGE_FINDER, Endpoint.PROCESSING_QUEUE
HOURS = 3600.0
wrong = pytest.mark.parametrize("ahead_secs", [2 * HOURS, -2 * HOURS, 26 * HOURS, -26 * HOURS, 365 * 24 * HOURS])


async def rows(world: World) -> int:
    """Search the last hour of the server's time; returns how many rows there are."""
    answer = await world.client.call(FINDER, world.search(), FOUND)
    return sum(len(item.trackedEmails) for item in answer.items or [])


@wrong
async def test_signatures_are_right_after_one_refused_request(ahead_secs: float) -> None:
    """With API 1.0 the first request is refused for its date; the repetition and all that follow are not."""
    async with run(HMAC, SimulatorConfig(clock_offset_secs=ahead_secs)) as world:
        await world.client.call(QUEUE, {"type": "processing"}, FOUND)
        assert {401: 1, 200: 1} == dict(world.simulator.stats.statuses)
        assert await rows(world)
        assert {401: 1, 200: 2} == dict(world.simulator.stats.statuses)
        assert world.client.skew_secs == pytest.approx(ahead_secs, abs=1.0)
        assert world.clock.sleeps == []


@wrong
async def test_tokens_tell_the_time_before_the_first_call(ahead_secs: float) -> None:
    """With API 2.0 the token's answer is enough: no request is refused, and the first window lies right."""
    async with run(OAUTH2, SimulatorConfig(clock_offset_secs=ahead_secs)) as world:
        await world.client.prepare()
        assert await rows(world)
        assert {200: 2} == dict(world.simulator.stats.statuses)


@both
@pytest.mark.parametrize("jump_secs", [5 * HOURS, -5 * HOURS])
async def test_a_machine_whose_clock_is_set_goes_on(auth: dict[str, str], jump_secs: float) -> None:
    """When somebody sets this machine's clock between two calls, not even one request is refused."""
    async with run(auth, SimulatorConfig()) as world:
        await rows(world)
        world.clock.jump(jump_secs)
        assert await rows(world)
        assert 0 == world.simulator.stats.statuses[401]
        assert world.client.skew_secs == pytest.approx(-jump_secs, abs=1.0)


async def test_a_page_of_a_proxy_does_not_tell_the_apis_time() -> None:
    """What answers in the API's place speaks for its own clock, so that signatures stay right."""
    async with scripted(SCRIPTED_HMAC) as (api, client):
        await client.call(FINDER, {}, ANYTHING)
        api.replies = [Reply(502, b"<html>", {"Date": "Mon, 05 Jan 2026 03:00:00 GMT"})]
        await client.call(FINDER, {}, ANYTHING)
        assert client.skew_secs == pytest.approx(0.0, abs=1.0)
    assert {"09:30"} == {asked.headers["x-mc-date"][17:22] for asked in api.asked}
