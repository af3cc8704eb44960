"""The simulator as a context manager."""

import dataclasses

import aiohttp
import pytest

from mcwatch.simulator import AccountConfig, MailError, Simulator, SimulatorConfig
from tests.unit.simulator.client import FINDER, TO_CORP, Client, FakeClock


async def test_restart_on_the_same_port(clock: FakeClock) -> None:
    """A simulator started anew on its port shows the same mail, and knows no token of before."""
    config = SimulatorConfig(history_secs=300.0)
    async with aiohttp.ClientSession() as session:
        async with Simulator(config, clock) as first:
            port = first.port
            client = Client(session, first)
            await client.log_in()
            before = (await client.call(FINDER, TO_CORP)).rows
        async with Simulator(dataclasses.replace(config, port=port), clock) as second:
            assert second.url == f"http://127.0.0.1:{port}"
            client.simulator = second
            assert (await client.call(FINDER, TO_CORP)).code == "token_verification_failed"
            await client.log_in()
            assert (await client.call(FINDER, TO_CORP)).rows == before != []


def test_port_outside_the_context() -> None:
    """Before it is entered the simulator has no port."""
    assert Simulator(SimulatorConfig.quiet()).port == 0


def test_credentials_follow_from_the_name() -> None:
    """Every account's credentials can be told from its name."""
    account = AccountConfig("north")
    assert (account.client_id, account.client_secret) == ("north", "north-secret")
    assert (account.app_id, account.app_key, account.access_key) == (
        "north-app-id",
        "north-app-key",
        "north-access-key",
    )
    assert account.secret_key == "bm9ydGgtaG1hYy1zZWNyZXQ="


def test_unknown_profile() -> None:
    """A profile that does not exist is refused at once."""
    with pytest.raises(ValueError, match="flaky"):
        Simulator(SimulatorConfig(faults="calm"))


def test_bad_mail() -> None:
    """Mail that cannot be read is refused with the reason."""
    with pytest.raises(MailError, match="colour"):
        Simulator(SimulatorConfig.quiet()).add_mail(colour="red")


async def test_stop_mail(clock: FakeClock) -> None:
    """After a stop no row is received later, though mail had been flowing."""
    simulator = Simulator(SimulatorConfig.demo(), clock)
    simulator.stop_mail()
    stopped_at, clock.now = clock.now, clock.now + 600
    received = [sighting.received or 0 for sighting in simulator.visible()]
    assert max(received) <= stopped_at
    assert len(received) > 100
