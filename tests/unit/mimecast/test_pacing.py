"""When the next request may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.mimecast.pacing import Ceiling, Scope


@given(
    per_minute=st.integers(1, 300),
    asked=st.lists(st.tuples(st.floats(0, 5), st.booleans()), min_size=1, max_size=400),
)
def test_no_minute_sees_more_than_the_ceiling(per_minute: int, asked: list[tuple[float, bool]]) -> None:
    """However requests with and without burst follow each other, no 60 s hold more than the ceiling."""
    ceiling, now = Ceiling(per_minute), 0.0
    times: list[float] = []
    for pause_secs, may_burst in asked:
        now += pause_secs
        now += ceiling.wait_secs(now, may_burst=may_burst)
        ceiling.take(now)
        times.append(now)
    oldest = 0
    for index, time in enumerate(times):
        while times[oldest] <= time - 60 + 1e-6:
            oldest += 1
        assert index - oldest + 1 <= per_minute


def test_even_flow_leaves_the_burst_to_the_urgent() -> None:
    """Requests that may not burst never use up what lets an urgent one go at once."""
    ceiling, now = Ceiling(120), 0.0
    for _ in range(100):
        now += ceiling.wait_secs(now, may_burst=False)
        ceiling.take(now)
        assert 0.0 == ceiling.wait_secs(now, may_burst=True)
    assert now == pytest.approx(99 * 60 / 116)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset_secs", "pace_secs"),
    [
        (100, 20, 60.0, 0.0),  # a fifth is left
        (100, 19, 60.0, 3.0),
        (100, 1, 60.0, 30.0),
        (None, 1, 60.0, 0.0),  # of what?
        (0, 1, 60.0, 0.0),
        (2, 1, 60.0, 0.0),
    ],
)
def test_little_left_is_spread_over_the_time_to_the_reset(
    limit: int | None, remaining: int, reset_secs: float, pace_secs: float
) -> None:
    """Below a fifth of the limit requests come so far apart that the last one still goes before the reset."""
    scope = Scope()
    scope.tell(1000.0, limit, remaining, reset_secs)
    assert pace_secs == scope.pace_secs(1000.0, 0.0)


@pytest.mark.parametrize(
    ("remaining", "waits"),
    [(19, [3.0, 3.0, 60.0]), (14, [4.0, 60.0, 60.0]), (9, [60.0, 60.0, 60.0])],
)
def test_who_leaves_a_share_waits_for_the_reset(remaining: int, waits: list[float]) -> None:
    """The larger the share that a request is to leave to others, the sooner it stops."""
    scope = Scope()
    scope.tell(0.0, 100, remaining, 60.0)
    assert waits == [scope.pace_secs(0.0, share) for share in (0.1, 0.15, 0.2)]


def test_a_reset_ends_the_pace() -> None:
    """After the reset, and after an answer that tells of plenty, requests go freely."""
    scope = Scope()
    scope.tell(0.0, 100, 3, 60.0)
    assert 15.0 == scope.pace_secs(0.0, 0.0)
    assert [5.0, 0.0] == [scope.pace_secs(now, 0.2) for now in (55.0, 60.0)]
    scope.tell(0.0, 100, 3, 60.0)
    scope.tell(1.0, None, 90, 60.0)
    assert 0.0 == scope.pace_secs(1.0, 0.2)


def test_between_two_answers_the_pace_is_kept() -> None:
    """Requests sent while no answer came are spaced too."""
    scope = Scope()
    scope.tell(0.0, 100, 5, 60.0)
    scope.take(10.0, is_urgent=True)
    assert 10.0 == scope.pace_secs(10.0, 0.0)


def test_nothing_left_closes() -> None:
    """Zero left is a closed scope, limit or not; a shorter time does not open it."""
    scope = Scope()
    scope.tell(0.0, None, 0, 60.0)
    scope.tell(0.0, None, 0, 10.0)
    scope.close(0.0, 5.0)
    assert 60.0 == scope.closed_until


def test_what_urgent_requests_will_take_is_left_to_them() -> None:
    """Fresh reads that take 20 of 50 calls a minute keep the others out of the last 20, however much that is."""
    scope = Scope()
    for second in range(0, 120, 3):
        scope.take(1000.0 + second, is_urgent=True)
    scope.tell(1120.0, 50, 21, 60.0)
    assert (0.0, 0.0) == (scope.pace_secs(1120.0, 0.0), scope.pace_secs(1120.0, 0.1))
    scope.tell(1120.0, 50, 19, 60.0)
    assert (0.0, 60.0) == (scope.pace_secs(1120.0, 0.0), scope.pace_secs(1120.0, 0.1))


def test_a_first_poll_is_no_rate() -> None:
    """Twenty searches read at once at the start do not keep the rest waiting for the reset."""
    scope = Scope()
    for _ in range(20):
        scope.take(1000.0, is_urgent=True)
    scope.tell(1001.0, 100, 80, 60.0)
    assert 0.0 == scope.pace_secs(1001.0, 0.1)
