"""A real Alertmanager with the example configuration: what reaches people when many alerts fire at once."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests.acceptance.waiting import eventually
from tests.fakes.http_server import HttpServer, free_port
from tests.integration.prometheus import DEPLOYED

Json = dict[str, Any]
RequireProgram = Callable[[str], Path]
_HERE = {"job": "mcwatch", "instance": "a"}


class Inbox(HttpServer):
    """What people are told: the alerts of each notification, by receiver."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self.notes: list[tuple[str, list[Json]]] = []

    def told(self) -> list[tuple[str, str, int]]:
        """Return receiver, alert and number of alerts of each notification."""
        return sorted((receiver, found[0]["labels"]["alertname"], len(found)) for receiver, found in self.notes)

    async def _take(self, request: web.Request) -> web.Response:
        note = await request.json()
        self.notes.append((note["receiver"], note["alerts"]))
        return web.Response()


class Alertmanager:
    """One Alertmanager with the example configuration, made faster, whose receivers are an inbox."""

    def __init__(self, directory: Path, inbox: Inbox) -> None:
        self.directory = directory
        self.port = free_port()
        config: Json = yaml.safe_load((DEPLOYED / "alertmanager.example.yml").read_text("utf-8"))
        # Long enough for all alerts to have come before the first notification.
        config["route"]["group_wait"] = config["route"]["routes"][0]["group_wait"] = "2s"
        for receiver in config["receivers"]:
            receiver["webhook_configs"][0]["url"] = f"{inbox.url}/{receiver['name']}"
        (directory / "alertmanager.yml").write_text(yaml.safe_dump(config), "utf-8")

    async def fire(self, *alerts: dict[str, str]) -> None:
        """Have alerts fire, given by their labels."""
        body = [{"labels": labels} for labels in alerts]
        async with aiohttp.ClientSession() as session, session.post(self._url("alerts"), json=body) as response:
            assert 200 == response.status, await response.text()

    async def inhibited(self) -> set[str]:
        """Return the names of the alerts that another one silences."""
        async with aiohttp.ClientSession() as session, session.get(self._url("alerts")) as response:
            alerts = json.loads(await response.text())
        return {alert["labels"]["alertname"] for alert in alerts if alert["status"]["inhibitedBy"]}

    async def ready(self) -> bool:
        """Tell whether it answers."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self._url("status")) as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def _url(self, what: str) -> str:
        return f"http://127.0.0.1:{self.port}/api/v2/{what}"


@asynccontextmanager
async def _running(program: Path, manager: Alertmanager) -> AsyncIterator[None]:
    with (manager.directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={manager.directory / 'alertmanager.yml'}",
            f"--storage.path={manager.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{manager.port}",
            "--cluster.listen-address=",
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        await eventually(manager.ready)
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    """Where notifications arrive."""
    async with Inbox() as running:
        yield running


@pytest.fixture
async def manager(tmp_path: Path, require_program: RequireProgram, inbox: Inbox) -> AsyncIterator[Alertmanager]:
    """A running Alertmanager."""
    found = Alertmanager(tmp_path, inbox)
    async with _running(require_program("prometheus-alertmanager"), found):
        yield found


def _alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, **_HERE, **labels}


async def test_a_thousand_dead_accounts_are_one_notification(manager: Alertmanager, inbox: Inbox) -> None:
    """Those on call hear of many accounts once; the alerts of each of them, and what follows from it, are silent."""
    names = [f"tenant-{number}" for number in range(1_000)]
    followers = ("McwatchAccountDown", "McwatchFinderLag")
    await manager.fire(_alert("McwatchManyAccountsDown", "critical"))
    await manager.fire(*(_alert(name, "warning", account=account) for account in names for name in followers))
    await manager.fire(_alert("McwatchDeadLetters", "warning", destination="siem"))
    await eventually(lambda: len(inbox.notes) >= 2)
    assert set(followers) == await manager.inhibited()
    assert [("on-call", "McwatchManyAccountsDown", 1), ("security-operations", "McwatchDeadLetters", 1)] == inbox.told()


async def test_alerts_of_one_kind_come_together(manager: Alertmanager, inbox: Inbox) -> None:
    """A few accounts that are down are one notification, whichever replica says so; another job's are its own."""
    await manager.fire(
        *(_alert("McwatchAccountDown", "warning", account=name) for name in ("acme", "apex", "arc")),
        _alert("McwatchAccountDown", "warning", account="arch", instance="b"),
        _alert("McwatchAccountDown", "warning", account="acme", job="elsewhere/mcwatch"),
        # Of an account that is down, so not worth a word; of another it is.
        _alert("McwatchNoSuccessfulPoll", "critical", account="acme", source="message_finder"),
        _alert("McwatchNoSuccessfulPoll", "critical", account="well", source="message_finder"),
    )
    await eventually(lambda: len(inbox.notes) >= 3)
    assert [
        ("on-call", "McwatchNoSuccessfulPoll", 1),
        ("security-operations", "McwatchAccountDown", 1),
        ("security-operations", "McwatchAccountDown", 4),
    ] == inbox.told()


async def test_an_instance_that_is_gone_speaks_alone(manager: Alertmanager, inbox: Inbox) -> None:
    """While an instance is down its other alerts are silent; those of a healthy instance are not."""
    await manager.fire(
        _alert("McwatchDown", "critical"),
        _alert("McwatchFinderGap", "critical", account="acme"),
        _alert("McwatchFinderGap", "critical", account="acme", instance="b"),
    )
    await eventually(lambda: len(inbox.notes) >= 2)
    assert [("on-call", "McwatchDown", 1), ("on-call", "McwatchFinderGap", 1)] == inbox.told()
    assert {"McwatchFinderGap"} == await manager.inhibited()


async def test_what_replicas_say_of_one_store_is_heard_once(manager: Alertmanager, inbox: Inbox) -> None:
    """A dead receiver seen by three replicas is one notification, and none once the store says how late it is."""
    replicas = ("a", "b", "c")
    shared = _alert("McwatchDeliveryLate", "critical", destination="siem")
    del shared["instance"]
    await manager.fire(shared)
    await manager.fire(
        *(_alert("McwatchDestinationDown", "warning", destination="siem", instance=name) for name in replicas),
        *(_alert("McwatchDestinationDown", "warning", destination="hook", instance=name) for name in replicas),
        _alert("McwatchReplicaDown", "warning", instance="d"),
        _alert("McwatchLeaseBeatLate", "warning", instance="d"),
    )
    await eventually(lambda: len(inbox.notes) >= 3)
    assert [
        ("on-call", "McwatchDeliveryLate", 1),
        ("security-operations", "McwatchDestinationDown", 3),
        ("security-operations", "McwatchReplicaDown", 1),
    ] == inbox.told()
