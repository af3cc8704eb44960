"""A real Prometheus reads two replicas with one PostgreSQL: what they share counts once, a dead one is one alert."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest

from mcwatch.simulator import QuotaConfig, Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import Daemon
from tests.acceptance.waiting import eventually
from tests.fakes.postgres import database
from tests.integration.prometheus import Prometheus, dashboard_expressions

RequireProgram = Callable[[str], Path]
_ACCOUNTS = 6
_MAILS = 5
_NAMES = ("one", "other")


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    """A web hook that accepts everything."""
    async with Hook() as running:
        yield running


def _config(simulator: Simulator, hook: Hook, url: str, replica: str) -> Config:
    accounts = [configuration.account(simulator, f"tenant-{number}", interval="1s") for number in range(_ACCOUNTS)]
    lease = {"duration": "6s", "replica": replica}
    return configuration.whole(accounts, [configuration.hook(hook.url)], store={"url": url}, lease=lease)


async def test_replicas_are_watched_as_one(tmp_path: Path, require_program: RequireProgram, hook: Hook) -> None:
    """Figures of the store count once for both, and when one is killed nothing is told but that."""
    program = require_program("prometheus")
    quiet = SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, quota=QuotaConfig(calls=100_000))
    places = {name: tmp_path / name for name in _NAMES}
    for place in places.values():
        place.mkdir()
    with database() as url:
        async with Simulator(quiet) as simulator:
            configs = {name: _config(simulator, hook, url, name) for name in _NAMES}
            async with Daemon(places["one"], configs["one"]) as one, Daemon(places["other"], configs["other"]) as other:
                targets = [daemon.url.removeprefix("http://") for daemon in (one, other)]
                async with Prometheus(program, tmp_path / "prometheus", targets) as prometheus:
                    await eventually(lambda: _shared_evenly(prometheus), 30.0)
                    for number in range(_MAILS):
                        simulator.add_mail(subject=f"mail {number}")
                    await eventually(lambda: _counts_as(prometheus, url), 30.0)
                    await _expect(prometheus, set())
                    one.kill()
                    await eventually(lambda: _taken_over(prometheus), 30.0)
                    await _expect(prometheus, {"McwatchReplicaDown"})
                    await eventually(lambda: _counts_as(prometheus, url))
                    assert 0 == await other.stop()


async def _shared_evenly(prometheus: Prometheus) -> bool:
    shown = await prometheus.query(dashboard_expressions()["Accounts per replica A"])
    return ["3", "3"] == [sample["value"][1] for sample in shown]


async def _taken_over(prometheus: Prometheus) -> bool:
    shown = await prometheus.query(dashboard_expressions()["Accounts per replica A"])
    return [str(_ACCOUNTS)] == [sample["value"][1] for sample in shown]


async def _counts_as(prometheus: Prometheus, url: str) -> bool:
    """Tell whether the dashboard's sum of delivered events is the database's, and all of them have arrived."""
    with psycopg.connect(url) as connection:
        [stored] = connection.execute("SELECT sum(delivered) FROM position").fetchone() or (0,)
    [column] = [name for name in dashboard_expressions() if name == "Destinations E"]
    shown = [float(sample["value"][1]) for sample in await prometheus.query(dashboard_expressions()[column])]
    return stored >= _ACCOUNTS * _MAILS and shown == [float(stored)]


async def _expect(prometheus: Prometheus, firing: set[str]) -> None:
    async def same() -> bool:
        assert firing == await prometheus.alerts("firing")
        return True

    await eventually(same, 30.0)
