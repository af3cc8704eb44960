"""When the process counts as ready."""

from prometheus_client import CollectorRegistry

from mcwatch.httpserver.readiness import readiness
from mcwatch.telemetry.health import STORE, Component, Health
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import START, FakeClock

ACME = Component.of_account("acme")


def _health(registry: CollectorRegistry) -> Health:
    health = Health(Metrics(registry), FakeClock().now)
    health.expect(ACME)
    return health


def test_not_before_every_account_was_tried(registry: CollectorRegistry) -> None:
    """The answer names who is missing."""
    answer = readiness(_health(registry))

    assert (answer.ready, answer.untried) == (False, ["account acme"])


def test_an_account_that_is_down_does_not_make_it_unready(registry: CollectorRegistry) -> None:
    """It was tried; the answer lists it with reason and remedy."""
    health = _health(registry)
    health.down(ACME, "refused", "renew the secret")
    answer = readiness(health)

    assert answer.ready
    assert [(one.component, one.reason, one.remedy, one.since) for one in answer.down] == [
        ("account acme", "refused", "renew the secret", START)
    ]


def test_not_while_the_store_takes_no_writes(registry: CollectorRegistry) -> None:
    """It is ready again when the store is."""
    health = _health(registry)
    health.up(ACME)
    health.down(STORE, "the disk is full", "make room")
    unready = readiness(health)
    health.up(STORE)

    assert (unready.ready, readiness(health).ready) == (False, True)
    assert [one.component for one in unready.down] == ["store"]
