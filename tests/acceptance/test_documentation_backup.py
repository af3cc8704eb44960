"""docs/UPGRADING.md: a back-up of a running store is whole, and a restored one repeats with the same ids."""

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.daemon import Daemon
from tests.acceptance.waiting import eventually

_COMMANDS = {".backup": '.backup "{copy}"', "VACUUM INTO": "VACUUM INTO '{copy}'"}
_EACH = 5


def delivered(place: Path) -> dict[str, str]:
    """Return the event ids in the destination's file, by subject."""
    file = place / "events.ndjson"
    events = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    return {event["message"]["subject"]: event["event_id"] for event in events}


@pytest.mark.parametrize("command", list(_COMMANDS))
async def test_a_running_store_is_backed_up(
    place: Path, tmp_path: Path, simulator: Simulator, require_program: Callable[[str], Path], command: str
) -> None:
    """A copy made while the daemon runs is sound; restored, it sends what came later, with the same ids."""
    program = str(require_program("sqlite3"))
    config = configuration.whole([configuration.account(simulator)], [configuration.file()])
    restored = tmp_path / "restored"
    restored.mkdir()
    async with Daemon(place, config) as daemon:
        for number in range(_EACH):
            simulator.add_mail(subject=f"before {number}")
        await eventually(lambda: len(delivered(place)) == _EACH)
        await eventually(lambda: _settled(place))
        statement = _COMMANDS[command].format(copy=restored / "mcwatch.db")
        await asyncio.to_thread(_run, [program, "mcwatch.db", statement], place)
        for number in range(_EACH):
            simulator.add_mail(subject=f"after {number}")
        await eventually(lambda: len(delivered(place)) == 2 * _EACH)
        assert 0 == await daemon.stop()
    with sqlite3.connect(restored / "mcwatch.db") as copy:
        assert [("ok",)] == copy.execute("PRAGMA integrity_check").fetchall()
    copy.close()
    async with Daemon(restored, config) as daemon:
        await eventually(lambda: len(delivered(restored)) == _EACH)
        assert 0 == await daemon.stop()
    later = {subject: name for subject, name in delivered(place).items() if subject.startswith("after")}
    assert later == delivered(restored)


def _run(command: list[str], place: Path) -> None:
    subprocess.run(command, cwd=place, check=True)


def _settled(place: Path) -> bool:
    """Tell whether the store says that everything was delivered."""
    with sqlite3.connect(place / "mcwatch.db") as store:
        [count] = store.execute("SELECT sum(delivered) FROM position").fetchone()
    store.close()
    return bool(count == _EACH)


async def test_a_store_of_a_later_version_is_refused(place: Path, simulator: Simulator) -> None:
    """An older program leaves a newer store as it is, says so and ends."""
    config = configuration.whole([configuration.account(simulator)], [configuration.file()])
    async with Daemon(place, config) as daemon:
        assert 0 == await daemon.stop()
    with sqlite3.connect(place / "mcwatch.db") as store:
        store.execute("PRAGMA user_version = 999")
    store.close()
    with pytest.raises(AssertionError, match="newer"):
        async with Daemon(place, config):
            pass
