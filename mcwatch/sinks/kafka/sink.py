"""The Kafka sink: the events of an account, in order, into the one partition that its name leads to."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Refusal, Verdicts
from mcwatch.domain.errors import FailureReason, McwatchError, TransientError
from mcwatch.domain.event import SCHEMA
from mcwatch.interfaces import Acknowledgements
from mcwatch.sinks.kafka.cluster import Access, Cluster
from mcwatch.sinks.kafka.wire import Compression, Record, partition_of
from mcwatch.sinks.kafka.writer import Writer
from mcwatch.telemetry.liveness import resting


@dataclass(slots=True)
class _Lane:
    """The events of a batch that go to one partition, and how far they have come."""

    partition: int
    indexes: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    done: int = 0
    refused: dict[int, Refusal] = field(default_factory=dict)
    failure: McwatchError | None = None


class KafkaSink:
    """One record per event, accepted once all in-sync replicas have it.

    In a partition a record batch is sent only when the one before it was written, or its one event refused: a later
    event never overtakes an earlier one that failed.
    """

    most_at_once = 8
    acknowledgements: Acknowledgements | None = None

    def __init__(self, access: Access, compression: Compression, most_bytes: int) -> None:
        self._access = access
        self._writer = Writer(access, compression, most_bytes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.close()

    async def deliver(self, batch: Batch) -> Verdicts:
        """Write the batch; each event is accepted, refused, or to be sent again when others were accepted."""
        if not len(batch):
            return ALL_ACCEPTED
        with resting("a batch to Kafka", 2 * self._access.timeout_secs):
            lanes = await self._lanes(batch)
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(self._carry(lane), name=f"partition {lane.partition}")
        return _verdicts(lanes)

    async def check(self) -> str:
        """Look at the topic, reach its leaders and be named a producer, which takes the right to write."""
        try:
            async with asyncio.timeout(self._access.timeout_secs):
                cluster = await Cluster.open(self._access)
                try:
                    await cluster.reach_leaders()
                    await cluster.new_producer()
                finally:
                    cluster.close()
        except TimeoutError as error:
            raise self._timeout() from error
        text = f"topic {self._access.topic}, partitions: {cluster.partitions}, brokers that lead: {cluster.brokers}"
        if self._access.login and not self._access.tls:
            text += "; warning: the login crosses the network in the clear, use sink.security.protocol: tls"
        return text

    async def _lanes(self, batch: Batch) -> Sequence[_Lane]:
        try:
            async with asyncio.timeout(self._access.timeout_secs):
                partitions = await self._writer.partitions()
        except TimeoutError as error:
            raise self._timeout() from error
        lanes: dict[str, _Lane] = {}  # by account; accounts that meet in a partition take turns there
        shared = [("event_schema", SCHEMA.encode()), ("content_type", batch.content_type.encode())]
        for index, (head, payload) in enumerate(zip(batch.heads, batch.payloads, strict=True)):
            key = head.account.encode()
            lane = lanes.get(head.account)
            if lane is None:
                lane = lanes[head.account] = _Lane(partition_of(key, partitions))
            lane.indexes.append(index)
            lane.records.append(Record(key, payload, [("event_id", head.event_id.encode()), *shared]))
        return list(lanes.values())

    async def _carry(self, lane: _Lane) -> None:
        """Write a lane until its end or its first failure."""
        try:
            async with asyncio.timeout(self._access.timeout_secs):
                while lane.done < len(lane.records):
                    written = await self._writer.write(lane.partition, lane.records[lane.done :])
                    if isinstance(written, Refusal):
                        lane.refused[lane.indexes[lane.done]] = written
                        written = 1
                    lane.done += written
        except TimeoutError as error:
            self._writer.give_up()
            lane.failure = self._timeout()
            lane.failure.__cause__ = error
        except McwatchError as error:
            lane.failure = error

    def _timeout(self) -> TransientError:
        return TransientError(
            f"Kafka did not take a batch for the topic {self._access.topic} in time",
            reason=FailureReason.TIMEOUT,
            remedy="look whether brokers hang or replicas are behind; if it is only slow, raise sink.timeout or lower "
            "batch.max_events",
        )


def _verdicts(lanes: Sequence[_Lane]) -> Verdicts:
    """Return what became of each event; raises the first failure when nothing was accepted."""
    failures = [lane.failure for lane in lanes if lane.failure]
    if failures and all(lane.done == len(lane.refused) for lane in lanes):
        raise failures[0]
    refused = {index: refusal for lane in lanes for index, refusal in lane.refused.items()}
    retry = frozenset(index for lane in lanes for index in lane.indexes[lane.done :])
    return Verdicts(refused, retry) if refused or retry else ALL_ACCEPTED
