"""Every metric that the running parts feed, on a registry of its own.

Counters and gauges here live in memory and start at zero with the process. The figures that must survive a restart are
kept in the store and join at a scrape (:mod:`mcwatch.telemetry.store_metrics`).
"""

import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    Summary,
    disable_created_metrics,
)

from mcwatch.domain.errors import FailureReason
from mcwatch.domain.event import FINDER, QUEUE, EventKind
from mcwatch.telemetry.metric_info import MetricInfo
from mcwatch.telemetry.store_metrics import STORED_METRICS

MetricT = TypeVar("MetricT", Counter, Gauge, Histogram, Summary)

OK = "ok"
OUTCOMES = (OK, *FailureReason)
"""The values of every ``outcome`` label: success, or the reason of the failure."""
PAUSE_REASONS = ("backlog", "store")
_EVENT_KINDS = {
    FINDER: (EventKind.SEEN, EventKind.CHANGED),
    QUEUE: (EventKind.QUEUE_ENTERED, EventKind.QUEUE_CHANGED, EventKind.QUEUE_LEFT),
}

_CLOSED_LABELS: dict[str, Collection[str]] = {
    "outcome": OUTCOMES,
    "source": (FINDER, QUEUE),
    "kind": tuple(EventKind),
    "queue": ("processing", "bulk_processing"),
}
"""What stands beside the name of an account or a destination; endpoints are told with the accounts."""

# Buckets per account are few: a thousand accounts pay for each of them in memory and at every scrape.
_REQUEST_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 10, 30)
_POLL_BUCKETS = (0.25, 1, 5, 15, 60, 300)
_DWELL_BUCKETS = (60, 300, 900, 3600, 14400, 86400)
_LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
ALL_OUTCOMES_UP_TO = 100
"""Up to so many accounts, a series per failure reason exists from the start; beyond, from the first failure on.

Beyond it the durations of an account are told without buckets too, which would be half of all series, and nothing of
endpoints that are never asked.
"""


