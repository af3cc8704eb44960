"""What holds for every attempt and every draw."""

import random

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.backoff import PROBE_CAP_SECS, PROBE_FIRST_SECS, full_jitter, probe_delay

attempts = st.integers(min_value=0, max_value=10**9)
secs = st.floats(min_value=0.001, max_value=10_000)


@given(attempt=attempts, base=secs, cap=secs, seed=st.integers())
def test_full_jitter_stays_between_zero_and_the_cap(attempt: int, base: float, cap: float, seed: int) -> None:
    """No wait is negative or longer than the cap, however many attempts failed."""
    wait = full_jitter(attempt, base_secs=base, cap_secs=cap, draw=random.Random(seed).uniform)
    assert 0.0 <= wait <= cap


@given(attempt=st.integers(min_value=1, max_value=200), base=secs, cap=secs)
def test_full_jitter_bound_never_shrinks(attempt: int, base: float, cap: float) -> None:
    """A later attempt has at least the bound of an earlier one."""
    bounds = [
        full_jitter(n, base_secs=base, cap_secs=cap, draw=lambda _low, high: high) for n in (attempt, attempt + 1)
    ]
    assert bounds == sorted(bounds)


@given(failures=attempts)
def test_probe_delay_is_bounded_and_monotonic(failures: int) -> None:
    """A probe never comes sooner than 30 s, later than 5 min, or sooner than after fewer failures."""
    delay = probe_delay(failures)
    assert PROBE_FIRST_SECS <= delay <= PROBE_CAP_SECS
    assert delay <= probe_delay(failures + 1)
