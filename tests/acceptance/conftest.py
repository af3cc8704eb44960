"""What the acceptance tests share: a directory for the process, a quiet simulated API, receivers that listen."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcwatch.simulator import QuotaConfig, Simulator, SimulatorConfig
from tests.acceptance.counterparts import Hook, SyslogServer
from tests.fakes.elasticsearch import BulkReceiver
from tests.fakes.hec import Hec

PLENTY = QuotaConfig(calls=1_000_000)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory the process lives in."""
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A simulated API without mail but what the test adds, and with a quota that plays no part."""
    async with Simulator(SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, quota=PLENTY)) as running:
        yield running


@pytest.fixture
async def webhook() -> AsyncIterator[Hook]:
    """A web hook that accepts everything."""
    async with Hook() as running:
        yield running


@pytest.fixture
async def syslog_server() -> AsyncIterator[SyslogServer]:
    """A syslog server over TCP."""
    async with SyslogServer() as running:
        yield running


@pytest.fixture
async def hec() -> AsyncIterator[Hec]:
    """A Splunk with indexer acknowledgement."""
    async with Hec() as running:
        yield running


@pytest.fixture
async def elastic() -> AsyncIterator[BulkReceiver]:
    """An Elasticsearch with the data stream that the tests write to."""
    receiver = BulkReceiver()
    await receiver.start()
    yield receiver
    await receiver.stop()
