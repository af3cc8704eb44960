"""The bounded retry, in virtual time."""

import asyncio
import random

import pytest

from mcwatch.domain.errors import AuthError, McwatchError, PermanentError, ThrottledError, TransientError
from mcwatch.httpclient.retry import Retry, RetryPolicy, with_retries
from tests.fakes.clock import FakeClock

POLICY = RetryPolicy()


class Highest(random.Random):
    """Draws the upper bound, so that waits can be foretold."""

    def uniform(self, a: float, b: float) -> float:
        """Return the bound."""
        return b


class Call:
    """Fails as listed, then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.count = 0

    async def __call__(self) -> str:
        """Fail with the next error of the list, or succeed."""
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def run(call: Call, clock: FakeClock, retries: list[Retry] | None = None) -> str:
    """Run the call under the default policy."""
    on_retry = retries.append if retries is not None else None
    return await with_retries(call, POLICY, clock=clock, rng=Highest(), on_retry=on_retry)


async def test_success_needs_no_wait() -> None:
    """A call that works is made once."""
    call, clock = Call(), FakeClock()
    assert ("done", 1, []) == (await run(call, clock), call.count, clock.sleeps)


async def test_waits_double_on_the_clock_and_are_reported() -> None:
    """Transient failures are repeated after 0.5, 1 and 2 s at most, each reported with its number and cause."""
    errors = [TransientError("a"), TransientError("b"), TransientError("c")]
    call, clock, retries = Call(*errors), FakeClock(), list[Retry]()
    assert "done" == await run(call, clock, retries)
    assert [0.5, 1.0, 2.0] == clock.sleeps
    assert [Retry(n + 1, clock.sleeps[n], errors[n]) for n in range(3)] == retries


async def test_the_last_error_is_raised_after_four_attempts() -> None:
    """When the attempts are used up the last error itself comes out."""
    errors = [TransientError(str(n)) for n in range(9)]
    call = Call(*errors)
    with pytest.raises(TransientError) as caught:
        await run(call, FakeClock())
    assert (errors[3], 4) == (caught.value, call.count)


@pytest.mark.parametrize("error", [PermanentError("no"), AuthError("no"), ValueError("no")])
async def test_final_errors_are_not_repeated(error: Exception) -> None:
    """Only transient errors are worth another attempt."""
    call = Call(error)
    with pytest.raises(type(error)):
        await run(call, FakeClock())
    assert 1 == call.count


@pytest.mark.parametrize(("asked", "waited"), [(30.0, 30.0), (0.1, 0.5), (None, 0.5), (60.0, 60.0)])
async def test_a_throttle_is_waited_for(asked: float | None, waited: float) -> None:
    """The wait is the longer of backoff and what was asked for."""
    clock = FakeClock()
    await run(Call(ThrottledError("slow", retry_after_secs=asked)), clock)
    assert [waited] == clock.sleeps


async def test_a_long_throttle_is_handed_back() -> None:
    """A throttle beyond the bound is raised at once."""
    error: McwatchError = ThrottledError("slow", retry_after_secs=61.0)
    call, clock = Call(error), FakeClock()
    with pytest.raises(ThrottledError) as caught:
        await run(call, clock)
    assert (error, 1, []) == (caught.value, call.count, clock.sleeps)


async def test_the_wait_ends_at_cancellation() -> None:
    """Shutting down does not wait for a backoff."""
    call, clock = Call(TransientError("a")), FakeClock(manual=True)
    task = asyncio.create_task(run(call, clock))
    await clock.asleep.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 1 == call.count


async def test_cancellation_of_the_call_passes_through() -> None:
    """A cancelled attempt is not repeated."""
    call = Call(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await run(call, FakeClock())
    assert 1 == call.count
