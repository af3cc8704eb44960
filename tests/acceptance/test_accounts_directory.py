"""Accounts in a directory of files: one added, changed or removed touches no other, and a bad one changes nothing."""

from pathlib import Path

import yaml

from mcwatch.simulator import AccountConfig, Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import Daemon
from tests.acceptance.reloading import hang_up
from tests.acceptance.waiting import eventually


def _write(directory: Path, account: configuration.Config) -> None:
    """Write an account's file, as a program does that lets nobody see half of it."""
    file = directory / f"{account['name']}.yaml"
    half = file.with_suffix(".yaml~")
    half.write_text(yaml.safe_dump({key: value for key, value in account.items() if key != "name"}))
    half.rename(file)


async def test_files_come_and_go(place: Path, webhook: Hook) -> None:
    """A reload starts, exchanges and stops the accounts whose files were added, changed and removed, and no other."""
    tenants = tuple(AccountConfig(name) for name in ("one", "two", "three"))
    world = SimulatorConfig(accounts=tenants, mails_per_minute=0.0, history_secs=0.0, quota=PLENTY)
    directory = place / "accounts.d"
    directory.mkdir()
    async with Simulator(world) as simulator:
        one, two, three = (configuration.account(simulator, name) for name in ("one", "two", "three"))
        _write(directory, one)
        _write(directory, two)
        config = configuration.whole([], [configuration.hook(webhook.url)]) | {"accounts": {"directory": "accounts.d"}}
        async with Daemon(place, config) as daemon:
            simulator.add_mail("one", subject="before")
            await eventually(lambda: "before" in webhook.subjects())
            _write(directory, two | {"sources": two["sources"][:1]})
            _write(directory, three)
            await hang_up(daemon)
            assert ["account three added", "account two changed"] == sorted(daemon.find("reloaded")[0]["changed"])
            simulator.add_mail("three", subject="of three")
            await eventually(lambda: "of three" in webhook.subjects())
            (directory / "two.yaml").unlink()
            await hang_up(daemon)
            assert ["account two removed"] == daemon.find("reloaded")[1]["changed"]

            (directory / "bad.yaml").write_text("api: {auth: {type: none}}\nsources: []\n")
            (directory / "one.yaml").unlink()
            await hang_up(daemon, outcome="reload_failed")
            [line] = daemon.find("reload_failed")
            assert all(problem.split("/")[-1].startswith("bad.yaml:") for problem in line["problems"]), line
            simulator.add_mail("one", subject="still there")
            await eventually(lambda: "still there" in webhook.subjects())
            tokens = simulator.stats.requests["token"]
            assert 0 == await daemon.stop()
    assert tokens <= 4, "an account whose file did not change was opened again"
