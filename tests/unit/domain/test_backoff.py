"""The pure waiting rules."""

import pytest

from mcwatch.domain.backoff import full_jitter, probe_delay


def highest(_low: float, high: float) -> float:
    """Draw the upper bound."""
    return high


@pytest.mark.parametrize(
    ("attempt", "bound"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (6, 16.0), (7, 20.0), (50, 20.0)]
)
def test_full_jitter_doubles_its_bound_up_to_the_cap(attempt: int, bound: float) -> None:
    """The bound starts at the base, doubles with each attempt and stops at the cap."""
    assert bound == full_jitter(attempt, base_secs=0.5, cap_secs=20.0, draw=highest)


@pytest.mark.parametrize(
    ("failures", "secs"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 300), (6, 300), (10_000, 300)]
)
def test_probe_delay_doubles_from_30_seconds_to_5_minutes(failures: int, secs: float) -> None:
    """Whatever is down is tried after 30 s, doubling to 5 min."""
    assert secs == probe_delay(failures)
