"""The processing queue: a snapshot of what is in flight now (reference notes F)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Literal

import msgspec
import structlog
from pydantic import Field

from mcwatch.domain.event import QUEUE, prefix
from mcwatch.domain.lifecycle.queue import entry_key
from mcwatch.domain.page import FeedProgress, QueuePage
from mcwatch.domain.record import Record, WireAddress
from mcwatch.domain.status import QueueReading, SourceReading
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.quota import Priority
from mcwatch.option_types import Duration
from mcwatch.sources.base import Rounds, RowReader, SourceConfigBase, SourceContext, WireRow
from mcwatch.sources.paging import Listing

_PAGE_SIZE = 500

logger = structlog.get_logger(__name__)


class QueueRow(WireRow, forbid_unknown_fields=True, kw_only=True, gc=False):
    """An entry as the vendor's page and real answers spell it: one recipient, given as an object."""

    route: str | None = msgspec.field(default=None, name="routing")
    from_header: WireAddress | None = msgspec.field(default=None, name="fromHeader")
    to: list[WireAddress] | None = msgspec.field(default=None, name="(to)")
    sender_ip: str | None = msgspec.field(default=None, name="remoteIp")
    attachments: bool | None = msgspec.field(default=None, name="attachment")
    recipient: WireAddress | None = msgspec.field(default=None, name="to")

    def __post_init__(self) -> None:
        """Bring the one recipient under the name both feeds share."""
        if self.recipient is not None:
            self.to = [self.recipient]


class QueueItem(msgspec.Struct, gc=False):
    """The one object in ``data``."""

    messages: list[QueueRow] | None = None


class ProcessingQueueConfig(SourceConfigBase):
    """Reads what is being processed right now."""

    type: Literal["processing_queue"]
    interval: Duration = Field(
        30.0, gt=0, description="Time from one snapshot to the next; mail that passes between two is not seen here."
    )
    queues: list[Literal["processing", "bulk_processing"]] = Field(
        ["processing", "bulk_processing"],
        min_length=1,
        description="The queues to read. Each takes a request of its own per poll.",
    )
    gone_after: int = Field(
        2, ge=1, description="Complete polls without an entry before it counts as left; paging a live list skips rows."
    )

    def requests_per_minute(self) -> float:
        """Return how many requests it makes while mail is quiet: one for each queue per poll."""
        return super().requests_per_minute() * len(self.queues)

    def probe(self, client: MimecastClient) -> tuple[Endpoint, Mapping[str, object]]:
        """Ask for the first queue."""
        return Endpoint.PROCESSING_QUEUE, {"type": self.queues[0]}

    def build(self, context: SourceContext) -> "ProcessingQueueSource":
        """Make the source."""
        return ProcessingQueueSource(self, context)


class ProcessingQueueSource:
    """``interfaces.Source`` for the processing queue."""

    name = QUEUE

    def __init__(self, config: ProcessingQueueConfig, context: SourceContext) -> None:
        self.interval_secs = config.interval
        self._config = config
        self._context = context
        self._feed = prefix(context.account, QUEUE)
        self._rounds = Rounds[str](config.queues)
        self._listing = Listing(
            Endpoint.PROCESSING_QUEUE, RowReader(QueueItem, QueueRow, "messages"), _PAGE_SIZE, Priority.QUEUE
        )
        self._readings: dict[str, QueueReading] = {}

    @property
    def requests_per_minute(self) -> float:
        """One for each queue per poll."""
        return self._config.requests_per_minute()

    def reading(self) -> SourceReading:
        """Return each queue at its last complete snapshot."""
        return SourceReading(queues=self._readings)

    async def poll(self, progress: FeedProgress) -> AsyncIterator[QueuePage]:
        """Read every queue once. The last page of a complete snapshot says which entries are there.

        A queue that fails does not keep the next one from being read, unless the next one would fail for it too.
        """
        async for page in self._rounds.read(self._snapshot):
            yield page

    async def _snapshot(self, queue: str) -> AsyncIterator[QueuePage]:
        present: dict[bytes, datetime | None] = {}
        async for sheet in self._listing.pages(self._context.client, {"type": queue}, partial(self._keys, queue)):
            if sheet.first:
                present.clear()
            present.update(zip(sheet.keys, (row.created_at for row in sheet.rows), strict=True))
            yield QueuePage(
                queue=queue,
                gone_after=self._config.gone_after,
                rows=sheet.rows,
                unreadable=sheet.unreadable,
                present=frozenset(present) if sheet.complete else None,
            )
            if sheet.complete:
                self._measure(queue, present)
            elif sheet.last:
                logger.warning("queue_poll_incomplete", account=self._context.account, queue=queue, read=len(present))

    def _keys(self, queue: str, rows: Sequence[Record]) -> list[bytes]:
        return [entry_key(self._feed, queue, row) for row in rows]

    def _measure(self, queue: str, present: Mapping[bytes, datetime | None]) -> None:
        metrics, account = self._context.metrics, self._context.account
        metrics.queue_depth.labels(account, queue).set(len(present))
        oldest = min((at for at in present.values() if at is not None), default=None)
        self._readings[queue] = QueueReading(len(present), oldest)
        age = 0.0 if oldest is None else (self._context.client.server_now() - oldest).total_seconds()
        metrics.queue_oldest_seconds.labels(account, queue).set(max(0.0, age))
