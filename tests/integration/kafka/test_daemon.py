"""The daemon with a Kafka destination, against a real broker that is killed meanwhile."""

import asyncio
import json
from pathlib import Path

import pytest

from mcwatch.simulator import Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.daemon import CONFIG, Daemon, run_command, write_config
from tests.acceptance.waiting import eventually
from tests.integration.kafka.broker import PASSWORDS, KafkaBroker

# A first run fetches the server's jars.
pytestmark = pytest.mark.timeout(600)
_ENOUGH = 200


def _configuration(broker: KafkaBroker, simulator: Simulator) -> Config:
    security = {
        "tls": {"ca_file": str(broker.ca_file)},
        "sasl": {"username": "alice", "password": {"file": "password"}},
    }
    sink = {"type": "kafka", "brokers": [broker.secure_address], "topic": "mail", "security": security, "timeout": "3s"}
    return configuration.whole(
        [configuration.account(simulator)],
        [{"name": "kafka", "sink": sink, "start": "earliest"}, configuration.file()],
        log={"level": "debug"},  # it names each failed delivery
    )


async def test_a_broker_that_is_killed_has_every_event_in_the_end(broker: KafkaBroker, tmp_path: Path) -> None:
    """Both ends are killed; the topic holds what another destination has, byte for byte and in its order."""
    await broker.topic("mail", 3)
    (tmp_path / "password").write_text(PASSWORDS["alice"] + "\n")
    async with Simulator(SimulatorConfig(mails_per_minute=600.0, history_secs=600.0)) as simulator:
        write_config(tmp_path, _configuration(broker, simulator))
        checked = await run_command(tmp_path, "check", "-c", CONFIG)
        assert "topic mail, partitions: 3, brokers that lead: 1" in checked.stdout, checked.stdout
        async with Daemon(tmp_path, _configuration(broker, simulator)) as daemon:
            await eventually(lambda: daemon.find("batch_delivered", destination="kafka"))
            await asyncio.to_thread(broker.kill)
            await eventually(lambda: daemon.find("delivery_failed", destination="kafka"))
            daemon.kill()
        broker.start()
        await broker.serves()
        async with Daemon(tmp_path, _configuration(broker, simulator)) as daemon:

            async def caught_up() -> bool:
                scrape = await daemon.metrics()
                assert 0 == scrape.value("events_dead_lettered_total", destination="kafka")
                return (
                    scrape.value("events_delivered_total", destination="kafka") > _ENOUGH
                    and scrape.value("outbox_events", destination="kafka") == 0
                )

            await eventually(caught_up, 60.0)
            assert 0 == await daemon.stop()
            assert PASSWORDS["alice"] not in daemon.stderr
            assert not [line for line in daemon.log if "logger" in line], "the library speaks for itself"
    archived = list(dict.fromkeys((tmp_path / "events.ndjson").read_bytes().splitlines()))
    written = list(dict.fromkeys(record.value for record in await broker.records("mail")))
    # Each destination stops where it is: one may be some events ahead.
    both = min(len(archived), len(written))
    assert both > _ENOUGH
    assert archived[:both] == written[:both]
    assert json.loads(written[0])["account"] == "demo"
