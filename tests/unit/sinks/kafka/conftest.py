"""A broker for each test, and sinks for it."""

from collections.abc import AsyncIterator, Callable

import pytest

from mcwatch.interfaces import Sink
from mcwatch.sinks.kafka import KafkaSinkConfig
from tests.fakes.kafka import FakeBroker

SinkMaker = Callable[..., Sink]


@pytest.fixture
async def broker() -> AsyncIterator[FakeBroker]:
    """Give a broker that listens."""
    fake = FakeBroker()
    await fake.start()
    yield fake
    fake.answers.set()
    await fake.stop()


@pytest.fixture
def sink_for(broker: FakeBroker) -> SinkMaker:
    """Give a function that builds a sink for the broker, with further options."""

    def build(**options: object) -> Sink:
        given = {"brokers": [broker.address], "topic": broker.topic, "security": {"protocol": "plaintext"}}
        return KafkaSinkConfig.model_validate({"type": "kafka", **given, **options}).build()

    return build
