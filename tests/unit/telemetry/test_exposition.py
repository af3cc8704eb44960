"""What a Prometheus server reads, parsed by the parsers of its own client library."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from mcwatch.domain.outbox import DestinationFigures, FeedFigures, StoreSnapshot
from mcwatch.telemetry.exposition import render
from mcwatch.telemetry.metrics import Metrics

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5"
SNAPSHOT = StoreSnapshot(
    feeds=[FeedFigures("acme", "message_finder", received=100, new=60, duplicate=37, undecodable=3)],
    destinations=[
        DestinationFigures("splunk", 60, 40, {"refused": 2}, 5, 3, 10, NOW - timedelta(seconds=90), 2),
        DestinationFigures("archive", 60, 60, {}, 0, 0, 0, None, 0),
    ],
    undecodable_letters={"acme": 3},
    outbox_bytes=1000,
    outbox_limit_bytes=2000,
    store_bytes=3000,
    disk_free_bytes=5000,
)


def parse_openmetrics(text: str) -> Iterable[Metric]:
    """Parse strictly: the parser refuses families that are split, unsorted or wrongly suffixed."""
    families: Iterable[Metric] = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # the library's
    return families


def _samples(families: Iterable[Metric]) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


def _scrape(snapshot: StoreSnapshot | None, now: datetime = NOW) -> dict[tuple[str, tuple[str, ...]], float]:
    body = render(Metrics(), snapshot, now, OPENMETRICS).body
    return _samples(parse_openmetrics(body.decode()))


def test_prometheus_gets_openmetrics() -> None:
    """The Accept header of a Prometheus server brings OpenMetrics 1.0, ended as it asks."""
    scrape = render(Metrics(), SNAPSHOT, NOW, OPENMETRICS)

    assert scrape.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert scrape.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "application/openmetrics-texts\x00;version=x"[:10]])
def test_others_get_plain_text(accept: str) -> None:
    """Whoever asks for something else gets the text format, which parses."""
    scrape = render(Metrics(), SNAPSHOT, NOW, accept)

    assert scrape.content_type == "text/plain; version=0.0.4; charset=utf-8"
    samples = _samples(parse_plain(scrape.body.decode()))
    assert (3000, 5000) == (samples["mcwatch_store_bytes", ()], samples["mcwatch_store_disk_free_bytes", ()])


def test_stored_figures_stand_beside_the_live_ones() -> None:
    """One scrape holds both halves."""
    found = _scrape(SNAPSHOT)

    assert found["mcwatch_config_last_reload_successful", ()] == 1
    assert found["mcwatch_records_received_total", ("acme", "message_finder")] == 100
    assert found["mcwatch_outbox_bytes", ()] == 1000
    assert found["mcwatch_outbox_limit_bytes", ()] == 2000
    assert found["mcwatch_undecodable_dead_letters", ("acme",)] == 3
    assert found["mcwatch_dead_letters", ("splunk",)] == 2


def test_every_named_metric_can_be_scraped() -> None:
    """The list of names is the list of families, counters with their suffix."""
    metrics = Metrics()
    body = render(metrics, SNAPSHOT, NOW, OPENMETRICS).body
    families = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in parse_openmetrics(body.decode())
        if family.name.startswith("mcwatch_")
    }

    assert families == set(metrics.names)


def test_the_sums_of_the_contract_hold() -> None:
    """Received and offered are the sums of what became of rows and events."""
    found = _scrape(SNAPSHOT)

    def total(name: str) -> float:
        return sum(
            value for (metric, labels), value in found.items() if metric == f"mcwatch_{name}" and "acme" in labels
        )

    def of_splunk(name: str) -> float:
        return sum(
            value for (metric, labels), value in found.items() if metric == f"mcwatch_{name}" and "splunk" in labels
        )

    assert total("records_received_total") == sum(
        total(f"records_{part}_total") for part in ("new", "duplicate", "undecodable")
    )
    assert of_splunk("outbox_offered_events_total") == sum(
        of_splunk(part)
        for part in (
            "events_delivered_total",
            "events_dead_lettered_total",
            "events_not_selected_total",
            "events_skipped_total",
            "outbox_events",
        )
    )


def test_the_usual_refusals_exist_before_the_first() -> None:
    """A dead letter's first increment can be seen, for its series was there at zero."""
    found = _scrape(SNAPSHOT)

    assert found["mcwatch_events_dead_lettered_total", ("archive", "refused")] == 0
    assert found["mcwatch_events_dead_lettered_total", ("splunk", "refused")] == 2


@pytest.mark.parametrize(("moved", "age"), [(0, 90), (10, 100), (-3600, 0)])
def test_age_of_the_oldest_waiting_event_is_never_negative(moved: int, age: int) -> None:
    """The age follows the clock and stops at zero when that was set back; without waiting events it is zero."""
    found = _scrape(SNAPSHOT, NOW + timedelta(seconds=moved))

    assert found["mcwatch_outbox_oldest_seconds", ("splunk",)] == age
    assert found["mcwatch_outbox_oldest_seconds", ("archive",)] == 0


def test_without_the_store_its_figures_are_absent() -> None:
    """A store that does not answer is not shown as empty."""
    found = _scrape(None)

    assert ("mcwatch_store_bytes", ()) not in found
    assert found["mcwatch_config_last_reload_successful", ()] == 1


def test_no_creation_times_are_exported() -> None:
    """Series named _created, which double the size of a scrape, are off."""
    metrics = Metrics()
    metrics.initialise({"acme": ["message_finder"]}, ["splunk"])
    metrics.poll_duration_seconds.labels("acme", "message_finder").observe(1)

    assert b"_created" not in render(metrics, SNAPSHOT, NOW, OPENMETRICS).body
