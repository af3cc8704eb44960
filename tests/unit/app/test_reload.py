"""What a reload leaves behind when something in it goes wrong."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
import yaml

from mcwatch.app.clock import SystemClock
from mcwatch.app.config_file import ConfigFile
from mcwatch.app.crew import Crew
from mcwatch.app.reload import Reloader
from mcwatch.app.wiring import Application
from mcwatch.domain.errors import ConfigError, McwatchError
from mcwatch.settings import load

_AUTH = {"type": "oauth2", "client_id": "id", "client_secret": "secret"}


class _Daemon:
    """The loops of an application and its reloader."""

    def __init__(self, application: Application, file: Path, group: asyncio.TaskGroup) -> None:
        self.application = application
        self.crew = Crew(
            group, application.clock, random.Random(1), application.liveness, application.parts.account_names
        )
        self.reloader = Reloader(application, self.crew, group, asyncio.Event())
        self._file = file

    def write(self, accounts: list[str], destinations: list[str]) -> None:
        """Write the configuration."""
        _write(self._file, accounts, destinations)

    @property
    def running(self) -> tuple[set[str], set[str]]:
        """The loops that run: of sources, of destinations."""
        loops = (self.crew.polling, self.crew.delivering)
        polling, delivering = ({name for name, task in one.items() if not task.done()} for one in loops)
        return polling, delivering


def _write(file: Path, accounts: list[str], destinations: list[str]) -> None:
    config = {
        "http": {"listen": "127.0.0.1:0"},
        "store": {"url": f"sqlite:///{file.with_name('test.db')}", "reserve": 0},
        "accounts": [
            {
                "name": name,
                "api": {"base_url": "http://127.0.0.1:9", "auth": _AUTH},
                "sources": [{"type": "processing_queue", "interval": "1h"}],
            }
            for name in accounts
        ],
        "destinations": [
            {"name": name, "sink": {"type": "file", "path": str(file.with_name(name))}} for name in destinations
        ],
    }
    file.write_text(yaml.safe_dump(config))


@asynccontextmanager
async def _daemon(place: Path) -> AsyncIterator[_Daemon]:
    file = place / "mcwatch.yaml"
    _write(file, ["a"], ["out"])
    clock = SystemClock()
    config = ConfigFile(file, clock.now())
    rng = random.Random(1)
    async with (
        Application(load(file, {}), clock=clock, rng=rng, config=config) as application,
        asyncio.TaskGroup() as group,
    ):
        daemon = _Daemon(application, file, group)
        reloading = group.create_task(daemon.reloader.run(nullcontext))
        daemon.crew.deliver(application.parts.dispatchers)
        daemon.crew.poll(application.parts.pollers)
        yield daemon
        await daemon.reloader.end()
        daemon.crew.drain()
        for task in (reloading, *daemon.crew.polling.values()):
            task.cancel()
        daemon.reloader.abandon()


async def test_a_defect_in_what_is_only_shown_stops_no_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong after the old loops have ended, the new ones run; the next reload finds all in order."""

    def defect(_label: str, _values: object) -> None:
        raise ValueError("a defect")

    async with _daemon(tmp_path) as daemon:
        with monkeypatch.context() as patch:
            patch.setattr(daemon.application.metrics, "forget", defect)
            daemon.write(["b"], ["other"])
            with pytest.raises(McwatchError, match="a defect in mcwatch"):
                await daemon.reloader.reload()
        assert ({"b/processing_queue"}, {"other"}) == daemon.running
        assert ["b"] == [one.name for one in (await daemon.application.report()).accounts]
        daemon.write(["a", "b"], ["out"])
        changed = await daemon.reloader.reload()
        assert (["a"], ["out"]) == (changed.accounts.added, changed.destinations.added)
        assert ({"a/processing_queue", "b/processing_queue"}, {"out"}) == daemon.running


async def test_new_loops_begin_when_all_that_the_old_ones_wrote_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settlement that is cut off still reaches the disk: whoever asks before it would send and count it twice."""
    seen = []
    async with _daemon(tmp_path) as daemon:
        ping = daemon.application.store.ping

        async def written() -> None:
            seen.append((daemon.running, list(daemon.application.parts.dispatchers)))
            await ping()

        with monkeypatch.context() as patch:
            patch.setattr(daemon.application.store, "ping", written)
            daemon.write(["b"], ["other"])
            await daemon.reloader.reload()
    assert [((set(), set()), ["out"])] == seen


async def test_whoever_asks_while_it_ends_is_told_so(tmp_path: Path) -> None:
    """Nobody waits for an answer that will not come, and nothing is exchanged any more."""
    async with _daemon(tmp_path) as daemon:
        daemon.write(["b"], ["other"])
        await daemon.reloader.end()
        with pytest.raises(ConfigError, match="stopping"):
            await daemon.reloader.reload()
        assert ({"a/processing_queue"}, {"out"}) == daemon.running
        late = asyncio.ensure_future(daemon.reloader.reload())
        await asyncio.sleep(0)
        daemon.reloader.abandon()
        with pytest.raises(ConfigError, match="stopping"):
            await late
