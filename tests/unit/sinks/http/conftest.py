"""A running web hook."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.sinks.http.hook import Hook, running


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    """Give a web hook that listens."""
    async with running(Hook()) as found:
        yield found
