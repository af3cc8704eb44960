"""An orderly end with deliveries under way and acknowledgements pending, and what the next start makes of them."""

import signal
import time
from pathlib import Path

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import Daemon
from tests.acceptance.waiting import eventually
from tests.fakes.hec import Hec

_MAILS = 30
_AT_ONCE_SECS = 5.0


def _config(simulator: Simulator, hook: Hook, hec: Hec) -> Config:
    batch = {"max_events": 5}
    return configuration.whole(
        [configuration.account(simulator)],
        [configuration.hook(hook.url, batch=batch), configuration.splunk(hec.url, batch=batch)],
    )


async def test_pending_acknowledgements_are_asked_for_after_the_next_start_and_not_sent_again(
    place: Path, simulator: Simulator, webhook: Hook, hec: Hec
) -> None:
    """SIGTERM delivers what is under way and waits for no indexer; the next start confirms what Splunk has by then."""
    hec.is_slow = True
    webhook.may_answer.clear()
    simulator.add_mail(subject="mail {n}", count=_MAILS)
    config = _config(simulator, webhook, hec)
    async with Daemon(place, config, "--drain-timeout", "20s") as daemon:
        await eventually(lambda: webhook.requests and len(hec.posts()) == _MAILS // 5)
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: daemon.find("signal_received"))
        webhook.may_answer.set()
        began = time.monotonic()
        assert 0 == await daemon.exit_code(_AT_ONCE_SECS + 5.0)
        assert time.monotonic() - began < _AT_ONCE_SECS, "what is not acknowledged is not waited for"
        assert not daemon.find("drain_timeout")
        assert "Traceback" not in daemon.stderr
    assert _MAILS == len(set(webhook.event_ids)), "what was due has been delivered"
    assert [] == hec.events
    posts = len(hec.posts())
    hec.index()
    async with Daemon(place, config) as daemon:

        async def confirmed() -> bool:
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            return scrape.value("outbox_events", destination="splunk") == 0

        await eventually(confirmed)
        assert _MAILS == (await daemon.metrics()).value("events_delivered_total", destination="splunk")
        assert 0 == await daemon.stop()
    assert posts == len(hec.posts()), "nothing was sent again"
    assert sorted(webhook.event_ids) == sorted(event["event_id"] for event in hec.events)


async def test_what_splunk_has_lost_meanwhile_is_sent_again(
    place: Path, simulator: Simulator, webhook: Hook, hec: Hec
) -> None:
    """A Splunk that crashed while mcwatch was down acknowledges nothing: after ack_timeout all of it comes again."""
    hec.is_slow = True
    simulator.add_mail(subject="mail {n}", count=_MAILS)
    destination = configuration.splunk(hec.url, sink={"ack_timeout": "1s"}, batch={"max_events": 5})
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url), destination])
    async with Daemon(place, config) as daemon:
        await eventually(lambda: len(webhook.lines) == _MAILS and len(hec.posts()) >= _MAILS // 5)
        assert 0 == await daemon.stop()
    hec.crash()
    hec.is_slow = False
    async with Daemon(place, config) as daemon:
        await eventually(lambda: len({event["event_id"] for event in hec.events}) == _MAILS)

        async def confirmed() -> bool:
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            return scrape.value("outbox_events") == 0

        await eventually(confirmed)
        assert 0 == await daemon.stop()
    assert {event["event_id"] for event in hec.events} == set(webhook.event_ids)


async def test_a_second_signal_ends_at_once(place: Path, simulator: Simulator, webhook: Hook, hec: Hec) -> None:
    """With two receivers that do not answer, the second SIGTERM ends the wait; nothing is lost by it."""
    webhook.may_answer.clear()
    hec.answering.clear()
    simulator.add_mail(subject="mail {n}", count=_MAILS)
    config = _config(simulator, webhook, hec)
    async with Daemon(place, config, "--drain-timeout", "10m") as daemon:
        await eventually(lambda: webhook.requests and hec.engaged.is_set())
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: daemon.find("signal_received"))
        assert daemon.alive
        daemon.signal(signal.SIGTERM)
        assert 0 == await daemon.exit_code(_AT_ONCE_SECS)
        assert "Traceback" not in daemon.stderr
    webhook.may_answer.set()
    hec.answering.set()
    async with Daemon(place, config) as daemon:
        await eventually(lambda: len(set(webhook.event_ids)) == _MAILS)
        await eventually(lambda: len({event["event_id"] for event in hec.events}) == _MAILS)
        assert 0 == await daemon.stop()
