"""A Kafka broker of a few requests, for one topic, that knows idempotent producers and can be made to fail."""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from aiokafka.protocol.metadata import MetadataResponse_v3  # type: ignore[import-untyped]  # it has no types
from aiokafka.protocol.produce import (  # type: ignore[import-untyped]  # as above
    ProduceRequest_v3,
    ProduceResponse_v3,
)
from aiokafka.protocol.transaction import InitProducerIdResponse_v0  # type: ignore[import-untyped]  # as above
from aiokafka.record.memory_records import MemoryRecords  # type: ignore[import-untyped]  # as above

from tests.fakes.http_server import free_port

_PRODUCE, _METADATA, _API_VERSIONS, _INIT_PRODUCER_ID = 0, 3, 18, 22
_VERSIONS = {_PRODUCE: 3, _METADATA: 4, _INIT_PRODUCER_ID: 0}
_OUT_OF_ORDER, _TOO_LARGE, _INVALID_RECORD = 45, 10, 87


@dataclass(frozen=True)
class Written:
    """A record in the log."""

    partition: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]
    timestamp_ms: int


@dataclass
class FakeBroker:
    """The only broker of its cluster.

    Args:
        partitions: how many the topic has.
        topic_error: what it says when asked for the topic.
        naming: what it answers to producers that want a name, one after the other, without giving one.
        faults: what it answers to record batches to come, one after the other, without writing them; 0 writes.
        after: the same for batches that it has written all the same.
        most_bytes: the largest record batch it takes.
        refused: values it calls invalid.
    """

    partitions: int = 1
    topic: str = "mail"
    topic_error: int = 0
    naming: list[int] = field(default_factory=list)
    leaderless: bool = False
    faults: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    most_bytes: int = 2**30
    refused: Callable[[bytes], bool] = lambda _value: False
    heard: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.port = free_port()
        self.log: list[Written] = []
        self.batches: list[int] = []
        """How many records each record batch asked to be written had."""
        self.producers = 0
        self.connections = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._next: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Break all connections and listen no more; the log stays."""
        if self._server:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._quiet.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._quiet.clear()
        self.connections += 1
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                request = await reader.readexactly(size)
                if answer := await self._answer(request):
                    writer.write(struct.pack(">i", len(answer) + 4) + request[4:8] + answer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)
            if not self._writers:
                self._quiet.set()

    async def _answer(self, request: bytes) -> bytes:
        key, _, _, length = struct.unpack(">hhih", request[:10])
        body = BytesIO(request[10 + length :])
        if key == _API_VERSIONS:
            versions = b"".join(struct.pack(">hhh", api, version, version) for api, version in _VERSIONS.items())
            return struct.pack(">hi", 0, len(_VERSIONS)) + versions
        if key == _METADATA:
            return self._metadata()
        if key == _INIT_PRODUCER_ID:
            code = self.naming.pop(0) if self.naming else 0
            self.producers += not code
            return _encoded(InitProducerIdResponse_v0(0, code, self.producers, 0))
        self.heard()
        await self.answers.wait()
        return self._produced(ProduceRequest_v3.decode(body))

    def _metadata(self) -> bytes:
        leader = 7 if self.leaderless else 1
        partitions = [(0, number, leader, [1], [1]) for number in range(self.partitions)]
        topics = [(self.topic_error, self.topic, False, [] if self.topic_error else partitions)]
        return _encoded(MetadataResponse_v3(0, [(1, "127.0.0.1", self.port, None)], "cluster", 1, topics))

    def _produced(self, request: Any) -> bytes:  # noqa: ANN401 - aiokafka has no types
        topic, [(partition, data)] = request.topics[0]
        batch = MemoryRecords(data).next_batch()
        records = [
            Written(partition, record.key, record.value, dict(record.headers), record.timestamp) for record in batch
        ]
        self.batches.append(len(records))
        code = self._write(partition, batch.producer_id, batch.base_sequence, records, len(data))
        self.heard()
        return _encoded(ProduceResponse_v3([(topic, [(partition, code, 0, -1)])], 0))

    def _write(self, partition: int, producer: int, sequence: int, records: list[Written], size: int) -> int:
        if self.faults and (fault := self.faults.pop(0)):
            return fault
        if size > self.most_bytes:
            return _TOO_LARGE
        if any(self.refused(record.value) for record in records):
            return _INVALID_RECORD
        expected = self._next[producer, partition]
        if sequence not in {expected, expected - len(records)}:
            return _OUT_OF_ORDER
        if sequence == expected:
            self._next[producer, partition] += len(records)
            self.log += records
        return self.after.pop(0) if self.after else 0


def _encoded(answer: Any) -> bytes:  # noqa: ANN401 - aiokafka has no types
    encoded: bytes = answer.encode()
    return encoded
