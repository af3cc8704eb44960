"""A Kafka broker played by the fake; the real one's tests are in tests/integration/kafka."""

from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.contract.sink_targets.base import STALL_SECS, ConfiguredTarget
from tests.fakes.kafka import FakeBroker


class KafkaTarget(ConfiguredTarget):
    """One broker with a topic of three partitions."""

    type = "kafka"

    def __init__(self, directory: Path, compression: str = "none") -> None:
        super().__init__(directory)
        self._compression = compression
        self._broker = FakeBroker(partitions=3, heard=self.heard)

    @override
    async def start(self) -> None:
        await self._broker.start()

    @override
    async def stop(self) -> None:
        await self._broker.stop()

    @override
    async def stall(self) -> None:
        self._broker.answers.clear()

    @override
    async def unstall(self) -> None:
        self._broker.answers.set()

    @override
    def options(self) -> dict[str, Any]:
        return {
            "brokers": [self._broker.address],
            "topic": self._broker.topic,
            "security": {"protocol": "plaintext"},
            "compression": self._compression,
            "timeout": f"{STALL_SECS}s",
        }

    @override
    def payloads(self) -> list[bytes]:
        return [record.value for record in self._broker.log]
