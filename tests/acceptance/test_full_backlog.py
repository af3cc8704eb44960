"""A backlog at its limit: what rests, what goes on, and who is passed over so that the others need not wait."""

import random
from pathlib import Path

from aiohttp import web

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, Scrape, run_command
from tests.acceptance.waiting import eventually

_LIMIT = "40KiB"
_EVENT_BYTES = 800
"""What an event with such a subject takes in the store, roughly."""


class Flow:
    """Mail that fills a backlog soon: its subjects cannot be compressed."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._noise = random.Random(5)
        self.subjects: list[str] = []

    def add(self, count: int, **mail: object) -> None:
        """Add mail."""
        for _ in range(count):
            self.subjects.append(self._noise.randbytes(100).hex())
            self._simulator.add_mail(subject=self.subjects[-1], **mail)

    async def fill(self, daemon: Daemon, share: float, **mail: object) -> None:
        """Add mail until so large a share of the limit waits, and hardly more."""

        async def filled() -> bool:
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            if scrape.value("records_new_total") < len(self.subjects):
                return False
            wanted = share * scrape.value("outbox_limit_bytes") - scrape.value("outbox_bytes")
            if wanted > 0:
                # Half of what is missing, as long as that is more than a bit.
                self.add(max(1, int(wanted / _EVENT_BYTES / 2)), **mail)
            return wanted <= 0

        await eventually(filled, 30.0)


def _no(_lines: list[bytes]) -> web.Response:
    return web.Response(status=503, headers={"Retry-After": "1"})


async def _counted(daemon: Daemon, name: str, **labels: str) -> Scrape:
    """Return a scrape in which something was counted."""
    scrape = await daemon.metrics()
    assert scrape.value(name, **labels) > 0
    return scrape


def _config(simulator: Simulator, *destinations: Config) -> Config:
    return configuration.whole([configuration.account(simulator)], list(destinations), store={"max_backlog": _LIMIT})


async def test_the_finder_rests_first_and_the_queue_last(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """At 90 % of max_backlog the finder rests, at 100 % the queue, and both read on when there is room."""
    webhook.refuse = _no
    flow = Flow(simulator)
    async with Daemon(place, _config(simulator, configuration.hook(webhook.url))) as daemon:
        await flow.fill(daemon, 0.9)
        await eventually(lambda: daemon.find("polling_paused", source="message_finder", level="warning"))
        scrape = await daemon.metrics()
        assert 1 == scrape.value("polling_paused", reason="backlog")
        assert 0.9 <= scrape.value("outbox_bytes") / scrape.value("outbox_limit_bytes") < 1.0
        finder, queue = (simulator.stats.requests[name] for name in ("finder", "queue"))
        await eventually(lambda: simulator.stats.requests["queue"] >= queue + 4)
        assert not daemon.find("polling_paused", source="processing_queue")
        assert finder == simulator.stats.requests["finder"]
        await flow.fill(daemon, 1.0, life=[(0.0, "processing")])
        await eventually(lambda: daemon.find("polling_paused", source="processing_queue", level="warning"))
        await eventually(lambda: _counted(daemon, "queue_polls_skipped_total"))
        assert ["backlog"] == (await daemon.status())["store"]["paused"]
        webhook.refuse = lambda _lines: None
        await eventually(lambda: daemon.find("polling_resumed", source="message_finder"))
        await eventually(lambda: daemon.find("polling_resumed", source="processing_queue"))
        await eventually(lambda: set(flow.subjects) == {str(one) for one in webhook.subjects()})
        scrape = await daemon.metrics()
        scrape.assert_conserved()
        assert 0 == scrape.value("events_skipped_total")
        assert 0 == scrape.value("polling_paused", reason="backlog")
        assert 0 == await daemon.stop()


async def test_a_dead_destination_that_may_be_skipped_stops_nobody(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """What waits for it is passed over, counted and said; the other gets everything, and a replay brings the rest."""
    flow = Flow(simulator)
    async with Hook() as dead:
        await dead.stop()
        config = _config(
            simulator, configuration.hook(webhook.url), configuration.hook(dead.url, "dead", when_full="skip")
        )
        async with Daemon(place, config) as daemon:
            await flow.fill(daemon, 0.9)
            scrape = await eventually(lambda: _counted(daemon, "events_skipped_total", destination="dead"))
            scrape.assert_conserved()
            skipped = scrape.value("events_skipped_total", destination="dead")
            assert 0 == scrape.value("events_skipped_total", destination="hook")
            [said] = daemon.find("backlog_skipped", destination="dead", level="error")
            assert skipped == said["events"]
            assert "mcwatch replay" in said["remedy"]
            status = {one["name"]: one for one in (await daemon.status())["destinations"]}
            assert {"dead": skipped, "hook": 0} == {name: one["skipped"] for name, one in status.items()}
            flow.add(5)
            await eventually(lambda: sorted(flow.subjects) == sorted(str(one) for one in webhook.subjects()))
            assert 0 == await daemon.stop()
        await dead.start()
        # A new daemon asks at once; the running one would by its back-off.
        async with Daemon(place, config) as daemon:
            left = len(flow.subjects) - int(skipped)
            await eventually(lambda: len(set(dead.event_ids)) == left)
            done = await run_command(place, "replay", "-c", CONFIG, "--destination", "dead", "--from", "1h")
            assert 0 == done.code, done.stderr
            assert set(webhook.lines) == set(dead.lines)
            (await daemon.metrics()).assert_conserved()
            assert 0 == await daemon.stop()


async def test_a_healthy_destination_beside_a_dead_one_skips_nothing(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """Who may be skipped is not skipped for another's backlog."""
    flow = Flow(simulator)
    async with Hook() as dead:
        dead.refuse = _no
        config = _config(
            simulator, configuration.hook(webhook.url, when_full="skip"), configuration.hook(dead.url, "dead")
        )
        async with Daemon(place, config) as daemon:
            await flow.fill(daemon, 0.9)
            await eventually(lambda: daemon.find("polling_paused", source="message_finder"))
            dead.refuse = lambda _lines: None
            await eventually(lambda: len(dead.lines) == len(flow.subjects) == len(webhook.lines))
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            assert 0 == scrape.value("events_skipped_total")
            assert not daemon.find("backlog_skipped")
            assert 0 == await daemon.stop()
