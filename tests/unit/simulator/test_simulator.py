"""The simulator as a context manager."""

import dataclasses

import aiohttp
import pytest

from mcwatch.simulator import AccountConfig, MailError, Simulator, SimulatorConfig
from mcwatch.simulator.config import OWN_DOMAINS, Shape
from tests.unit.simulator.client import DOMAINS, FINDER, TO_CORP, Client, FakeClock
from tests.unit.simulator.conftest import Start


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


async def test_domains_change_while_running(start: Start) -> None:
    """A changed list is that of one account, shown from the next call on; the account's mail stays as it was."""
    accounts = (AccountConfig("north"), AccountConfig("south", domains=("south.example",)))
    client = await start(SimulatorConfig(accounts=accounts, mails_per_minute=0.0, history_secs=0.0))
    client.simulator.set_domains(None, ["new.example"])
    client.simulator.set_domains("south", [])
    assert [row["domain"] for row in (await client.call(DOMAINS, {})).content["data"]] == ["new.example"]
    client.simulator.add_mail()
    assert len((await client.call(FINDER, TO_CORP)).rows) == 1
    await client.log_in("south")
    assert (await client.call(DOMAINS, {})).content == {"meta": {"status": 200}, "data": [], "fail": []}


async def test_domains_in_pages(start: Start) -> None:
    """With a shape the list comes in pages; without one it is whole, whatever size was asked for."""
    whole = await start(SimulatorConfig.quiet())
    assert len((await whole.call(DOMAINS, {}, pageSize=1)).content["data"]) == len(OWN_DOMAINS)
    client = await start(SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, domains=Shape(page_cap=2)))
    first = await client.call(DOMAINS, {}, pageSize=500)
    assert (len(first.content["data"]), first.pagination["totalCount"]) == (2, 3)
    last = await client.call(DOMAINS, {}, pageToken=first.pagination["next"])
    assert [row["domain"] for row in last.content["data"]] == [OWN_DOMAINS[2]]
    assert "next" not in last.pagination
    assert (await client.call(DOMAINS, {}, pageToken="x")).code == "xdk_failure"
