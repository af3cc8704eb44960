"""The http sink with one event per request."""

import json
from collections.abc import Callable

import pytest

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Refusal, Verdicts
from mcwatch.domain.errors import AuthError, FailureReason, PermanentError, ThrottledError, TransientError
from mcwatch.sinks.http.sink import HttpSink, RequestOptions
from mcwatch.sinks.receiver import Receiver, ReceiverOptions, Target
from tests.contract.sink_events import event, numbered
from tests.unit.sinks.http.hook import Hook, Received, Say


def _number(request: Received) -> int:
    return int(json.loads(request.body)["event_id"], 16)


def _saying(**statuses: int) -> Callable[[Received], Say]:
    """Answer 200, but to the events named, as in ``e3=400``."""
    return lambda request: Say(statuses.get(f"e{_number(request)}", 200), b"no")


async def _deliver(hook: Hook, batch: Batch) -> Verdicts:
    async with hook.config(body="single").build() as sink:
        return await sink.deliver(batch)


async def test_each_event_is_a_request_in_order(hook: Hook) -> None:
    """Every event comes alone, in order, with a key of its own."""
    assert ALL_ACCEPTED == await _deliver(hook, numbered(5))
    assert [event(number) for number in range(5)] == [request.body for request in hook.requests]
    assert 5 == len({request.headers["Idempotency-Key"] for request in hook.requests})
    assert {"application/json"} == {request.headers["Content-Type"] for request in hook.requests}


async def test_a_refusal_names_its_event(hook: Hook) -> None:
    """A 4xx concerns the event it answers; those behind it are delivered."""
    hook.says = _saying(e1=400, e2=422)
    refusals = {number: Refusal(FailureReason.REFUSED, _said(hook, status)) for number, status in ((1, 400), (2, 422))}
    assert Verdicts(refused=refusals) == await _deliver(hook, numbered(4))


async def test_a_refusal_with_nothing_accepted_after_it_is_asked_again(hook: Hook) -> None:
    """A receiver that has stopped accepting proves nothing about an event."""
    hook.says = _saying(e2=400)
    assert Verdicts(retry=frozenset({2})) == await _deliver(hook, numbered(3))


@pytest.mark.parametrize("status", [0, 500, 401, 404, 429])
async def test_a_failure_after_some_leaves_the_rest_for_later(hook: Hook, status: int) -> None:
    """What was accepted before stays accepted, and nothing is sent after the failure."""
    hook.says = _saying(e2=status)
    assert Verdicts(retry=frozenset({2, 3, 4})) == await _deliver(hook, numbered(5))
    assert (4 if status == 0 else 3) == len(hook.requests)  # once more where a kept connection was dropped


@pytest.mark.parametrize(
    ("status", "error"),
    [(0, TransientError), (500, TransientError), (401, AuthError), (429, ThrottledError), (400, PermanentError)],
)
async def test_a_failure_at_the_first_is_an_error(
    hook: Hook, status: int, error: type[TransientError | PermanentError]
) -> None:
    """With nothing accepted the dispatcher is told what is wrong."""
    hook.says = _saying(e0=status, e1=status)
    with pytest.raises(error) as failure:
        await _deliver(hook, numbered(2))
    assert error is failure.type


async def test_a_receiver_that_refuses_everything_is_not_asked_for_all(hook: Hook) -> None:
    """After ten refusals in a row the rest of the batch stays."""
    hook.says = lambda _: Say(400)
    with pytest.raises(PermanentError):
        await _deliver(hook, numbered(40))
    assert 10 == len(hook.requests)


async def test_text_goes_event_by_event(hook: Hook) -> None:
    """Formats that are text may be sent alone, too."""
    batch = Batch((event(0), event(1)), (b"CEF:0|a", b"CEF:0|b"), "text/plain")
    assert ALL_ACCEPTED == await _deliver(hook, batch)
    assert [b"CEF:0|a", b"CEF:0|b"] == [request.body for request in hook.requests]


@pytest.mark.parametrize(("passed_secs", "is_asked"), [(0, False), (29, False), (30, True)])
async def test_a_wait_asked_for_in_the_middle_is_kept(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, passed_secs: int, is_asked: bool
) -> None:
    """The receiver gets no request before the time it asked for, whatever becomes of the wall clock meanwhile."""
    now = [1000.0]
    monkeypatch.setattr("mcwatch.sinks.http.sink._now_secs", lambda: now[0])
    options = RequestOptions(body="single")
    async with HttpSink(Receiver(ReceiverOptions(targets=[Target(hook.url)])), options) as sink:
        hook.says = lambda request: Say(429, b"", {"Retry-After": "30"}) if _number(request) else Say()
        assert Verdicts(retry=frozenset({1})) == await sink.deliver(numbered(2))
        now[0] += passed_secs
        hook.says = lambda _: Say()
        if is_asked:
            assert ALL_ACCEPTED == await sink.deliver(numbered(1, start=1))
            return
        for _ in range(2):  # deliveries side by side are told alike
            with pytest.raises(ThrottledError) as failure:
                await sink.deliver(numbered(1, start=1))
            assert 30 - passed_secs == failure.value.retry_after_secs
    assert 2 == len(hook.requests)


def _said(hook: Hook, status: int) -> str:
    return f"{hook.url.removesuffix('/in')} answered {status}: no"
