"""A HEC on loopback, and sinks for it."""

from collections.abc import AsyncIterator, Callable

import pytest

from mcwatch.sinks.splunk_hec import SplunkHecSinkConfig
from tests.fakes.hec import TOKEN, Hec

Configure = Callable[..., SplunkHecSinkConfig]


@pytest.fixture
async def hec() -> AsyncIterator[Hec]:
    """Give a running HEC with one indexer."""
    async with Hec() as running:
        yield running


@pytest.fixture
def configure(hec: Hec) -> Configure:
    """Give a function that configures a sink for the HEC; options as in YAML."""

    def configured(**options: object) -> SplunkHecSinkConfig:
        usual = {"type": "splunk_hec", "url": hec.url, "token": TOKEN, "timeout": "1s", "host": "h"}
        return SplunkHecSinkConfig.model_validate(usual | options)

    return configured
