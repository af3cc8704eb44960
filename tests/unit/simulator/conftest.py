"""A simulator on loopback whose time the test moves."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest

from mcwatch.simulator import Simulator, SimulatorConfig
from tests.unit.simulator.client import Client, FakeClock

Start = Callable[[SimulatorConfig], Awaitable[Client]]


@pytest.fixture
def clock() -> FakeClock:
    """Time under the test's control."""
    return FakeClock()


@pytest.fixture
async def start(clock: FakeClock) -> AsyncIterator[Start]:
    """A function that starts a simulator and returns a client with a token."""
    async with AsyncExitStack() as stack:

        async def start(config: SimulatorConfig) -> Client:
            simulator = await stack.enter_async_context(Simulator(config, clock))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            client = Client(session, simulator)
            await client.log_in(config.accounts[0].name)
            return client

        yield start


@pytest.fixture
async def quiet(start: Start) -> Client:
    """A client of a simulator without mail of its own."""
    return await start(SimulatorConfig.quiet())
