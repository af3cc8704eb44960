"""The bounded retry inside one poll (style guide, part 4.6): few attempts, seconds, never nested."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from mcwatch.domain.backoff import full_jitter
from mcwatch.domain.errors import FailureReason, ThrottledError, TransientError
from mcwatch.interfaces import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patiently one call is repeated.

    Args:
        attempts: calls made altogether.
        base_secs: upper bound of the first wait, doubled for each further one.
        cap_secs: upper bound of any wait that nobody asked for.
        slow_attempts: attempts in all where the last one timed out: each has taken its whole time.
        max_wait_secs: a throttle that asks for more than this is handed to the caller at once.
    """

    attempts: int = 4
    slow_attempts: int = 2
    base_secs: float = 0.5
    cap_secs: float = 20.0
    max_wait_secs: float = 60.0


@dataclass(frozen=True, slots=True)
class Retry:
    """One failed attempt about to be repeated: its number (from 1), the wait before the next, and what went wrong."""

    attempt: int
    wait_secs: float
    error: TransientError


async def with_retries(
    call: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    *,
    clock: Clock,
    rng: random.Random,
    on_retry: Callable[[Retry], None] | None = None,
) -> T:
    """Return what ``call`` returns, repeating it after a TransientError.

    Raises the last error when the attempts are used up, and every other error at once. The waits run on ``clock`` and
    end at cancellation.
    """

    def retried(error: BaseException) -> bool:
        if not isinstance(error, TransientError) or error.reason is FailureReason.TOO_LARGE:
            # What is too large now is too large in a second: whoever asked must ask for less.
            return False
        return _asked_secs(error) <= policy.max_wait_secs

    def wait_secs(state: RetryCallState) -> float:
        backoff = full_jitter(
            state.attempt_number, base_secs=policy.base_secs, cap_secs=policy.cap_secs, draw=rng.uniform
        )
        return max(backoff, _asked_secs(_error_of(state)))

    def used_up(state: RetryCallState) -> bool:
        error = _error_of(state)
        timed_out = isinstance(error, TransientError) and error.reason is FailureReason.TIMEOUT
        return state.attempt_number >= (min(policy.slow_attempts, policy.attempts) if timed_out else policy.attempts)

    def report(state: RetryCallState) -> None:
        error = _error_of(state)
        if on_retry is not None and isinstance(error, TransientError):
            on_retry(Retry(state.attempt_number, state.upcoming_sleep, error))

    retrying = AsyncRetrying(
        sleep=clock.sleep,
        stop=used_up,
        wait=wait_secs,
        retry=retry_if_exception(retried),
        before_sleep=report,
        reraise=True,
    )
    return await retrying(call)


def _asked_secs(error: BaseException | None) -> float:
    return (error.retry_after_secs or 0.0) if isinstance(error, ThrottledError) else 0.0


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
