"""The live metrics: their names, their first values, and what must not be invented."""

import pytest
from prometheus_client import CollectorRegistry

from mcwatch.domain.errors import FailureReason
from mcwatch.telemetry.metrics import ALL_OUTCOMES_UP_TO, Metrics

BOTH = ["message_finder", "processing_queue"]
CONTRACT = """
    build_info polls_total poll_duration_seconds api_requests_total api_request_duration_seconds api_quota_limit
    api_quota_remaining api_throttled_seconds_total api_clock_skew_seconds account_up source_up destination_up
    records_received_total records_new_total records_duplicate_total records_undecodable_total events_total
    finder_coverage_end_timestamp_seconds finder_lag_seconds finder_window_splits_total finder_incomplete_windows_total
    finder_gap_seconds_total queue_depth queue_oldest_seconds queue_dwell_seconds queue_polls_skipped_total
    outbox_events outbox_bytes outbox_oldest_seconds events_delivered_total events_dead_lettered_total
    delivery_requests_total delivery_latency_seconds store_commit_duration_seconds store_bytes polling_paused
    dead_letters poll_last_success_timestamp_seconds outbox_limit_bytes config_last_reload_successful
    outbox_offered_events_total events_not_selected_total events_skipped_total events_resent_total
    finder_reidentified_rows_total
""".split()


@pytest.mark.parametrize("name", CONTRACT)
def test_has_every_metric_of_the_contract(name: str) -> None:
    """Each name of the contract's section 8 is a metric."""
    assert f"mcwatch_{name}" in Metrics().names


def test_names_are_unique_and_each_metric_says_what_it_means() -> None:
    """No name comes twice, and no help text is empty."""
    metrics = Metrics()

    assert sorted(set(metrics.names)) == sorted(metrics.names)
    assert [info.name for info in metrics.infos if not info.meaning.endswith(".")] == []


def test_attributes_are_named_like_the_metrics() -> None:
    """Every live metric is an attribute named as on /metrics without the prefix."""
    metrics = Metrics()

    missing = [info.name for info in metrics.infos if not hasattr(metrics, info.name.removeprefix("mcwatch_"))]

    assert missing == []


def test_uses_the_registry_it_is_given(registry: CollectorRegistry) -> None:
    """Two sets of metrics on two registries do not meet."""
    Metrics(registry).events_total.labels("acme", "message.seen").inc()
    Metrics()

    assert registry.get_sample_value("mcwatch_events_total", {"account": "acme", "kind": "message.seen"}) == 1


def test_initialise_makes_counters_start_at_zero(registry: CollectorRegistry) -> None:
    """Every outcome, kind and reason exists before anything has happened."""
    Metrics(registry).initialise({"acme": BOTH}, ["splunk"], ["token"])

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"mcwatch_{name}", labels)

    assert value("polls_total", account="acme", source="message_finder", outcome="ok") == 0
    assert value("polls_total", account="acme", source="processing_queue", outcome="timeout") == 0
    assert value("api_requests_total", account="acme", endpoint="token", outcome="auth") == 0
    assert value("events_total", account="acme", kind="message.changed") == 0
    assert value("events_total", account="acme", kind="queue.left") == 0
    assert value("delivery_requests_total", destination="splunk", outcome="server") == 0
    assert value("polling_paused", reason="backlog") == 0
    assert value("account_up", account="acme") == 0
    assert value("source_up", account="acme", source="message_finder") == 0
    assert value("destination_up", destination="splunk") == 1


def test_initialise_makes_only_what_a_source_can_feed(registry: CollectorRegistry) -> None:
    """An account without the queue has no queue series."""
    Metrics(registry).initialise({"acme": ["message_finder"]}, [])

    assert registry.get_sample_value("mcwatch_events_total", {"account": "acme", "kind": "queue.left"}) is None
    assert registry.get_sample_value("mcwatch_queue_polls_skipped_total", {"account": "acme"}) is None


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("api_quota_remaining", {"account": "acme", "endpoint": "token"}),
        ("api_clock_skew_seconds", {"account": "acme"}),
        ("finder_lag_seconds", {"account": "acme"}),
        ("queue_depth", {"account": "acme", "queue": "processing"}),
        ("poll_last_success_timestamp_seconds", {"account": "acme", "source": "message_finder"}),
    ],
)
def test_what_is_not_known_is_absent(registry: CollectorRegistry, name: str, labels: dict[str, str]) -> None:
    """A gauge that would have to be invented does not exist before somebody sets it."""
    Metrics(registry).initialise({"acme": BOTH}, ["splunk"], ["token"])

    assert registry.get_sample_value(f"mcwatch_{name}", labels) is None


def test_many_accounts_do_not_multiply_the_failure_series(registry: CollectorRegistry) -> None:
    """Beyond the limit only the success of each account is made in advance."""
    Metrics(registry).initialise({f"a{number}": BOTH for number in range(ALL_OUTCOMES_UP_TO + 1)}, [])
    labels = {"account": "a0", "source": "message_finder"}

    assert registry.get_sample_value("mcwatch_polls_total", labels | {"outcome": "ok"}) == 0
    assert registry.get_sample_value("mcwatch_polls_total", labels | {"outcome": FailureReason.TIMEOUT}) is None


def test_all_series_of_what_is_gone_are_removed_and_no_others(registry: CollectorRegistry) -> None:
    """Whatever other labels they have, histograms too; names that are not known are not minded."""
    metrics = Metrics(registry)
    metrics.initialise(dict.fromkeys(("a", "b", "c"), BOTH), ["splunk"], ["token"])
    for name in ("a", "b", "c"):
        metrics.poll_duration_seconds.labels(name, "message_finder").observe(1.0)
    metrics.forget("account", ["a", "c", "never there"])
    metrics.forget("destination", [])

    samples = [sample for family in registry.collect() for sample in family.samples]
    assert {"b"} == {sample.labels["account"] for sample in samples if "account" in sample.labels}
    assert {"splunk"} == {sample.labels["destination"] for sample in samples if "destination" in sample.labels}
