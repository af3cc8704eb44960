"""What a gate saw of late."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.budget import OBSERVED_SECS, GatePressure
from mcwatch.mimecast.pressure import PressureGauge


def test_nothing_is_seen_at_the_start() -> None:
    """Before a second has passed there are no figures."""
    gauge = PressureGauge(77.0)
    gauge.sent(77.1)
    assert GatePressure() == gauge.reading(77.0 + 0.9)


def test_figures_of_a_gauge_just_begun() -> None:
    """Rates are over the time seen so far."""
    gauge = PressureGauge(100.0)
    for second in range(30):
        gauge.sent(100.0 + second)
    gauge.waits(110.0)
    gauge.served(125.0)
    seen = gauge.reading(130.0)
    assert (60.0, 0.5, 30.0) == (seen.sent_per_minute, seen.waited_share, seen.over_secs)


def test_two_that_wait_at_once_are_counted_once() -> None:
    """The share is of time, not of requests; a wait that goes on counts up to now."""
    gauge = PressureGauge(0.0)
    gauge.waits(0.0)
    gauge.waits(10.0)
    gauge.served(20.0)
    assert gauge.reading(40.0).waited_share == pytest.approx(1.0)
    gauge.served(50.0)
    assert gauge.reading(100.0).waited_share == pytest.approx(0.5)


def test_what_is_past_is_forgotten() -> None:
    """After ten quiet minutes and a little nothing of the pressure is left, though the time seen is full."""
    gauge = PressureGauge(0.0)
    gauge.waits(0.0)
    for second in range(300):
        gauge.sent(float(second))
    gauge.served(300.0)
    assert gauge.reading(300.0).waited_share == pytest.approx(1.0)
    seen = gauge.reading(915.0)
    assert (0.0, 0.0) == (seen.sent_per_minute, seen.waited_share)
    assert OBSERVED_SECS <= seen.over_secs <= OBSERVED_SECS + 10


def test_a_wait_of_hours_costs_nothing_and_fills_the_window() -> None:
    """A gate closed for long is read at once and has the whole window waited for."""
    gauge = PressureGauge(0.0)
    gauge.waits(5.0)
    seen = gauge.reading(1_000_003.0)
    assert seen.waited_share == pytest.approx(1.0)
    assert seen.over_secs >= OBSERVED_SECS


@given(steps=st.lists(st.tuples(st.floats(0, 400), st.integers(0, 2)), max_size=60))
def test_figures_stay_within_bounds(steps: list[tuple[float, int]]) -> None:
    """Whatever comes in whatever order, the share is a share, the rate is no more than was sent, memory is bounded."""
    gauge, now, waiting, sent = PressureGauge(0.0), 0.0, 0, 0
    for pause_secs, what in steps:
        now += pause_secs
        if what == 0:
            gauge.sent(now)
            sent += 1
        elif what == 1 or not waiting:
            gauge.waits(now)
            waiting += 1
        else:
            gauge.served(now)
            waiting -= 1
        seen = gauge.reading(now)
        assert 0.0 <= seen.waited_share <= 1.0
        assert seen.over_secs <= OBSERVED_SECS + 10
        assert seen.sent_per_minute * seen.over_secs <= 60 * sent + 1e-6
