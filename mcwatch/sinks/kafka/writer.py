"""Record batches on their way: one at a time per partition, each under a number by which the broker knows it again.

That is what makes the producer idempotent (KIP-98): the broker writes a number once. A batch of which it is not known
whether it was written is kept; when its events are sent again, the very same batch goes out under the same number. Were
other events sent under it, the broker would take them for the old ones and drop them, so a batch that is cut
differently gets a new producer.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.errors import FailureReason, McwatchError, TransientError
from mcwatch.sinks.kafka.cluster import Access, Cluster
from mcwatch.sinks.kafka.failures import (
    DUPLICATE_SEQUENCE,
    LOST_PRODUCER,
    NOT_KNOWN,
    REFUSALS,
    TOO_LARGE,
    answered,
)
from mcwatch.sinks.kafka.wire import Compression, Producer, Record, RecordBatch

_SEQUENCES = 2**31
_CLOSE_SECS = 1.0

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The events of one record batch, and its bytes."""

    records: Sequence[Record]
    data: bytes


@dataclass(slots=True)
class _Identity:
    """One producer: its next number in each partition, and what may have been written under it."""

    producer: Producer
    sequences: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    doubtful: dict[int, _Chunk] = field(default_factory=dict)


class Writer:
    """Writes to the topic; whatever fails is given up at once, and the next call begins with new connections."""

    def __init__(self, access: Access, compression: Compression, most_bytes: int) -> None:
        self._access = access
        self._compression = compression
        self._most_bytes = most_bytes
        self._cluster: Cluster | None = None
        self._users: defaultdict[Cluster, int] = defaultdict(int)
        self._identity: _Identity | None = None
        self._opening = asyncio.Lock()
        self._naming = asyncio.Lock()
        self._one_at_a_time: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def partitions(self) -> int:
        """Return how many partitions the topic has; raises the errors of :meth:`Sink.deliver`."""
        return (await self._opened()).partitions

    async def write(self, partition: int, records: Sequence[Record]) -> int | Refusal:
        """Write records from the first on; return how many were, or the broker's refusal of the first one.

        Raises the errors of :meth:`Sink.deliver`.
        """
        async with self._one_at_a_time[partition]:
            cluster = await self._opened()
            self._users[cluster] += 1
            try:
                return await self._write(cluster, partition, records)
            except TransientError:
                self.give_up(cluster)
                raise
            finally:
                self._users[cluster] -= 1
                self._close_unused(cluster)

    def give_up(self, cluster: Cluster | None = None) -> None:
        """Have the next call open new connections; None means the present ones."""
        cluster = cluster or self._cluster
        if cluster and cluster is self._cluster:
            self._cluster = None
            self._close_unused(cluster)

    async def close(self) -> None:
        """Close all connections, without waiting for answers."""
        clusters = {*self._users, *filter(None, [self._cluster])}
        self._cluster = None
        self._users.clear()
        for cluster in clusters:
            cluster.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECS):
                for cluster in clusters:
                    await cluster.wait_closed()

    async def _opened(self) -> Cluster:
        async with self._opening:
            if self._cluster is None:
                self._cluster = await Cluster.open(self._access)
            return self._cluster

    def _close_unused(self, cluster: Cluster) -> None:
        # Who still waits for an answer of it, for another partition, gets it.
        if cluster is not self._cluster and not self._users[cluster]:
            del self._users[cluster]
            cluster.close()

    async def _write(self, cluster: Cluster, partition: int, records: Sequence[Record]) -> int | Refusal:
        while True:
            identity, chunk = await self._next(cluster, partition, records)
            is_repeated = identity.doubtful.get(partition) is chunk
            identity.doubtful[partition] = chunk
            code = await cluster.produce(partition, chunk.data)
            if not code or (code == DUPLICATE_SEQUENCE and is_repeated):
                del identity.doubtful[partition]
                identity.sequences[partition] = (identity.sequences[partition] + len(chunk.records)) % _SEQUENCES
                return len(chunk.records)
            if code not in REFUSALS:
                raise self._failure(code, identity)
            del identity.doubtful[partition]
            if len(chunk.records) == 1:
                return _refusal(code, chunk)
            if code not in TOO_LARGE:
                raise answered(code, self._where)
            # No event is to blame: what is too large for the broker or the topic alone, goes alone.
            self._most_bytes //= 2
            logger.info("kafka_batches_made_smaller", topic=self._access.topic, batch_bytes=self._most_bytes)

    async def _next(self, cluster: Cluster, partition: int, records: Sequence[Record]) -> tuple[_Identity, _Chunk]:
        """Return the record batch to send: the one in doubt if these are its events, else a new one."""
        identity = await self._named(cluster)
        if chunk := identity.doubtful.get(partition):
            if list(records[: len(chunk.records)]) == list(chunk.records):
                return identity, chunk
            self._forget(identity)
            identity = await self._named(cluster)
        batch = RecordBatch(identity.producer, identity.sequences[partition], self._compression, self._most_bytes)
        count = batch.fill(records)
        return identity, _Chunk(records[:count], await batch.packed())

    async def _named(self, cluster: Cluster) -> _Identity:
        async with self._naming:
            if self._identity is None:
                self._identity = _Identity(await cluster.new_producer())
            return self._identity

    def _forget(self, identity: _Identity) -> None:
        if self._identity is identity:
            self._identity = None

    def _failure(self, code: int, identity: _Identity) -> McwatchError:
        if code in LOST_PRODUCER or code == DUPLICATE_SEQUENCE:
            self._forget(identity)
            return TransientError(
                f"Kafka no longer knows this producer (error {code}); a new one takes its place",
                reason=FailureReason.SERVER,
            )
        if code == NOT_KNOWN:
            # A leader that has just moved says so too; if the topic is gone, the next question tells.
            return TransientError(f"the broker does not know {self._where} now", reason=FailureReason.SERVER)
        return answered(code, self._where)

    @property
    def _where(self) -> str:
        return f"the topic {self._access.topic}"


def _refusal(code: int, chunk: _Chunk) -> Refusal:
    if code in TOO_LARGE:
        return Refusal(
            FailureReason.TOO_LARGE,
            f"{REFUSALS[code]}: a record batch of {len(chunk.data)} bytes with this event alone is more than the "
            "topic's max.message.bytes",
        )
    return Refusal(FailureReason.REFUSED, REFUSALS[code])
