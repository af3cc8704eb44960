"""How many events are read at once, by how the last ones fared."""

from mcwatch.domain.errors import FailureReason
from mcwatch.pipeline.appetite import Appetite

_TIMEOUT = FailureReason.TIMEOUT


def _failing(appetite: Appetite, times: int) -> list[int]:
    """Fail so often with batches as large as they may be; return what is wanted after each."""
    found = []
    for _ in range(times):
        appetite.failed(_TIMEOUT, appetite.max_events)
        found.append(appetite.max_events)
    return found


def test_from_the_third_failure_on_it_halves() -> None:
    """Two failures change nothing, each further one halves, down to a single event."""
    assert [20, 20, 10, 5, 2, 1, 1] == _failing(Appetite(20), 7)


def test_success_between_failures_counts() -> None:
    """Only failures in a row make it less."""
    appetite = Appetite(20)
    for _ in range(5):
        assert [20, 20] == _failing(appetite, 2)
        appetite.worked()


def test_success_doubles_up_to_the_most() -> None:
    """After an outage it is soon back where it was."""
    appetite = Appetite(20)
    _failing(appetite, 6)
    found = []
    for _ in range(6):
        appetite.worked()
        found.append(appetite.max_events)
    assert [2, 4, 8, 16, 20, 20] == found


def test_what_is_too_much_again_is_tried_ever_more_seldom() -> None:
    """A doubled number that fails at once goes back at once, and doubling takes twice the successes each time."""
    appetite = Appetite(20)
    _failing(appetite, 3)
    needed = []
    for _ in range(8):
        successes = 0
        while appetite.max_events == 10:
            appetite.worked()
            successes += 1
        needed.append(successes)
        assert [10] == _failing(appetite, 1)
    assert [1, 2, 4, 8, 16, 32, 64, 64] == needed


def test_half_is_half_of_what_was_read() -> None:
    """A batch that was small by its bytes is halved, not the number it might have had."""
    appetite = Appetite(500)
    assert [False, False, True] == [appetite.failed(FailureReason.CONNECTION, 8) for _ in range(3)]
    assert 4 == appetite.max_events


def test_other_trouble_says_nothing_of_the_size() -> None:
    """A receiver that answers has digested the batch, whatever it says."""
    appetite = Appetite(20)
    assert not any(appetite.failed(reason, 20) for reason in (FailureReason.SERVER, FailureReason.AUTH) * 5)
    assert 20 == appetite.max_events
