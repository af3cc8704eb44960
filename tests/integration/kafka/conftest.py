"""One broker for all the tests, as its start takes seconds."""

from collections.abc import Iterator

import pytest

from tests.integration.kafka.broker import KafkaBroker


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Give a broker that has been started."""
    running = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    running.start()
    yield running
    running.kill()
