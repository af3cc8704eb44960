"""The brokers of a cluster as one answer showed them, and a connection to each that is wanted."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

from mcwatch.domain.errors import FailureReason, McwatchError, TransientError
from mcwatch.sinks.kafka.endpoint import Endpoint
from mcwatch.sinks.kafka.failures import LOADING, answered, broken
from mcwatch.sinks.kafka.wire import KafkaError, Link, Login, Producer, Topic
from mcwatch.tls import TlsOptions

_CONNECT_SECS = 10.0
_REPLICAS_SHARE = 0.8
"""Of the time for an answer: the broker gives up on its replicas before we give up on the broker."""
_NOBODY = -1
_NAMINGS = 10
_MOMENT_SECS = 0.1
"""The first to ask a broker that has just started for a producer is told to come back, for some milliseconds."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to get to the cluster; ``login`` is asked at every connection, for passwords change."""

    brokers: Sequence[Endpoint]
    topic: str
    tls: TlsOptions | None
    login: Callable[[], Login] | None
    timeout_secs: float

    async def link(self, endpoint: Endpoint, timeout_secs: float) -> Link:
        """Open a connection; raises the errors of :meth:`Sink.deliver`."""
        tls = self.tls.context() if self.tls else None
        login = self.login() if self.login else None
        with _translated(endpoint):
            return await Link.open(endpoint, tls, login, timeout_secs)


class Cluster:
    """What one broker knew of the topic, good until something contradicts it."""

    def __init__(self, access: Access, brokers: dict[int, Endpoint], topic: Topic) -> None:
        self._access = access
        self._brokers = brokers
        self._leaders = topic.leaders
        self._links: dict[int, Link] = {}
        self._opening: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    @classmethod
    async def open(cls, access: Access) -> Self:
        """Ask one broker after the other until one answers; raises the errors of :meth:`Sink.deliver`."""
        timeout_secs = min(_CONNECT_SECS, access.timeout_secs / len(access.brokers))
        failures: list[TransientError] = []
        for endpoint in access.brokers:
            try:
                link = await access.link(endpoint, timeout_secs)
                try:
                    with _translated(endpoint):
                        brokers, topic = await link.topic(access.topic)
                finally:
                    link.close()
            except TransientError as error:
                failures.append(error)
                continue
            if topic.error_code:
                raise answered(topic.error_code, f"the topic {access.topic}")
            return cls(access, brokers, topic)
        raise _all_of(failures)

    @property
    def partitions(self) -> int:
        """How many partitions the topic has."""
        return len(self._leaders)

    @property
    def brokers(self) -> int:
        """How many brokers lead a partition of the topic."""
        return len(set(self._leaders.values()))

    async def new_producer(self) -> Producer:
        """Have any leader name a new producer; raises the errors of :meth:`Sink.deliver`."""
        endpoint, link = await self._leader(min(self._leaders))
        code, producer = LOADING, None
        for _ in range(_NAMINGS):
            with _translated(endpoint):
                code, producer = await link.new_producer()
            if code != LOADING:
                break
            await _moment()
        if code or producer is None:
            raise answered(code, f"the topic {self._access.topic}")
        return producer

    async def produce(self, partition: int, batch: bytes) -> int:
        """Write a record batch; return the leader's error code, or raise the errors of :meth:`Sink.deliver`."""
        endpoint, link = await self._leader(partition)
        access = self._access
        with _translated(endpoint):
            return await link.produce(access.topic, partition, batch, access.timeout_secs * _REPLICAS_SHARE)

    async def reach_leaders(self) -> None:
        """Connect to the leader of every partition; raises the errors of :meth:`Sink.deliver`."""
        for partition in sorted(self._leaders):
            await self._leader(partition)

    def close(self) -> None:
        """Close all connections at once."""
        for link in self._links.values():
            link.close()

    async def wait_closed(self) -> None:
        """Wait until the closed connections are gone."""
        for link in self._links.values():
            await link.wait_closed()

    async def _leader(self, partition: int) -> tuple[Endpoint, Link]:
        number = self._leaders.get(partition, _NOBODY)
        endpoint = self._brokers.get(number)
        if endpoint is None:
            raise TransientError(
                f"partition {partition} of the topic {self._access.topic} has no leader",
                reason=FailureReason.SERVER,
                remedy="look which brokers are missing",
            )
        async with self._opening[number]:
            link = self._links.get(number)
            if link is None or not link.is_open:
                link = self._links[number] = await self._access.link(endpoint, self._access.timeout_secs)
        return endpoint, link


async def _moment() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_MOMENT_SECS):
            await asyncio.Event().wait()


@contextmanager
def _translated(endpoint: Endpoint) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, KafkaError) as error:
        raise broken(error, endpoint) from error


def _all_of(failures: Sequence[TransientError]) -> McwatchError:
    """Return the one failure, or one that tells of all."""
    last = failures[-1]
    if len(failures) == 1:
        return last
    found = TransientError("; ".join(map(str, failures)), reason=last.reason, remedy=last.remedy)
    found.__cause__ = last
    return found