class Metrics:
    """The live metrics, one attribute each, named as on ``/metrics`` without the prefix ``mcwatch_``.

    ``accounts`` is about how many there will be.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, version: str = "", accounts: int = 1) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it untyped
        self.registry = registry or CollectorRegistry(auto_describe=True)
        self.infos: list[MetricInfo] = []
        """The live metrics, in the order of the documentation."""
        self._labelled: list[tuple[Counter | Gauge | Histogram | Summary, tuple[str, ...]]] = []
        self._are_many = accounts > ALL_OUTCOMES_UP_TO
        self._endpoints: set[str] = set()
        self._make_process(version)
        self._make_leases()
        self._make_api()
        self._make_sources()
        self._make_delivery()

    @property
    def names(self) -> list[str]:
        """The name of every metric of a scrape, those from the store included."""
        return [info.name for info in self.infos] + [metric.info.name for metric in STORED_METRICS]

    def _make_process(self, version: str) -> None:
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.build_info = self._gauge("build_info", "Always 1; the labels say what is running.", "version", "python")
        self.build_info.labels(version, platform.python_version()).set(1)
        self.config_last_reload_successful = self._gauge(
            "config_last_reload_successful", "1 while the configuration last read is the one in use, 0 after a bad one."
        )
        self.config_last_reload_successful.set(1)
        self.polling_paused = self._gauge(
            "polling_paused",
            "1 while polling stands still for this reason: backlog full, store not writable.",
            "reason",
        )
        self.store_commit_duration_seconds = self._histogram(
            "store_commit_duration_seconds", "Time of a durable commit of the store.", _COMMIT_BUCKETS
        )
        self.dead_letters_expired_total = self._counter(
            "dead_letters_expired_total", "Dead letters deleted because `keep_dead_letters` had passed."
        )

    def _make_leases(self) -> None:
        self.account_held = self._gauge(
            "account_held", "1 for each account that this replica watches; absent for those of others.", "account"
        )
        self.account_unheld_seconds = self._gauge(
            "account_unheld_seconds",
            "For how long no replica has held the account, 0 while one does (PostgreSQL only).",
            "account",
        )
        self.replicas = self._gauge("replicas", "Replicas that live, as this one sees it; 1 without PostgreSQL.")
        self.replicas.set(1)
        self.lease_last_beat_timestamp_seconds = self._gauge(
            "lease_last_beat_timestamp_seconds",
            "When this replica last renewed its leases; 0 before, and without PostgreSQL.",
        )
        self.leases_taken_total = self._counter("leases_taken_total", "Accounts taken that no replica held.")
        self.leases_handed_over_total = self._counter(
            "leases_handed_over_total", "Accounts given up for another replica to take."
        )
        self.leases_lost_total = self._counter(
            "leases_lost_total", "Accounts that another replica took, because this one was not heard of in time."
        )

    def _make_api(self) -> None:
        self.account_up = self._gauge(
            "account_up",
            "1 while the account's credentials and API work, 0 before the first try and while down.",
            "account",
        )
        self.api_requests_total = self._counter(
            "api_requests_total", "Requests to the API, retries included, by how they ended.",
            "account", "endpoint", "outcome",
        )  # fmt: skip
        self.api_request_duration_seconds = self._duration(
            "api_request_duration_seconds", "Time from sending a request to the end of its answer.", _REQUEST_BUCKETS,
            "account", "endpoint",
        )  # fmt: skip
        self.api_quota_limit = self._gauge(
            "api_quota_limit", "Requests allowed per quota period, as the API last said.", "account", "endpoint"
        )
        self.api_quota_remaining = self._gauge(
            "api_quota_remaining", "Requests left in the quota period, as the API last said.", "account", "endpoint"
        )
        self.api_throttled_seconds_total = self._counter(
            "api_throttled_seconds_total", "Time requests waited for quota, pacing or an asked pause.", "account"
        )
        self.api_clock_skew_seconds = self._gauge(
            "api_clock_skew_seconds", "The API's clock minus this machine's; positive when ours is slow.", "account"
        )

    def _make_sources(self) -> None:
        feed = ("account", "source")
        self.source_up = self._gauge(
            "source_up", "1 while polls of the source succeed, 0 before the first and while they fail.", *feed
        )
        self.polls_total = self._counter("polls_total", "Polls by how they ended.", *feed, "outcome")
        self.poll_duration_seconds = self._duration(
            "poll_duration_seconds", "Time of one poll with all its pages.", _POLL_BUCKETS, *feed
        )
        self.poll_last_success_timestamp_seconds = self._gauge(
            "poll_last_success_timestamp_seconds", "When the last complete poll ended; absent before the first.", *feed
        )
        self.events_total = self._counter("events_total", "Events recorded, by kind.", "account", "kind")
        self.finder_coverage_end_timestamp_seconds = self._gauge(
            "finder_coverage_end_timestamp_seconds", "Up to where the message finder was read completely.", "account"
        )
        self.finder_lag_seconds = self._gauge(
            "finder_lag_seconds", "Age of the oldest moment that is not covered, incomplete or a gap.", "account"
        )
        self.finder_window_splits_total = self._counter(
            "finder_window_splits_total", "Windows halved because their answer was truncated.", "account"
        )
        self.finder_incomplete_windows_total = self._counter(
            "finder_incomplete_windows_total", "Windows of one second that still did not fit an answer.", "account"
        )
        self.finder_gap_seconds_total = self._counter(
            "finder_gap_seconds_total", "Time that left the API's history before it could be read.", "account"
        )
        self.finder_rejected_gap_seconds_total = self._counter(
            "finder_rejected_gap_seconds_total",
            "Time that was read so late that its rejected and deferred mail had left the API's history.",
            "account",
        )
        self.finder_reidentified_rows_total = self._counter(
            "finder_reidentified_rows_total", "Rows read again that came with another id than before.", "account"
        )
        self._make_queues()

    def _make_queues(self) -> None:
        queue = ("account", "queue")
        self.queue_depth = self._gauge("queue_depth", "Messages in the last complete snapshot of the queue.", *queue)
        self.queue_oldest_seconds = self._gauge(
            "queue_oldest_seconds", "Age of the oldest message in the last complete snapshot.", *queue
        )
        self.queue_dwell_seconds = self._histogram(
            "queue_dwell_seconds", "How long messages that left had been in the queue.", _DWELL_BUCKETS, *queue
        )
        self.queue_polls_skipped_total = self._counter(
            "queue_polls_skipped_total", "Snapshots not taken because the backlog was full.", "account"
        )

    def _make_delivery(self) -> None:
        self.destination_up = self._gauge(
            "destination_up", "0 while the destination fails, 1 else (also before its first batch).", "destination"
        )
        self.delivery_requests_total = self._counter(
            "delivery_requests_total", "Batches sent, by how they ended.", "destination", "outcome"
        )
        self.delivery_latency_seconds = self._histogram(
            "delivery_latency_seconds", "From observing to accepting, of the oldest event of each batch.",
            _LATENCY_BUCKETS, "destination",
        )  # fmt: skip
        self.events_resent_total = self._counter(
            "events_resent_total", "Events sent again by retry or replay.", "destination"
        )

    def initialise(
        self,
        accounts: Mapping[str, Collection[str]],
        destinations: Iterable[str],
        endpoints: Sequence[str] = (),
    ) -> None:
        """Make the series of every label combination, at 0, before anything happens.

        ``accounts`` maps each account to its sources. Gauges of what is not known yet (quota, skew, timestamps, lag,
        depth) stay absent until they are, and so do histograms, which cost memory.
        """
        self._endpoints |= set(endpoints)
        for reason in PAUSE_REASONS:
            self.polling_paused.labels(reason)
        are_few = len(accounts) <= ALL_OUTCOMES_UP_TO and not self._are_many
        outcomes = OUTCOMES if are_few else OUTCOMES[:1]
        for account, sources in accounts.items():
            self.account_held.labels(account).set(1)
            self.account_up.labels(account)
            self.api_throttled_seconds_total.labels(account)
            for endpoint, outcome in product(() if self._are_many else endpoints, outcomes):
                self.api_requests_total.labels(account, endpoint, outcome)
            for source in sources:
                self._initialise_source(account, source, outcomes)
        for destination in destinations:
            self.destination_up.labels(destination).set(1)
            self.events_resent_total.labels(destination)
            self.delivery_latency_seconds.labels(destination)
            for outcome in OUTCOMES:
                self.delivery_requests_total.labels(destination, outcome)

    def forget(self, label: str, values: Collection[str]) -> None:
        """Remove every series of accounts or destinations (``label``) that are no longer configured.

        What they can be called is removed, known or not: looking through the series of a thousand accounts would hold
        up everything for a second.
        """
        choices: dict[str, Collection[str]] = {**_CLOSED_LABELS, "endpoint": self._endpoints, label: values}
        for metric, names in self._labelled:
            if label in names:
                for series in product(*(choices[name] for name in names)):
                    metric.remove(*series)

    def _initialise_source(self, account: str, source: str, outcomes: Sequence[str]) -> None:
        self.source_up.labels(account, source)
        for outcome in outcomes:
            self.polls_total.labels(account, source, outcome)
        for kind in _EVENT_KINDS.get(source, ()):
            self.events_total.labels(account, kind)
        if source == FINDER:
            self.finder_window_splits_total.labels(account)
            self.finder_incomplete_windows_total.labels(account)
            self.finder_gap_seconds_total.labels(account)
            self.finder_rejected_gap_seconds_total.labels(account)
            self.finder_reidentified_rows_total.labels(account)
        if source == QUEUE:
            self.queue_polls_skipped_total.labels(account)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        self.infos.append(MetricInfo(f"mcwatch_{name}", "counter", labels, meaning))
        return self._noted(Counter(f"mcwatch_{name}", meaning, labels, registry=self.registry), labels)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        self.infos.append(MetricInfo(f"mcwatch_{name}", "gauge", labels, meaning))
        return self._noted(Gauge(f"mcwatch_{name}", meaning, labels, registry=self.registry), labels)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Histogram:
        self.infos.append(MetricInfo(f"mcwatch_{name}", "histogram", labels, meaning))
        return self._noted(
            Histogram(f"mcwatch_{name}", meaning, labels, buckets=buckets, registry=self.registry), labels
        )

    def _duration(self, name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Histogram | Summary:
        """Make a histogram per account, or of many accounts what is left of it without its buckets: count and sum."""
        if not self._are_many:
            return self._histogram(name, meaning, buckets, *labels)
        self.infos.append(MetricInfo(f"mcwatch_{name}", "histogram", labels, meaning))
        return self._noted(Summary(f"mcwatch_{name}", meaning, labels, registry=self.registry), labels)

    def _noted(self, metric: MetricT, labels: tuple[str, ...]) -> MetricT:
        self._labelled.append((metric, labels))
        return metric
