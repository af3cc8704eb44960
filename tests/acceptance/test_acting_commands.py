"""Every command that changes the store, with a daemon that runs and without one: the same words, the same effect."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, run_command, write_config
from tests.acceptance.waiting import eventually
from tests.fakes.http_server import free_port

_MAILS = 12
_FROM = ("--from", "50m")
_ACCOUNT = ("--account", "demo")
_COMMANDS = {
    ("dead-letters", "retry", "1"): "1 dead letters delivered",
    ("dead-letters", "discard", "2", "--yes"): "1 dead letters discarded",
    ("dead-letters", "retry", "--destination", "hook"): "1 dead letters delivered",
    ("dead-letters", "discard", "--all", "--yes"): "0 dead letters discarded",
    ("replay", "--destination", "hook", "--from", "1h"): f"{_MAILS} events sent again to hook",
    ("destinations", "forget", "gone"): f"gone is released: {_MAILS} events had waited for it",
    ("backfill", *_ACCOUNT, *_FROM): "done: ",
    ("verify", *_ACCOUNT, *_FROM, "--repair"): "nothing is missing",
}
"""Every such command of the program, and what it says of the store that :func:`_prepared` leaves; in this order."""
_READ_ONLY = {"check", "demo", "run", "schema", "simulate", "status", "tail", "health"}


def _config(simulator: Simulator, webhook: Hook) -> Config:
    account = configuration.account(simulator)
    account["sources"] = [{**account["sources"][1], "initial_look_back": "1h", "rescans": []}]
    hook = configuration.hook(webhook.url)
    hook["batch"] = {"max_events": 100}
    return configuration.whole([account], [hook])


def _bad(lines: list[bytes]) -> web.Response | None:
    return web.Response(status=422) if any(b'"subject":"bad ' in line for line in lines) else None


@asynccontextmanager
async def _prepared(place: Path, simulator: Simulator, webhook: Hook, *, live: bool) -> AsyncIterator[None]:
    """Make a store with three dead letters and a destination that is gone; leave a daemon running or none."""
    config = _config(simulator, webhook)
    webhook.refuse = _bad
    for number in range(_MAILS):
        subject = f"{'good' if number % 4 else 'bad'} {number}"
        simulator.add_mail(subject=subject, received_ago_secs=1800.0 + number)
    gone = configuration.hook(f"http://127.0.0.1:{free_port()}", "gone")
    both = {**config, "destinations": [*config["destinations"], gone]}
    async with Daemon(place, both, "--drain-timeout", "1s") as first:
        await eventually(lambda: len(webhook.lines) == _MAILS - 3)

        async def refused() -> bool:
            letters = sum(one["dead_letters"] for one in (await first.status())["destinations"])
            return bool(letters == 3)

        await eventually(refused)
        assert 0 == await first.stop()
    webhook.refuse = lambda _lines: None
    if live:
        async with Daemon(place, config):
            yield
    else:
        write_config(place, config)
        yield


@pytest.mark.parametrize("live", [True, False])
async def test_every_acting_command_works(place: Path, simulator: Simulator, webhook: Hook, live: bool) -> None:
    """Each is done once, whoever does it, and says the same."""
    async with _prepared(place, simulator, webhook, live=live):
        for arguments, words in _COMMANDS.items():
            done = await run_command(place, *arguments, "-c", CONFIG)
            assert 0 == done.code, (arguments, done.stdout, done.stderr)
            assert words in done.stdout, arguments
        left = await run_command(place, "dead-letters", "list", "-c", CONFIG)
        assert "no dead letters" in left.stdout
    assert _MAILS - 1 + _MAILS == len(webhook.lines)


async def test_the_table_is_complete(place: Path) -> None:
    """A command of the program either changes nothing or stands in the table above."""
    acting = {arguments[0] for arguments in _COMMANDS}
    done = await run_command(place, "--help")
    listed = done.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    commands = {line.split()[0] for line in listed if line[2:3].strip()}
    assert acting | _READ_ONLY == commands
