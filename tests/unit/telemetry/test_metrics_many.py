"""What a scrape of a thousand accounts takes: the size that docs/METRICS.md promises. Here are a tenth of them."""

import time
from datetime import UTC, datetime

from mcwatch.domain.event import FINDER, QUEUE, EventKind
from mcwatch.domain.outbox import FeedFigures, StoreSnapshot
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.telemetry.exposition import render
from mcwatch.telemetry.metrics import ALL_OUTCOMES_UP_TO, Metrics

_ACCOUNTS = 1000
_HERE = 100
_USED = (Endpoint.TOKEN, Endpoint.MESSAGE_FINDER, Endpoint.PROCESSING_QUEUE)
_FINDER_GAUGES = ("finder_lag_seconds", "finder_coverage_end_timestamp_seconds", "api_clock_skew_seconds")


def test_size_of_a_scrape() -> None:
    """A thousand accounts with both sources, everything known of each, are less than 5 MB."""
    metrics = Metrics(accounts=_ACCOUNTS)
    names = [f"customer-{number:04}" for number in range(_HERE)]
    metrics.initialise({name: [FINDER, QUEUE] for name in names}, ["siem"], [str(endpoint) for endpoint in Endpoint])
    for name in names:
        _feed(metrics, name)
    figures = StoreSnapshot(
        feeds=[FeedFigures(name, source, 123_456, 1_234, 122_222, 0) for name in names for source in (FINDER, QUEUE)],
        destinations=[],
        undecodable_letters=dict.fromkeys(names, 1),
        outbox_bytes=0,
        outbox_limit_bytes=2**31,
        store_bytes=2**20,
        disk_free_bytes=2**40,
    )
    for accept in ("", "application/openmetrics-text"):
        size = len(render(metrics, figures, datetime.now(UTC), accept).body)
        assert 3_000_000 < size * _ACCOUNTS / _HERE < 5_000_000


def test_durations_of_many_accounts_have_no_buckets() -> None:
    """Beyond the limit count and sum are told, up to it the buckets too."""
    for accounts, has_buckets in ((ALL_OUTCOMES_UP_TO, True), (ALL_OUTCOMES_UP_TO + 1, False)):
        metrics = Metrics(accounts=accounts)
        metrics.poll_duration_seconds.labels("acme", FINDER).observe(2.0)
        labels = {"account": "acme", "source": FINDER}
        sample = metrics.registry.get_sample_value
        assert 2.0 == sample("mcwatch_poll_duration_seconds_sum", labels)
        assert 1.0 == sample("mcwatch_poll_duration_seconds_count", labels)
        bucket = sample("mcwatch_poll_duration_seconds_bucket", labels | {"le": "5.0"})
        assert (1.0 if has_buckets else None) == bucket
        metrics.forget("account", ["acme"])
        assert sample("mcwatch_poll_duration_seconds_count", labels) is None


def _feed(metrics: Metrics, name: str) -> None:
    """Have everything known of an account, as it is a while after the start."""
    for gauge in _FINDER_GAUGES:
        getattr(metrics, gauge).labels(name).set(1_795_253_390.137523)
    for source in (FINDER, QUEUE):
        metrics.poll_last_success_timestamp_seconds.labels(name, source).set(1_795_253_390.137523)
        metrics.poll_duration_seconds.labels(name, source).observe(0.0106842250024)
    for endpoint in _USED:
        metrics.api_request_duration_seconds.labels(name, endpoint).observe(0.0017040379971149)
        for outcome in ("ok", "server"):
            metrics.api_requests_total.labels(name, endpoint, outcome).inc(123)
        metrics.api_quota_limit.labels(name, endpoint).set(50)
        metrics.api_quota_remaining.labels(name, endpoint).set(49)
    for queue in ("processing", "bulk_processing"):
        metrics.queue_depth.labels(name, queue).set(12)
        metrics.queue_oldest_seconds.labels(name, queue).set(123.456)
    for kind in EventKind:
        metrics.events_total.labels(name, kind).inc(1234)


def test_all_of_an_account_is_forgotten_soon() -> None:
    """Every series that an account can have is gone, and to forget one takes no look through those of all others."""
    metrics = Metrics(accounts=_ACCOUNTS)
    names = [f"customer-{number:04}" for number in range(_HERE)]
    metrics.initialise({name: [FINDER, QUEUE] for name in names}, ["siem"], [str(endpoint) for endpoint in Endpoint])
    for name in names:
        _feed(metrics, name)
    began = time.process_time()
    for name in names:
        metrics.forget("account", [name])
    assert time.process_time() - began < 1.0  # a twentieth of it on an idle machine
    samples = [sample.labels for family in metrics.registry.collect() for sample in family.samples]
    assert [] == [labels for labels in samples if "account" in labels]
