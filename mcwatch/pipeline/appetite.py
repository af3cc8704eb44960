"""How many events a destination is given at once: fewer after batches that never come to an answer."""

from mcwatch.domain.errors import FailureReason

_FAILURES = 3
"""So many in a row may be an outage; more are likely to be a batch that is too much for the receiver."""
_MOST_SUCCESSES = 64
_TOO_MUCH = frozenset({FailureReason.TIMEOUT, FailureReason.CONNECTION})


class Appetite:
    """Halves from the third failure in a row on, doubles with success, between one event and ``most``.

    Where the doubled number fails at once, it goes back at once, and each time needs twice as many successes before it
    tries again: a receiver that takes a batch and answers too late has those events twice.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._failures = 0
        self._successes = 0
        self._successes_needed = 1
        self._has_grown = False
        self.max_events = most
        """How many events to read next, at most."""

    def worked(self) -> None:
        """Report that events came to their end."""
        self._failures = 0
        self._has_grown = False
        if self.max_events == self._most:
            self._successes_needed = 1
            return
        self._successes += 1
        if self._successes >= self._successes_needed:
            self._successes = 0
            self._has_grown = True
            self.max_events = min(self._most, 2 * self.max_events)

    def failed(self, reason: FailureReason, events: int) -> bool:
        """Report that a batch read as so many ``events`` failed as a whole; tell whether less is wanted now."""
        if reason not in _TOO_MUCH:
            return False
        self._failures += 1
        self._successes = 0
        if self._has_grown:
            self._has_grown = False
            self._failures = _FAILURES
            self._successes_needed = min(2 * self._successes_needed, _MOST_SUCCESSES)
        if self._failures < _FAILURES:
            return False
        self.max_events = max(1, min(self.max_events, events) // 2)
        return True
