"""The API's clock out of Date headers."""

from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from mcwatch.mimecast.clock_skew import ClockSkew
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock


def make(clock: FakeClock) -> tuple[ClockSkew, Metrics]:
    """Give a skew with metrics of its own."""
    metrics = Metrics(CollectorRegistry())
    return ClockSkew("acme", clock, metrics), metrics


def answer(skew: ClockSkew, clock: FakeClock, *, ahead: float, there: float = 0.1, back: float = 0.1) -> None:
    """Let one request take its time to a server whose clock is ``ahead``."""
    sent_at = clock.monotonic()
    clock.advance(there)
    date = format_datetime((clock.now() + timedelta(seconds=ahead)).replace(microsecond=0), usegmt=True)
    clock.advance(back)
    skew.observe(date, sent_at, clock.monotonic())


def test_before_the_first_answer_our_clock_counts() -> None:
    """Without any answer the server's time is ours, and the skew is not known."""
    clock = FakeClock()
    skew, _ = make(clock)
    assert (clock.now(), None) == (skew.server_now(), skew.skew_secs)


@pytest.mark.parametrize("ahead", [0.0, 5.0, -7200.0, 86400.0])
def test_one_answer_is_enough(ahead: float) -> None:
    """A skew of seconds to days is known after one answer, to half a second and the way there."""
    clock = FakeClock()
    skew, metrics = make(clock)
    answer(skew, clock, ahead=ahead)
    assert skew.skew_secs == pytest.approx(ahead, abs=0.6)
    assert metrics.registry.get_sample_value("mcwatch_api_clock_skew_seconds", {"account": "acme"}) == pytest.approx(
        ahead, abs=0.6
    )


@given(
    ahead=st.floats(-100_000, 100_000),
    trips=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 30), st.floats(0, 100)), min_size=1, max_size=20),
)
def test_error_stays_within_the_best_answer(ahead: float, trips: list[tuple[float, float, float]]) -> None:
    """The estimate is never worse than the fastest answer allows, whatever slow ones come after or before."""
    clock = FakeClock()
    skew, _ = make(clock)
    for there, back, pause in trips:
        answer(skew, clock, ahead=ahead, there=there, back=back)
        clock.advance(pause)
    best = min(there + back for there, back, _ in trips)
    assert skew.skew_secs is not None
    assert abs(skew.skew_secs - ahead) <= best + 1.0 + 1e-3


def test_a_slow_answer_moves_nothing() -> None:
    """An answer that took half a minute does not disturb what is known."""
    clock = FakeClock()
    skew, _ = make(clock)
    answer(skew, clock, ahead=10)
    before = skew.skew_secs
    answer(skew, clock, ahead=10, there=0.0, back=30.0)
    assert before == skew.skew_secs


def test_setting_our_clock_does_not_lose_the_server_time() -> None:
    """When somebody sets this machine's clock, the server's time goes on, and the skew follows at once."""
    clock = FakeClock()
    skew, _ = make(clock)
    answer(skew, clock, ahead=0)
    before = skew.server_now()
    clock.jump(-7200)
    assert before == skew.server_now()
    assert skew.skew_secs == pytest.approx(7200, abs=0.6)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026 25:00:00 GMT"])
def test_missing_and_unreadable_dates_are_ignored(date: str | None) -> None:
    """Nothing is learnt from an answer without a usable date."""
    skew, _ = make(FakeClock())
    skew.observe(date, 0.0, 0.1)
    assert skew.skew_secs is None


def test_a_wrong_clock_is_reported_once_and_its_end_too() -> None:
    """More than 30 s of skew is one warning; its end is one line."""
    clock = FakeClock()
    skew, _ = make(clock)
    with capture_logs() as logs:
        for ahead in (0, 29, 40, 41, 20, 0, 0):
            answer(skew, clock, ahead=ahead)
    assert [("clock_skew", "warning"), ("clock_skew_over", "info")] == [
        (log["event"], log["log_level"]) for log in logs
    ]
