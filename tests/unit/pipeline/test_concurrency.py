"""How many deliveries go side by side."""

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.pipeline.concurrency import Concurrency


def test_one_at_first() -> None:
    """A receiver nobody knows yet gets one request at a time."""
    assert 1 == Concurrency(8).limit


def test_a_round_of_successes_adds_one() -> None:
    """From n side by side it takes about n successes to come to n + 1, up to the most there may be."""
    concurrency, needed = Concurrency(4), []
    for limit in (1, 2, 3):
        successes = 0
        while concurrency.limit == limit:
            concurrency.worked()
            successes += 1
        needed.append(successes)
    assert [1, 3, 3] == needed
    for _ in range(100):
        concurrency.worked()
    assert 4 == concurrency.limit


def test_trouble_halves() -> None:
    """After trouble half as many go, never none."""
    concurrency = Concurrency(8)
    for _ in range(200):
        concurrency.worked()
    limits = []
    for _ in range(5):
        concurrency.failed()
        limits.append(concurrency.limit)
    assert [4, 2, 1, 1, 1] == limits


@given(st.integers(1, 8), st.lists(st.booleans(), max_size=200))
def test_the_limit_keeps_to_its_bounds(most: int, successes: list[bool]) -> None:
    """Whatever happens, at least one and at most so many."""
    concurrency = Concurrency(most)
    for success in successes:
        if success:
            concurrency.worked()
        else:
            concurrency.failed()
        assert 1 <= concurrency.limit <= most
