"""The commands beside several replicas on one PostgreSQL: real processes, as an operator has them."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, Process, run_command, write_config
from tests.acceptance.waiting import eventually
from tests.fakes.http_server import free_port
from tests.fakes.postgres import database

pytestmark = pytest.mark.timeout(120)

_MAILS = 12
_REFUSED = 3
_ACCOUNTS = ("acme", "beta")
_FROM = ("--from", "50m")
_COMMANDS: dict[tuple[str, ...], str] = {
    ("dead-letters", "show", "1"): "reason: ",
    ("dead-letters", "retry", "1"): "1 dead letters delivered",
    ("dead-letters", "discard", "2", "--yes"): "1 dead letters discarded",
    ("dead-letters", "retry", "--all"): "4 dead letters delivered",
    ("replay", "--destination", "hook", "--from", "1h"): f"{2 * _MAILS} events sent again to hook",
    ("destinations", "forget", "gone"): "gone is released: ",
    # Each account is another replica's.
    ("backfill", "--account", "acme", *_FROM): "done: ",
    ("verify", "--account", "beta", *_FROM, "--repair"): "nothing is missing",
}


@pytest.fixture
def url() -> Iterator[str]:
    """Give an empty database."""
    with database() as fresh:
        yield fresh


def _config(simulator: Simulator, webhook: Hook, url: str, replica: str) -> Config:
    accounts = []
    for name in _ACCOUNTS:
        account = configuration.account(simulator, name)
        account["sources"] = [{**account["sources"][1], "initial_look_back": "1h", "rescans": []}]
        accounts.append(account)
    hook = configuration.hook(webhook.url)
    hook["batch"] = {"max_events": 100}
    return {
        **configuration.whole(accounts, [hook]),
        "http": {"listen": f"127.0.0.1:{free_port()}"},
        "store": {"url": url},
        "lease": {"duration": "5s", "replica": replica},
    }


def _bad(lines: list[bytes]) -> web.Response | None:
    return web.Response(status=422) if any(b'"subject":"bad ' in line for line in lines) else None


@asynccontextmanager
async def _replica(place: Path, config: Config) -> AsyncIterator[Daemon]:
    own = place / config["lease"]["replica"]
    own.mkdir(exist_ok=True)
    async with Daemon(own, config) as daemon:
        yield daemon


async def _status(place: Path) -> dict[str, Any]:
    done = await run_command(place, "status", "-c", CONFIG, "--output", "json")
    assert 0 == done.code, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


async def test_every_command_works_beside_replicas(place: Path, simulator: Simulator, webhook: Hook, url: str) -> None:
    """Each is done once, by whichever replica it concerns; what needs none is done without; the status is of all."""
    configs = [_config(simulator, webhook, url, name) for name in ("r0", "r1")]
    webhook.refuse = _bad
    for number in range(_MAILS):
        subject = f"{'good' if number % 4 else 'bad'} {number}"
        simulator.add_mail(subject=subject, received_ago_secs=1800.0 + number)
    gone = configuration.hook(f"http://127.0.0.1:{free_port()}", "gone")
    both = {**configs[0], "destinations": [*configs[0]["destinations"], gone]}
    write_config(place, configs[0])
    async with _replica(place, both) as first:

        async def refused() -> bool:
            letters: list[int] = [one["dead_letters"] for one in (await first.status())["destinations"]]
            return sum(letters) == len(_ACCOUNTS) * _REFUSED

        await eventually(refused)
        first.kill()
    webhook.refuse = lambda _lines: None

    async with _replica(place, configs[0]) as one, _replica(place, configs[1]) as other:

        async def shared() -> bool:
            report = await _status(place)
            assert ["acme", "beta"] == [account["name"] for account in report["accounts"]]
            return {"r0", "r1"} == {account["holder"] for account in report["accounts"]}

        await eventually(shared, 30.0)
        report = await _status(place)
        assert report["live"]
        assert {"r0": True, "r1": True} == {one["name"]: one["live"] for one in report["fleet"] if one["accounts"]}
        pages = [await daemon.status() for daemon in (one, other)]
        assert [{"acme", "beta"}] * 2 == [{account["name"] for account in page["accounts"]} for page in pages]
        assert ["r0", "r1"] == [page["replica"] for page in pages]

        for arguments, words in _COMMANDS.items():
            done = await run_command(place, *arguments, "-c", CONFIG)
            assert 0 == done.code, (arguments, done.stdout, done.stderr)
            assert words in done.stdout, arguments
        assert "no dead letters" in (await run_command(place, "dead-letters", "list", "-c", CONFIG)).stdout
        alive = await run_command(place, "health", "-c", CONFIG)
        assert (0, "alive\n") == (alive.code, alive.stdout)
        checked = await run_command(place, "check", "-c", CONFIG)
        assert "2 replicas live" in checked.stdout
        await _tails(place, simulator)

    stopped = await run_command(place, "backfill", "--account", "acme", *_FROM, "-c", CONFIG)
    assert (1, True) == (stopped.code, "no replica runs" in stopped.stderr), stopped.stderr
    assert 1 == (await run_command(place, "health", "-c", CONFIG)).code


async def _tails(place: Path, simulator: Simulator) -> None:
    """See the events of both accounts, whichever replica records them."""
    async with Process(place, ("tail", "-c", CONFIG, "-o", "json")) as tail:

        def shown() -> bool:
            simulator.add_mail(subject="now", received_ago_secs=1.0)
            assert tail.alive, tail.stderr
            return set(_ACCOUNTS) == {json.loads(line)["account"] for line in tail.stdout.splitlines()}

        await eventually(shown)
