"""When a loop is due."""

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.schedule import first_due, next_due


def test_a_loop_in_time_keeps_its_grid() -> None:
    """The next poll is an interval after this one was due, not after it ended."""
    assert 40.0 == next_due(10.0, 12.5, 30.0)


def test_a_late_loop_skips_what_it_missed() -> None:
    """A poll that took several intervals is followed by one at the next point of the grid."""
    assert 130.0 == next_due(10.0, 101.0, 30.0)
    assert 130.0 == next_due(10.0, 100.0, 30.0)


def test_the_first_poll_comes_soon() -> None:
    """The first poll is spread over a tenth of the interval, two seconds at most."""
    assert 100.0 == first_due(100.0, 30.0, 0.0)
    assert 101.0 == first_due(100.0, 20.0, 0.5)
    assert 101.0 == first_due(100.0, 86400.0, 0.5)


def test_many_first_polls_are_spread_over_the_interval() -> None:
    """Twenty pollers begin at once, more of them evenly, because they keep the distance they begin with."""
    assert 101.0 == first_due(100.0, 60.0, 0.5, pollers=20)
    assert 130.0 == first_due(100.0, 60.0, 0.5, pollers=21)
    assert 100.0 == first_due(100.0, 60.0, 0.0, pollers=1000)


@given(st.integers(0, 10**6), st.integers(0, 10**7), st.integers(1, 10**5))
def test_the_next_poll_is_on_the_grid_and_within_an_interval(due: int, late: int, interval: int) -> None:
    """However late, the next time is on the grid, later than now, and at most an interval away."""
    now = due + late
    following = next_due(due, now, interval)
    assert 0 == (following - due) % interval
    assert now < following <= now + interval


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.1, 1e5))
def test_fractions_do_no_harm(due: float, late: float, interval: float) -> None:
    """With fractions of seconds the next time is at most a rounding error before now."""
    assert due + late - 1e-6 <= next_due(due, due + late, interval) <= due + late + interval + 1e-6
