"""The README, followed to the letter: its configuration, its receivers, its simulator."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcwatch.simulator import Simulator, SimulatorConfig
from tests.acceptance.daemon import CONFIG, Daemon, run_command
from tests.acceptance.waiting import eventually
from tests.fakes.http_server import free_port

ROOT = Path(__file__).parents[2]
SECRETS = {"ACME_SECRET": "demo-secret", "HOOK_AUTH": "Bearer try"}


def readme_config() -> dict[str, Any]:
    """Return the configuration that the README shows."""
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    config: dict[str, Any] = yaml.safe_load(block[1])
    return config


@pytest.fixture
def receivers(place: Path) -> Iterator[tuple[Path, list[int]]]:
    """The script that stands for both receivers, on free ports; what it prints goes to a file."""
    output = place / "receivers"
    command = [sys.executable, str(ROOT / "scripts/try_receivers.py"), "--syslog-port", "0", "--webhook-port", "0"]
    with output.open("wb") as stdout, subprocess.Popen(command, stdout=stdout) as process:
        try:
            ports: list[int] = []
            while not ports:
                ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", output.read_text())]
            yield output, ports
        finally:
            process.terminate()


async def test_readme_configuration_delivers_to_all_three_destinations(
    place: Path, receivers: tuple[Path, list[int]]
) -> None:
    """With the README's configuration, events reach the file, the syslog server and the webhook."""
    output, (syslog, webhook) = receivers
    config = readme_config()
    async with Simulator(SimulatorConfig.demo()) as simulator:
        config["http"] = {"listen": "127.0.0.1:0"}
        config["accounts"][0]["api"]["base_url"] = simulator.url
        config["destinations"][1]["sink"]["address"] = f"127.0.0.1:{syslog}"
        config["destinations"][2]["sink"]["url"] = f"http://127.0.0.1:{webhook}/in"
        async with Daemon(place, config, env=SECRETS) as daemon:
            check = await run_command(place, "check", "-c", CONFIG, env=SECRETS)
            archive = place / "out/events.ndjson"
            await eventually(lambda: archive.exists() and archive.read_text().count("\n") > 20)
            await eventually(lambda: {"syslog", "webhook"} <= receivers_heard(output))
            status = await run_command(place, "status", "-c", CONFIG, env=SECRETS)
            assert 0 == await daemon.stop()
    assert 0 == check.code, check.stdout
    assert 0 == status.code
    assert "acme" in status.stdout


def receivers_heard(output: Path) -> set[str]:
    """Return which receivers have shown an event."""
    return {line.split(": ", 1)[0] for line in output.read_text().splitlines() if "mcwatch.event/1" in line}


async def test_status_of_the_readme_names_a_receiver_that_is_down(place: Path) -> None:
    """With no receiver there, check and status say which destination is down and what to do."""
    config = readme_config()
    async with Simulator(SimulatorConfig.demo()) as simulator:
        config["http"] = {"listen": "127.0.0.1:0"}
        config["accounts"][0]["api"]["base_url"] = simulator.url
        config["destinations"] = config["destinations"][1:2]
        config["destinations"][0]["sink"]["address"] = f"127.0.0.1:{free_port()}"
        async with Daemon(place, config, env=SECRETS) as daemon:
            await eventually(lambda: daemon.find("component_down", destination="siem"))
            check = await run_command(place, "check", "-c", CONFIG, env=SECRETS)
    assert 1 == check.code
    assert "siem" in check.stdout
