"""The text that a Prometheus server reads: live metrics and stored figures in one answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text

from mcwatch.domain.outbox import StoreSnapshot
from mcwatch.telemetry.metrics import Metrics
from mcwatch.telemetry.store_metrics import StoreCollector


@dataclass(frozen=True, slots=True)
class Exposition:
    """A rendered scrape."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class _Joined:
    registry: CollectorRegistry
    stored: StoreCollector | None

    def collect(self) -> Iterator[Metric]:
        yield from self.registry.collect()
        if self.stored:
            yield from self.stored.collect()


def render(metrics: Metrics, snapshot: StoreSnapshot | None, now: datetime, accept: str = "") -> Exposition:
    """Render a scrape in the format that the ``Accept`` header asks for: OpenMetrics 1.0, else text 0.0.4.

    Without a snapshot (the store does not answer) its figures are absent rather than zero. Takes a second of CPU for a
    thousand accounts: call it in a thread.
    """
    joined = _Joined(metrics.registry, StoreCollector(snapshot, now) if snapshot else None)
    if "application/openmetrics-text" in accept:
        text: bytes = openmetrics_text(joined)  # type: ignore[no-untyped-call]  # the library left it untyped
        return Exposition(text, CONTENT_TYPE_LATEST)
    return Exposition(plain_text(joined), CONTENT_TYPE_PLAIN_0_0_4)
