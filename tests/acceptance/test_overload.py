"""A sink that is down while mail flows: the others go on, the backlog shows, its bound pauses polling losslessly."""

import random
from pathlib import Path

from aiohttp import web

from mcwatch.simulator import Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import Daemon
from tests.acceptance.ledgers import Witness
from tests.acceptance.waiting import eventually

_BACK_SECS = 60.0


async def test_a_dead_sink_stops_neither_polling_nor_the_other_sinks(place: Path, webhook: Hook) -> None:
    """While one hook is away the other gets everything, the backlog shows, and afterwards nothing is missing."""
    world = SimulatorConfig(
        seed=7, mails_per_minute=600.0, history_secs=10.0, dwell_secs=1.0, appearance_secs=0.5, speed=600.0,
        quota=PLENTY,
    )  # fmt: skip
    async with Simulator(world) as simulator, Hook() as dead:
        witness = Witness(simulator)
        await dead.stop()
        config = configuration.whole(
            [configuration.account(simulator)],
            [configuration.hook(webhook.url), configuration.hook(dead.url, "dead")],
        )
        async with Daemon(place, config) as daemon:
            await eventually(lambda: len(webhook.lines) > 100)
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            assert scrape.value("outbox_events", destination="dead") > 50
            assert scrape.value("outbox_bytes") > 0
            assert scrape.value("outbox_oldest_seconds", destination="dead") > 0
            assert 0 == scrape.value("polling_paused", reason="backlog")
            assert 0 == scrape.value("destination_up", destination="dead")
            assert 1 == scrape.value("destination_up", destination="hook")
            assert 1 == scrape.value("account_up", account="demo")
            await dead.start()
            simulator.stop_mail()

            async def all_there() -> bool:
                # Asked first: comparing takes the time of this loop, which serves the API and the receivers too.
                if (await daemon.metrics()).value("outbox_events"):
                    return False
                for receiver in (dead, webhook):
                    lost = witness.missing(receiver.events)
                    assert not lost, f"{len(lost)} rows, the first: {lost[0]}"
                return True

            await eventually(all_there, _BACK_SECS)
            common = min(len(dead.lines), len(webhook.lines))
            assert webhook.event_ids[:common] == dead.event_ids[:common], "the same order"
            assert 0 == await daemon.stop()


async def test_a_full_backlog_pauses_polling_and_loses_nothing(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """At max_backlog polling rests and says so; when the sink takes events again, it reads on where it stood."""
    noise = random.Random(5)
    config = configuration.whole(
        [configuration.account(simulator)], [configuration.hook(webhook.url)], store={"max_backlog": "10KiB"}
    )
    webhook.refuse = lambda _lines: web.Response(status=503)
    expected: list[str] = []

    def add(count: int) -> None:
        for _ in range(count):
            # Subjects that cannot be compressed fill the backlog soon.
            expected.append(noise.randbytes(100).hex())
            simulator.add_mail(subject=expected[-1])

    async with Daemon(place, config) as daemon:

        async def paused() -> bool:
            add(10)
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            return scrape.value("polling_paused", reason="backlog") == 1

        await eventually(paused)
        await eventually(lambda: daemon.find("polling_paused", source="message_finder"))
        [warning] = daemon.find("polling_paused", source="processing_queue") or [{"level": "warning"}]
        assert "warning" == warning["level"]
        assert ["backlog"] == (await daemon.status())["store"]["paused"]
        assert (await daemon.get("/healthz")).status == 200
        asked = simulator.stats.requests["finder"]
        add(20)
        webhook.refuse = lambda _lines: None
        await eventually(lambda: sorted(expected) == sorted(str(one) for one in webhook.subjects()), _BACK_SECS)
        assert simulator.stats.requests["finder"] > asked
        await eventually(lambda: daemon.find("polling_resumed", source="message_finder"))
        scrape = await daemon.metrics()
        scrape.assert_conserved()
        assert 0 == scrape.value("polling_paused", reason="backlog")
        assert [] == (await daemon.status())["store"]["paused"]
        assert 0 == await daemon.stop()
