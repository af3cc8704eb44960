"""``mcwatch health``."""

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mcwatch.httpserver.control import ControlServer, health_route
from tests.unit.cli.programs import Program

pytestmark = pytest.mark.timeout(20)  # processes take their time on a machine that is busy


async def _run(config: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mcwatch", "health", "-c", str(config)]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)


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


def test_no_configuration(program: Program) -> None:
    """Exit 78: starting again does not help."""
    finished = program.run("health", "-c", "none.yaml")
    assert (78, True) == (finished.code, "none.yaml" in finished.err)
