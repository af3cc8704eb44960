"""What the service manager hears, and when it hears nothing any more."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mcwatch.app.service_manager import ServiceManager, describe
from mcwatch.settings.environment import ServiceManagerAddress
from mcwatch.telemetry.health import STORE, Component, Health
from mcwatch.telemetry.liveness import ALLOWANCE_SECS, Liveness
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.service_manager import FakeServiceManager

WATCHDOG_SECS = 60.0
ACME, SPLUNK = Component.of_account("acme"), Component.of_destination("splunk")
ALL_UP = "1 account, 1 destination up"


class _Lab:
    """A service manager that listens, and the parts that have something to tell it."""

    def __init__(self, systemd: FakeServiceManager) -> None:
        self.systemd = systemd
        self.clock = FakeClock(manual=True)
        self.liveness = Liveness(self.clock.monotonic)
        self.health = Health(Metrics(), self.clock.now)
        self.health.up(ACME)
        self.health.up(SPLUNK)
        self.store_answers = asyncio.Event()
        self.store_answers.set()
        self.service = self.make(ServiceManagerAddress(systemd.address, WATCHDOG_SECS))

    def make(self, address: ServiceManagerAddress | None) -> ServiceManager:
        return ServiceManager(address, liveness=self.liveness, health=self.health, ping=self._ping, clock=self.clock)

    async def _ping(self) -> None:
        await self.store_answers.wait()

    async def advance(self, secs: float, step_secs: float = 1.0) -> None:
        """Let time pass in steps, and the service manager look."""
        for _ in range(round(secs / step_secs)):
            self.clock.advance(step_secs)
            await self.turn()

    @staticmethod
    async def turn() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self, service: ServiceManager | None = None) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task((service or self.service).run())
            await self.turn()
            yield
            task.cancel()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[_Lab]:
    """Give a daemon under a service manager that waits a minute for a sign of life."""
    with FakeServiceManager(tmp_path / "notify") as systemd:
        lab = _Lab(systemd)
        yield lab
        lab.service.close()


async def test_ready_comes_with_the_state_of_things(lab: _Lab) -> None:
    """One message says both, so that systemctl never shows a service that runs and says nothing."""
    lab.service.ready()
    assert [f"READY=1\nSTATUS={ALL_UP}"] == lab.systemd.messages


async def test_an_abstract_socket_is_reached(tmp_path: Path) -> None:
    """Such a name begins with @ in the environment and with a zero byte for the kernel."""
    with FakeServiceManager(f"@mcwatch-test-{tmp_path}") as systemd:
        lab = _Lab(systemd)
        lab.service.ready()
        assert ["1"] == systemd.said("READY")
        lab.service.close()


async def test_signs_of_life_come_twice_in_the_time_asked_for(lab: _Lab) -> None:
    """At half of it, while everything turns."""
    async with lab.running():
        assert ["1"] == lab.systemd.said("WATCHDOG")
        await lab.advance(29)
        assert 1 == len(lab.systemd.said("WATCHDOG"))
        await lab.advance(1)
        assert 2 == len(lab.systemd.said("WATCHDOG"))
        await lab.advance(270)
        assert 11 == len(lab.systemd.said("WATCHDOG"))


@pytest.mark.parametrize("watchdog_secs", [1.0, 7.0, 12.0, 180.0])
async def test_no_time_asked_for_is_ever_missed(lab: _Lab, watchdog_secs: float) -> None:
    """Whatever the time is, at no moment has it passed by more than a half and one look since the last sign of life."""
    service = lab.make(ServiceManagerAddress(lab.systemd.address, watchdog_secs))
    async with lab.running(service):
        heard, last, longest = 1, 0.0, 0.0
        for _ in range(8000):
            await lab.advance(watchdog_secs / 100, watchdog_secs / 100)
            if lab.clock.monotonic() > 6 * watchdog_secs:
                break
            if (now := len(lab.systemd.said("WATCHDOG"))) > heard:
                longest = max(longest, lab.clock.monotonic() - last)
                heard, last = now, lab.clock.monotonic()
        assert 11 <= heard <= 13
        assert longest <= 0.6 * watchdog_secs
    service.close()


async def test_a_loop_that_hangs_ends_the_signs_of_life(lab: _Lab) -> None:
    """It is named once in the log and in the status; when it turns again, so do the signs of life."""
    with capture_logs() as logs, lab.liveness.loop("deliver splunk") as loop:
        loop.turns("delivery")
        async with lab.running():
            await lab.advance(ALLOWANCE_SECS)
            fed = len(lab.systemd.said("WATCHDOG"))
            await lab.advance(120)
            assert fed == len(lab.systemd.said("WATCHDOG"))
            assert f"deliver splunk hangs (delivery); {ALL_UP}" == lab.systemd.said("STATUS")[-1]
            loop.turns("delivery")
            await lab.advance(35)
            assert fed < len(lab.systemd.said("WATCHDOG"))
            assert ALL_UP == lab.systemd.said("STATUS")[-1]
    (stuck,) = [line for line in logs if line["event"] == "loop_stuck"]
    assert ("error", "deliver splunk", "delivery") == (stuck["log_level"], stuck["loop"], stuck["doing"])
    assert ["loop_turns_again"] == [line["event"] for line in logs if line["event"].startswith("loop_turns")]


async def test_a_store_that_does_not_answer_ends_the_signs_of_life(lab: _Lab) -> None:
    """The thread that writes is watched like a loop, with the patience that a slow disk needs."""
    async with lab.running():
        lab.store_answers.clear()
        await lab.advance(ALLOWANCE_SECS)
        fed = len(lab.systemd.said("WATCHDOG"))
        assert fed >= 10
        await lab.advance(70)
        assert fed == len(lab.systemd.said("WATCHDOG"))
        assert "store writer hangs (commit)" in lab.systemd.said("STATUS")[-1]
        lab.store_answers.set()
        await lab.advance(35)
        assert fed < len(lab.systemd.said("WATCHDOG"))


async def test_a_process_that_stood_still_gives_its_sign_of_life_at_once(lab: _Lab) -> None:
    """A night of a suspended machine is no hang of its loops."""
    with lab.liveness.loop("poll"):
        async with lab.running():
            fed = len(lab.systemd.said("WATCHDOG"))
            await lab.advance(30_000, 30_000)
            assert fed < len(lab.systemd.said("WATCHDOG"))


@pytest.mark.parametrize("watched", [True, False])
async def test_hangs_are_logged_also_without_a_watchdog(lab: _Lab, watched: bool) -> None:
    """A service without a watchdog, or no service at all: the log says it, and nobody is told that all is well."""
    service = lab.make(ServiceManagerAddress(lab.systemd.address) if watched else None)
    with capture_logs() as logs, lab.liveness.loop("poll"):
        async with lab.running(service):
            await lab.advance(ALLOWANCE_SECS + 10)
            service.ready()
    service.close()
    assert 1 == len([line for line in logs if line["event"] == "loop_stuck"])
    assert [] == lab.systemd.said("WATCHDOG")
    assert watched == bool(lab.systemd.messages)


async def test_the_status_is_told_when_it_changes(lab: _Lab) -> None:
    """And not otherwise."""
    async with lab.running():
        await lab.advance(60)
        lab.health.down(SPLUNK, "connection refused", "look at it")
        await lab.advance(60)
        lab.health.up(SPLUNK)
        await lab.advance(60)
    expected = [ALL_UP, "1 account, 0 destinations up; 1 down: destination splunk (connection refused)", ALL_UP]
    assert expected == lab.systemd.said("STATUS")


async def test_a_reload_begins_and_ends(lab: _Lab) -> None:
    """Also when the new configuration cannot be used: the old one runs on, and the service is ready."""
    lab.clock.advance(1234.5)
    with pytest.raises(ValueError, match="unusable"), lab.service.reloading():
        raise ValueError("unusable")
    assert [
        f"RELOADING=1\nMONOTONIC_USEC=1234500000\nSTATUS=reloading the configuration; {ALL_UP}",
        f"READY=1\nSTATUS={ALL_UP}",
    ] == lab.systemd.messages


async def test_the_end_gets_the_time_it_needs(lab: _Lab) -> None:
    """As long as the daemon drains it asks for more, and a last time for what comes after."""
    async with lab.running():
        lab.service.stopping()
        assert f"STOPPING=1\nSTATUS=stopping: delivers what is due; {ALL_UP}" == lab.systemd.messages[-1]
        await lab.advance(15)
        assert ["65000000"] * 3 == lab.systemd.said("EXTEND_TIMEOUT_USEC")
    assert "60000000" == lab.systemd.said("EXTEND_TIMEOUT_USEC")[-1]


async def test_a_service_manager_that_does_not_listen_is_no_trouble(tmp_path: Path) -> None:
    """One warning; what lasts is said once it listens, what is outdated by then is not."""
    systemd = FakeServiceManager(tmp_path / "notify")
    lab = _Lab(systemd)
    with capture_logs() as logs:
        lab.service.ready()
        async with lab.running():
            await lab.advance(60)
            with systemd:
                await lab.advance(5)
                assert [f"READY=1\nSTATUS={ALL_UP}", f"WATCHDOG=1\nSTATUS={ALL_UP}"] == systemd.messages
    lab.service.close()
    assert ["service_manager_unreachable"] == [line["event"] for line in logs]


def test_a_status_is_one_short_line() -> None:
    """Whatever a receiver has said; a source of an account that is down is not named again."""
    health = Health(Metrics(), FakeClock().now)
    health.expect(ACME)
    assert "0 accounts, 0 destinations up; 1 not tried yet" == describe(health)
    health.down(ACME, "the credential was refused")
    health.down(Component.of_source("acme", "message_finder"), "the credential was refused")
    health.up(Component.of_account("beta"))
    health.down(Component.of_source("beta", "processing_queue"), "no permission")
    for number in range(3):
        health.down(Component.of_destination(f"out{number}"), "refused")
    assert (
        "1 account, 0 destinations up; 5 down: account acme (the credential was refused), "
        "source beta processing_queue (no permission), destination out0 (refused), 2 more"
    ) == describe(health)
    health.up(STORE)
    health.degraded(STORE, "slow", "")
    assert describe(health).endswith("; 1 degraded: store")


async def test_a_status_holds_no_line_break_and_has_a_limit(lab: _Lab) -> None:
    """A line break would be read as another assignment."""
    lab.health.down(SPLUNK, "no\nWATCHDOG=trigger\x1b[31m" + "x" * 1000)
    lab.service.ready()
    (message,) = lab.systemd.messages
    assert 2 == len(message.split("\n"))
    assert "\x1b" not in message
    assert 400 == len(lab.systemd.said("STATUS")[0])
