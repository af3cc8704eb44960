"""All that is used of aiokafka: its connections, requests and record batches.

Its connections and not its producer, for four reasons: that one never gives up a batch, so that it cannot be stopped
while the broker is away; it keeps to itself why a connection failed (credential, certificate); after a batch that is
refused it leaves a gap in the sequence, behind which later events may overtake; and it cuts record batches by itself,
so that a refusal tells of no event. aiokafka has no types, hence the narrow seam.
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka.conn import AIOKafkaConnection  # type: ignore[import-untyped]  # it has no types
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError  # type: ignore[import-untyped]  # as above
from aiokafka.partitioner import DefaultPartitioner  # type: ignore[import-untyped]  # as above
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]  # as above
from aiokafka.protocol.produce import ProduceRequest  # type: ignore[import-untyped]  # as above
from aiokafka.protocol.transaction import InitProducerIdRequest  # type: ignore[import-untyped]  # as above
from aiokafka.record.default_records import DefaultRecordBatchBuilder  # type: ignore[import-untyped]  # as above

from mcwatch.sinks.kafka.endpoint import Endpoint

__all__ = ["IncompatibleBrokerVersion", "KafkaError"]

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Compression = Literal["none", "gzip"]
RecordHeaders = list[tuple[str, bytes]]

_CODECS: dict[Compression, int] = {"none": 0, "gzip": 1}
_MAGIC = 2  # record batches with producer ids and headers, Kafka 0.11 and newer
_ALL_IN_SYNC = -1
_ANY_LENGTH_MS = 2**31 - 1  # what a producer without transactions says
_CLOSE_SECS = 1.0
_PARTITIONER = DefaultPartitioner()


@dataclass(frozen=True, slots=True)
class Login:
    """A SASL user."""

    mechanism: Mechanism
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.mechanism})"


@dataclass(frozen=True, slots=True)
class Topic:
    """What a broker says of the topic: its error code, and the leader's number by partition."""

    error_code: int
    leaders: dict[int, int]


@dataclass(frozen=True, slots=True)
class Producer:
    """An idempotent producer's name as the cluster gave it."""

    number: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Record:
    """One event as a record."""

    key: bytes
    value: bytes
    headers: RecordHeaders


class Link:
    """One connection to one broker; requests may overlap, and the broker answers them in order.

    Every method raises KafkaError, OSError (TimeoutError among them) or EOFError when the connection fails.
    """

    def __init__(self, connection: Any, writer: asyncio.StreamWriter) -> None:  # noqa: ANN401 - aiokafka has no types
        self._connection = connection
        self._writer = writer
        self._ended: asyncio.Future[None] | None = None

    @classmethod
    async def open(
        cls, endpoint: Endpoint, tls: ssl.SSLContext | None, login: Login | None, timeout_secs: float
    ) -> "Link":
        """Connect, agree on versions and log in."""
        # It warns of a password in the clear at every connection; check() does so once.
        logging.getLogger("aiokafka").setLevel(logging.ERROR)  # noqa: TID251 - the library's, not ours
        connection = AIOKafkaConnection(
            endpoint.host,
            endpoint.port,
            client_id="mcwatch",
            request_timeout_ms=round(timeout_secs * 1000),
            ssl_context=tls,
            security_protocol=("SASL_" if login else "") + ("SSL" if tls else "PLAINTEXT"),
            sasl_mechanism=login.mechanism if login else None,
            sasl_plain_username=login.username if login else None,
            sasl_plain_password=login.password if login else None,
        )
        try:
            _, writer = await connection.connect()
        except KafkaError:
            # It was turned away by a broker that it had reached, and has begun to say goodbye.
            await asyncio.wait([connection.close()], timeout=_CLOSE_SECS)
            raise
        return cls(connection, writer)

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it yet, as far as is known."""
        return bool(self._connection.connected())

    async def topic(self, name: str) -> tuple[dict[int, Endpoint], Topic]:
        """Return the brokers by number, and what this one knows of the topic, which it must not create."""
        answer = await self._connection.send(MetadataRequest([name], allow_auto_topic_creation=False))
        brokers = {broker[0]: Endpoint(broker[1], broker[2]) for broker in answer.brokers}
        error_code, _, _, partitions = answer.topics[0]
        return brokers, Topic(error_code, {partition: leader for _, partition, leader, *_ in partitions})

    async def new_producer(self) -> tuple[int, Producer]:
        """Return an error code, and the name of a new idempotent producer."""
        answer = await self._connection.send(InitProducerIdRequest(None, _ANY_LENGTH_MS))
        return answer.error_code, Producer(answer.producer_id, answer.producer_epoch)

    async def produce(self, topic: str, partition: int, batch: bytes, replicas_secs: float) -> int:
        """Hand a record batch to the partition's leader; return the error code once all in-sync replicas have it."""
        request = ProduceRequest(None, _ALL_IN_SYNC, round(replicas_secs * 1000), [(topic, [(partition, batch)])])
        answer = await self._connection.send(request)
        error_code: int = answer.topics[0][1][0][1]
        return error_code

    def close(self) -> None:
        """Close it at once, so that what is not on the wire yet stays unsent."""
        self._ended = self._connection.close()
        self._writer.transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the closed connection is gone."""
        if self._ended is not None:
            await asyncio.wait([self._ended])


def partition_of(key: bytes, count: int) -> int:
    """Return the partition that Kafka's own Java client would choose for the key."""
    partition: int = _PARTITIONER(key, range(count), ())
    return partition


class RecordBatch:
    """Records for one partition as the wire wants them, up to a number of bytes before packing; one always fits."""

    def __init__(self, producer: Producer, sequence: int, compression: Compression, most_bytes: int) -> None:
        self._builder = DefaultRecordBatchBuilder(
            magic=_MAGIC,
            compression_type=_CODECS[compression],
            is_transactional=0,
            producer_id=producer.number,
            producer_epoch=producer.epoch,
            base_sequence=sequence,
            batch_size=most_bytes,
        )
        self._packs = compression != "none"

    def fill(self, records: Sequence[Record]) -> int:
        """Take records from the first on, with the time of now; return how many fitted."""
        for offset, record in enumerate(records):
            # Their time is that of sending: Kafka deletes by it, and would drop a late event the moment it came.
            taken = self._builder.append(
                offset, timestamp=None, key=record.key, value=record.value, headers=record.headers
            )
            if taken is None:
                return offset
        return len(records)

    async def packed(self) -> bytes:
        """Return the bytes, which may be asked for once."""
        build = self._builder.build
        return bytes(await asyncio.to_thread(build) if self._packs else build())
