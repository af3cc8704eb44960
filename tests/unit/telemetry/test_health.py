"""Up and down: said once, with reason, remedy and duration."""

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from mcwatch.domain.errors import AuthError
from mcwatch.telemetry.health import STORE, Component, Health
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock

ACME = Component.of_account("acme")
FINDER = Component.of_source("acme", "message_finder")
SPLUNK = Component.of_destination("splunk")


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands still."""
    return FakeClock()


@pytest.fixture
def health(registry: CollectorRegistry, clock: FakeClock) -> Health:
    """Give the health of a process that has tried nothing."""
    return Health(Metrics(registry), clock.now)


def test_the_first_failure_is_logged_once(health: Health) -> None:
    """Further failures of the same kind say nothing."""
    with capture_logs() as logs:
        health.down(ACME, "the credentials were refused", "renew the secret")
        health.down(ACME, "the credentials were refused again", "renew the secret")

    assert logs == [
        {
            "event": "component_down",
            "log_level": "warning",
            "account": "acme",
            "reason": "the credentials were refused",
            "remedy": "renew the secret",
        }
    ]
    assert health.condition(ACME).reason == "the credentials were refused again"


def test_a_failure_that_wants_something_else_done_is_logged(health: Health) -> None:
    """While down, another remedy is news."""
    health.down(SPLUNK, "it answered 503")
    with capture_logs() as logs:
        health.down(SPLUNK, "it answered 403", "renew the token")

    assert [line["event"] for line in logs] == ["component_still_down"]


def test_recovery_is_logged_with_the_time_it_took(health: Health, clock: FakeClock) -> None:
    """The time counts from the first failure."""
    health.down(FINDER, "time-out")
    clock.advance(60)
    health.down(FINDER, "time-out")
    clock.advance(30)
    with capture_logs() as logs:
        health.up(FINDER)
        health.up(FINDER)

    assert logs == [
        {
            "event": "component_recovered",
            "log_level": "info",
            "account": "acme",
            "source": "message_finder",
            "down_secs": 90.0,
        }
    ]


def test_a_first_success_is_no_news(health: Health) -> None:
    """A part that simply works is not logged."""
    health.expect(ACME)
    with capture_logs() as logs:
        health.up(ACME)

    assert logs == []


def test_the_last_error_outlives_the_recovery(health: Health, clock: FakeClock) -> None:
    """What went wrong last can be read when it is over, as history."""
    health.down(SPLUNK, "it answered 503", "wait")
    failed_at = clock.now()
    clock.advance(10)
    health.up(SPLUNK)

    condition = health.condition(SPLUNK)
    assert (condition.up, condition.since, condition.reason, condition.remedy) == (True, clock.now(), "", "")
    assert (condition.last_error, condition.last_error_at) == ("it answered 503", failed_at)


@pytest.mark.parametrize(
    ("component", "gauge", "labels"),
    [
        (ACME, "mcwatch_account_up", {"account": "acme"}),
        (FINDER, "mcwatch_source_up", {"account": "acme", "source": "message_finder"}),
        (SPLUNK, "mcwatch_destination_up", {"destination": "splunk"}),
    ],
)
def test_the_gauge_follows(
    health: Health, registry: CollectorRegistry, component: Component, gauge: str, labels: dict[str, str]
) -> None:
    """Each state change shows in the part's gauge."""
    seen = []
    for report in (health.up, lambda part: health.down(part, "gone"), health.up):
        report(component)
        seen.append(registry.get_sample_value(gauge, labels))

    assert seen == [1, 0, 1]


def test_an_error_brings_its_remedy(health: Health) -> None:
    """An error of the tree is reported with what it says to do."""
    health.failed(STORE, AuthError("no access", remedy="chmod"))

    assert (health.condition(STORE).reason, health.condition(STORE).remedy) == ("no access", "chmod")


def test_what_is_not_tried_is_neither_up_nor_ill(health: Health) -> None:
    """Healthy means that nothing is known to be down."""
    health.expect(ACME)

    assert health.healthy
    assert not health.condition(ACME).up


def test_what_works_but_not_well_is_said_once(health: Health) -> None:
    """A degraded part stays up, makes the whole not healthy, and one line says what to do and one that it is over."""
    health.up(FINDER)
    with capture_logs() as lines:
        health.degraded(FINDER, "6 % of ids changed", "set identity: content")
        health.degraded(FINDER, "7 % of ids changed", "set identity: content")
        health.up(FINDER)
        condition = health.condition(FINDER)
        assert (True, "7 % of ids changed", "set identity: content") == (
            condition.up,
            condition.reason,
            condition.remedy,
        )
        well = [health.healthy]
        health.degraded(FINDER, "", "")
        well.append(health.healthy)
    assert [False, True] == well
    assert ["component_degraded", "component_well_again"] == [line["event"] for line in lines]


def test_what_is_down_is_not_degraded(health: Health) -> None:
    """Why it is down stays the reason."""
    health.failed(FINDER, AuthError("no", remedy="ask"))
    health.degraded(FINDER, "6 % of ids changed", "set identity: content")
    assert ("no", "ask") == (health.condition(FINDER).reason, health.condition(FINDER).remedy)
