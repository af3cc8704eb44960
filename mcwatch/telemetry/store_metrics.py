"""The metrics that the store keeps: changed in the transaction they speak of, never reset by a restart.

All of them come from one snapshot, so that the sums the contract promises (section 8) hold at every scrape.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mcwatch.domain.errors import FailureReason
from mcwatch.domain.outbox import DestinationFigures, FeedFigures, StoreSnapshot
from mcwatch.telemetry.metric_info import MetricInfo

Sample = tuple[tuple[str, ...], float]
_Rows = Callable[[StoreSnapshot, datetime], Iterable[Sample]]

_REFUSALS = (FailureReason.REFUSED, FailureReason.TOO_LARGE, FailureReason.UNDECODABLE)
"""The usual reasons of dead letters: their series exist from the start."""


@dataclass(frozen=True, slots=True)
class StoredMetric:
    """A metric and where its samples come from."""

    info: MetricInfo
    rows: _Rows


def _feeds(value: Callable[[FeedFigures], float]) -> _Rows:
    return lambda snapshot, _now: [((feed.account, feed.source), value(feed)) for feed in snapshot.feeds]


def _destinations(value: Callable[[DestinationFigures], float]) -> _Rows:
    return lambda snapshot, _now: [((figures.name,), value(figures)) for figures in snapshot.destinations]


def _dead_lettered(snapshot: StoreSnapshot, _now: datetime) -> Iterator[Sample]:
    for figures in snapshot.destinations:
        for reason, count in (dict.fromkeys(_REFUSALS, 0) | figures.dead_lettered).items():
            yield (figures.name, str(reason)), count


def _oldest(snapshot: StoreSnapshot, now: datetime) -> Iterator[Sample]:
    for figures in snapshot.destinations:
        waiting_since = figures.oldest_waiting_at
        # A clock set back must not show as a negative age.
        yield (figures.name,), max(0.0, (now - waiting_since).total_seconds()) if waiting_since else 0.0


def _counter(name: str, labels: str, meaning: str, rows: _Rows) -> StoredMetric:
    return StoredMetric(MetricInfo(f"mcwatch_{name}_total", "counter", tuple(labels.split()), meaning), rows)


def _gauge(name: str, labels: str, meaning: str, rows: _Rows) -> StoredMetric:
    return StoredMetric(MetricInfo(f"mcwatch_{name}", "gauge", tuple(labels.split()), meaning), rows)


STORED_METRICS = (
    _counter("records_received", "account source",
             "Rows read from the API: new + duplicate + undecodable.", _feeds(lambda feed: feed.received)),
    _counter("records_new", "account source",
             "Rows that became an event or started to be followed.", _feeds(lambda feed: feed.new)),
    _counter("records_duplicate", "account source",
             "Rows known already.", _feeds(lambda feed: feed.duplicate)),
    _counter("records_undecodable", "account source",
             "Rows that could not be decoded and were kept as dead letters.", _feeds(lambda feed: feed.undecodable)),
    _counter("outbox_offered_events", "destination",
             "Events put before the destination: delivered + dead-lettered + not selected + skipped + waiting.",
             _destinations(lambda figures: figures.offered)),
    _counter("events_delivered", "destination",
             "Events the destination accepted.", _destinations(lambda figures: figures.delivered)),
    _counter("events_dead_lettered", "destination reason",
             "Events the destination finally refused; each is kept as a dead letter.", _dead_lettered),
    _counter("events_not_selected", "destination",
             "Events its configuration does not select.", _destinations(lambda figures: figures.not_selected)),
    _counter("events_skipped", "destination",
             "Events passed over because the backlog was full and `when_full` is `skip`.",
             _destinations(lambda figures: figures.skipped)),
    _gauge("outbox_events", "destination",
           "Events waiting for the destination.", _destinations(lambda figures: figures.waiting)),
    _gauge("outbox_oldest_seconds", "destination",
           "Age of the oldest event waiting for the destination, 0 when none waits.", _oldest),
    _gauge("dead_letters", "destination",
           "Dead letters kept for the destination.", _destinations(lambda figures: figures.dead_letters)),
    _gauge("undecodable_dead_letters", "account",
           "Rows kept because they could not be decoded; they belong to no destination.",
           lambda snapshot, _now: [((name,), count) for name, count in snapshot.undecodable_letters.items()]),
    _gauge("outbox_bytes", "",
           "Stored bytes that some destination has not received yet.",
           lambda snapshot, _now: [((), snapshot.outbox_bytes)]),
    _gauge("outbox_limit_bytes", "",
           "The configured `max_backlog`.", lambda snapshot, _now: [((), snapshot.outbox_limit_bytes)]),
    _gauge("store_bytes", "", "Size of the store.", lambda snapshot, _now: [((), snapshot.store_bytes)]),
    _gauge("store_disk_free_bytes", "",
           "Room left on the file system that holds the store, its reserve not counted.",
           lambda snapshot, _now: [((), snapshot.disk_free_bytes)] if snapshot.disk_free_bytes is not None else []),
)  # fmt: skip


class StoreCollector:
    """Turns one snapshot into samples; lives for one scrape."""

    def __init__(self, snapshot: StoreSnapshot, now: datetime) -> None:
        self._snapshot = snapshot
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Return the metric families of the snapshot."""
        for metric in STORED_METRICS:
            family: CounterMetricFamily | GaugeMetricFamily
            if metric.info.kind == "counter":
                family = CounterMetricFamily(metric.info.name, metric.info.meaning, labels=metric.info.labels)
            else:
                family = GaugeMetricFamily(metric.info.name, metric.info.meaning, labels=metric.info.labels)
            for labels, value in metric.rows(self._snapshot, self._now):
                family.add_metric(labels, value)
            yield family
