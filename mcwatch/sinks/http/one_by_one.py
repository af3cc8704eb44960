"""The fates of events that are sent in requests of their own."""

from mcwatch.domain.delivery import Refusal, Verdicts
from mcwatch.domain.errors import McwatchError, PermanentError

_REFUSALS_IN_A_ROW = 10


class OneByOne:
    """Collects what became of the events of a batch, in their order.

    A refusal is final once an event after it was accepted: a receiver that has stopped accepting says nothing about an
    event. It is asked again, beside others, until then.
    """

    def __init__(self, count: int) -> None:
        self._open = set(range(count))
        self._refused: dict[int, Refusal] = {}
        self._suspects: dict[int, Refusal] = {}
        self._has_accepted = False
        self._error: McwatchError | None = None

    @property
    def is_over(self) -> bool:
        """Whether no further request makes sense for now."""
        return len(self._suspects) >= _REFUSALS_IN_A_ROW

    def accept(self, index: int) -> None:
        """Record an acceptance."""
        self._open.remove(index)
        self._has_accepted = True
        self._refused |= self._suspects
        self._suspects.clear()

    def refuse(self, index: int, error: PermanentError) -> None:
        """Record a refusal."""
        self._suspects[index] = Refusal(error.reason, ": ".join(filter(None, (str(error), error.detail))))
        self._error = error

    def interrupt(self, error: McwatchError) -> None:
        """Record why the events from here on were not sent, or not accepted."""
        self._error = error

    def verdicts(self) -> Verdicts:
        """Return the verdicts; raises what went wrong when nothing was accepted."""
        if self._error and not self._has_accepted:
            raise self._error
        return Verdicts(refused=self._refused, retry=frozenset(self._open - self._refused.keys()))
