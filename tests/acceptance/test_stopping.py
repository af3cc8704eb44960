"""SIGTERM and SIGINT: what is due goes out within the drain time, the rest waits in the store for the next start."""

import signal
import time
from pathlib import Path

import pytest

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import Daemon
from tests.acceptance.waiting import Stillness, eventually

_MAILS = 30
_QUICK_SECS = 4.0
_STILL_SECS = 1.5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_due_is_delivered_before_the_end(
    place: Path, simulator: Simulator, webhook: Hook, number: signal.Signals
) -> None:
    """A signal while the receiver has not answered yet: polling ends, and what is due goes out before the exit."""
    simulator.add_mail(subject="mail {n}", count=_MAILS)
    webhook.may_answer.clear()
    config = configuration.whole(
        [configuration.account(simulator)], [configuration.hook(webhook.url, batch={"max_events": 7})]
    )
    async with Daemon(place, config, "--drain-timeout", "20s") as daemon:
        await eventually(lambda: webhook.requests)
        daemon.signal(number)
        await eventually(lambda: daemon.find("signal_received"))
        # A request may have been on its way; polling that went on would never leave the API alone for so long.
        await eventually(Stillness(simulator.stats.requests.total, _STILL_SECS))
        webhook.may_answer.set()
        assert 0 == await daemon.exit_code()
        assert daemon.find("stopped")
        assert "Traceback" not in daemon.stderr
    assert {f"mail {index}" for index in range(_MAILS)} == set(webhook.subjects())
    assert _MAILS == len(webhook.lines)


async def test_a_batch_that_lingers_goes_out_at_once(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """A batch that still waits for more events is not waited with at the end."""
    simulator.add_mail(subject="lingers")
    config = configuration.whole(
        [configuration.account(simulator)], [configuration.hook(webhook.url, batch={"linger": "5m"})]
    )
    async with Daemon(place, config) as daemon:
        await eventually(lambda: [line for line in daemon.find("poll_done") if line["events"]])
        assert not webhook.lines
        assert 0 == await daemon.stop(_QUICK_SECS)
    assert ["lingers"] == webhook.subjects()


async def test_a_dead_sink_does_not_hold_up_the_end_and_loses_nothing(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """With a receiver out of reach the daemon ends at once, and the next one delivers what waited."""
    await webhook.stop()
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    simulator.add_mail(subject="mail {n}", count=_MAILS)
    async with Daemon(place, config, "--drain-timeout", "60s") as daemon:
        await eventually(lambda: daemon.find("component_down", destination="hook"))
        assert 0 == await daemon.stop(_QUICK_SECS)
    await _next_start_delivers(place, simulator, [f"mail {index}" for index in range(_MAILS)])


async def test_the_drain_timeout_ends_a_sink_that_never_answers(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """A receiver that takes the batch and says nothing is given up after the drain time; the batch comes again."""
    webhook.may_answer.clear()
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    simulator.add_mail(subject="unanswered")
    async with Daemon(place, config, "--drain-timeout", "1s") as daemon:
        await eventually(lambda: webhook.requests)
        began = time.monotonic()
        assert 0 == await daemon.stop(1.0 + _QUICK_SECS)
        assert time.monotonic() - began >= 0.9, "the drain time was used"
        assert daemon.find("drain_timeout")
    await _next_start_delivers(place, simulator, ["unanswered"])


async def test_a_second_signal_hurries(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """Whoever asks twice does not want to wait: the draining ends, with exit 0 and nothing lost."""
    webhook.may_answer.clear()
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    simulator.add_mail(subject="unanswered")
    async with Daemon(place, config, "--drain-timeout", "10m") as daemon:
        await eventually(lambda: webhook.requests)
        daemon.signal(signal.SIGINT)
        await eventually(lambda: daemon.find("signal_received"))
        assert daemon.alive
        daemon.signal(signal.SIGINT)
        assert 0 == await daemon.exit_code(_QUICK_SECS)
        assert "Traceback" not in daemon.stderr
    await _next_start_delivers(place, simulator, ["unanswered"])


async def _next_start_delivers(place: Path, simulator: Simulator, subjects: list[str]) -> None:
    """Start again, with another receiver under the destination's name, and see it get what waited."""
    async with Hook() as receiver:
        config = configuration.whole([configuration.account(simulator)], [configuration.hook(receiver.url)])
        async with Daemon(place, config) as daemon:
            await eventually(lambda: len(receiver.lines) >= len(subjects))
            assert 0 == await daemon.stop()
        assert sorted(subjects) == sorted(str(subject) for subject in receiver.subjects())
