"""``mcwatch health``."""

import asyncio
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mcwatch.httpserver.control import ControlServer, health_route
from mcwatch.httpserver.server import Listener
from tests.unit.cli.programs import Program
from tests.unit.httpserver.answering import answering

pytestmark = pytest.mark.timeout(20)  # processes take their time on a machine that is busy


async def _run(config: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mcwatch", "health", "-c", str(config)]
    environment = {**os.environ, **variables}
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, env=environment
    )


async def test_a_living_daemon(program: Program) -> None:
    """One word, exit 0, and less than half a second of processor time: it is asked every few seconds for years."""

    async def probe() -> None:
        await asyncio.sleep(0)

    async with ControlServer(program.store, [health_route(probe)]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        finished = await _run(program.config)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (0, "alive\n", "") == (finished.returncode, finished.stdout, finished.stderr)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_no_daemon(program: Program) -> None:
    """Exit 1, with the store that nobody works on."""
    finished = program.run("health")
    assert 1 == finished.code
    assert f"no daemon runs on the store {program.store}" in finished.err


def test_the_environment_names_the_store(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does for the daemon."""
    monkeypatch.setenv("MCWATCH_STORE__URL", "sqlite:///elsewhere.db")
    finished = program.run("health")
    assert "no daemon runs on the store elsewhere.db" in finished.err


async def test_with_a_shared_store_the_listener_is_asked(program: Program) -> None:
    """Where the file says that it listens, or the environment; no secret is read for it."""
    program.config.write_text(
        "store: {url: 'postgresql://mcwatch@db.example/mcwatch'}\nhttp: {listen: '127.0.0.1:1'}\n"
    )
    async with answering(Listener("127.0.0.1:0")) as server:
        there = await _run(program.config, MCWATCH_HTTP__LISTEN=f"127.0.0.1:{server.port}")
    elsewhere = await _run(program.config)
    assert (0, "alive\n", "") == (there.returncode, there.stdout, there.stderr)
    assert (1, True) == (elsewhere.returncode, "no daemon answers at http.listen 127.0.0.1:1" in elsewhere.stderr)


def test_no_configuration(program: Program) -> None:
    """Exit 78: starting again does not help."""
    finished = program.run("health", "-c", "none.yaml")
    assert (78, True) == (finished.code, "none.yaml" in finished.err)
