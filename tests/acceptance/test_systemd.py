"""The command line of the systemd unit, run as systemd runs it: ready, status, signs of life, reload, end."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, Process, command_line, write_config
from tests.acceptance.waiting import eventually
from tests.fakes.service_manager import FakeServiceManager
from tests.fakes.unit_file import arguments, option, options

_WATCHDOG_USEC = 1_000_000
_UP = "1 account, 1 destination up"


class _Service(Daemon):
    """The unit's ExecStart with a configuration of the test, told of a service manager."""

    def __init__(self, directory: Path, config: Mapping[str, object], systemd: FakeServiceManager, **env: str) -> None:
        super().__init__(directory, config, env={"NOTIFY_SOCKET": systemd.address, **env})
        self._args = arguments(CONFIG)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[FakeServiceManager]:
    """Give a service manager that listens."""
    with FakeServiceManager(tmp_path / "notify") as listening:
        yield listening


async def test_is_ready_once_it_listens(place: Path, simulator: Simulator, systemd: FakeServiceManager) -> None:
    """READY=1 comes once, and from then on every interface answers."""
    config = configuration.whole([configuration.account(simulator)], [configuration.file()])
    async with _Service(place, config, systemd) as daemon:
        await eventually(lambda: systemd.said("READY"))
        assert daemon.find("http_listening")
        assert 200 == (await daemon.get("/healthz")).status
        await eventually(lambda: "1 account, 0 destinations up; 1 not tried yet" == systemd.said("STATUS")[-1])
        simulator.add_mail()
        await eventually(lambda: _UP == systemd.said("STATUS")[-1])
        assert ["1"] == systemd.said("READY")
        assert [] == systemd.said("WATCHDOG"), "nobody has asked for it"


async def test_the_status_names_what_is_down(
    place: Path, simulator: Simulator, webhook: Hook, systemd: FakeServiceManager
) -> None:
    """A destination that goes down is in the status text within seconds, and gone from it when it is back."""
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    simulator.add_mail(subject="first")
    async with _Service(place, config, systemd):
        await eventually(lambda: _UP == systemd.said("STATUS")[-1])
        await webhook.stop()
        simulator.add_mail(subject="second")
        await eventually(lambda: "1 down: destination hook (" in systemd.said("STATUS")[-1])
        assert systemd.said("STATUS")[-1].startswith("1 account, 0 destinations up")


async def test_gives_signs_of_life_at_the_rate_asked_for(
    place: Path, simulator: Simulator, systemd: FakeServiceManager
) -> None:
    """With a watchdog of one second they keep coming, also while nothing is to do."""
    config = configuration.whole([configuration.account(simulator, interval="1h")], [configuration.file()])
    async with _Service(place, config, systemd, WATCHDOG_USEC=str(_WATCHDOG_USEC)) as daemon:
        await eventually(lambda: len(systemd.said("WATCHDOG")) >= 6, 20.0)
        daemon.signal(signal.SIGSTOP)
        await eventually(lambda: "T" in _state(daemon.pid))
        heard = len(systemd.said("WATCHDOG"))
        daemon.signal(signal.SIGCONT)
        await eventually(lambda: len(systemd.said("WATCHDOG")) > heard)


async def test_the_watchdog_of_another_process_is_not_fed(
    place: Path, simulator: Simulator, systemd: FakeServiceManager
) -> None:
    """WATCHDOG_PID names the process that is watched."""
    config = configuration.whole([configuration.account(simulator)], [configuration.file()])
    env = {"WATCHDOG_USEC": str(_WATCHDOG_USEC), "WATCHDOG_PID": "1"}
    simulator.add_mail()
    async with _Service(place, config, systemd, **env) as daemon:
        await eventually(lambda: _UP == systemd.said("STATUS")[-1])
        assert 0 == await daemon.stop()
        assert [] == systemd.said("WATCHDOG")


async def test_says_when_it_ends(place: Path, simulator: Simulator, webhook: Hook, systemd: FakeServiceManager) -> None:
    """STOPPING=1 comes at SIGTERM, before the draining, which asks for the time it needs."""
    webhook.may_answer.clear()
    simulator.add_mail(subject="due")
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    async with _Service(place, config, systemd) as daemon:
        await eventually(lambda: webhook.requests)
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: systemd.said("STOPPING"))
        assert daemon.alive
        assert systemd.said("STATUS")[-1].startswith("stopping: ")
        webhook.may_answer.set()
        assert 0 == await daemon.exit_code()
        assert systemd.said("EXTEND_TIMEOUT_USEC")


async def test_a_reload_is_announced(place: Path, simulator: Simulator, systemd: FakeServiceManager) -> None:
    """The unit's ExecReload makes the daemon say that it reloads, since when, and that it is ready again."""
    program, *args = shlex.split(option("ExecReload"))
    assert ("/bin/kill", ["-HUP", "$MAINPID"]) == (program, args)
    config = configuration.whole([configuration.account(simulator)], [configuration.file()])
    async with _Service(place, config, systemd) as daemon:
        await eventually(lambda: systemd.said("READY"))
        write_config(place, configuration.whole([configuration.account(simulator)], [configuration.file(name="other")]))
        daemon.signal(signal.SIGHUP)
        await eventually(lambda: len(systemd.said("READY")) == 2)
        assert ["1"] == systemd.said("RELOADING")
        assert int(systemd.said("MONOTONIC_USEC")[0]) > 0
        write_config(place, "accounts: nonsense\n")
        daemon.signal(signal.SIGHUP)
        await eventually(lambda: len(systemd.said("READY")) == 3)
        assert daemon.alive


async def test_a_configuration_that_cannot_be_used_is_not_tried_again(place: Path, systemd: FakeServiceManager) -> None:
    """The exit code is the one that the unit does not restart after; nobody was told that it is ready."""
    write_config(place, "accounts: nonsense\n")
    async with Process(place, arguments(CONFIG), {"NOTIFY_SOCKET": systemd.address}) as process:
        assert option("RestartPreventExitStatus") == str(await process.exit_code())
    assert [] == systemd.said("READY")


async def test_needs_nothing_that_the_unit_forbids(
    place: Path,
    simulator: Simulator,
    webhook: Hook,
    systemd: FakeServiceManager,
    require_program: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the start to the end, with events delivered: no forbidden system call, no memory both written and run."""
    strace, analyze = require_program("strace"), require_program("systemd-analyze")
    trace = place / "trace"
    # With -D the process is the daemon itself, and strace its child.
    traced = [str(strace), "-D", "-f", "-qq", "-o", str(trace)]
    monkeypatch.setattr("tests.acceptance.daemon.command_line", lambda *args: [*traced, *command_line(*args)])
    simulator.add_mail(subject="traced", count=10)
    archive = {"sink": {"type": "file", "path": "out.ndjson", "rotate_at": "1KiB", "keep": 2}}
    destinations = [configuration.hook(webhook.url), {**configuration.file(), **archive}]
    config = configuration.whole([configuration.account(simulator)], destinations)
    async with _Service(place, config, systemd) as daemon:
        await eventually(lambda: len(webhook.lines) >= 10, 60.0)
        await daemon.metrics()
        await daemon.get("/")
        assert 0 == await daemon.stop(60.0)
    calls = trace.read_text("utf-8", "replace")
    used = set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed)", calls, re.MULTILINE))
    assert {"openat", "execve", "epoll_pwait", "fdatasync"} <= used, "the trace was read"
    # SQLite gives its files to their owner when it is run by root (os_unix.c, robustFchown), and the unit is not.
    assert set() == used - _allowed(analyze) - ({"fchown"} if os.geteuid() == 0 else set())
    assert [] == re.findall(r"^.*mprotect\(.*PROT_EXEC.*$", calls, re.MULTILINE)
    assert [] == re.findall(r"^.*mmap\(.*PROT_WRITE\|PROT_EXEC.*$", calls, re.MULTILINE)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def _allowed(analyze: Path) -> set[str]:
    """Return the system calls that the unit allows."""
    allow, deny = options("SystemCallFilter")
    assert deny.startswith("~")
    return _members(analyze, allow.split()) - _members(analyze, deny[1:].split())


def _members(analyze: Path, sets: list[str]) -> set[str]:
    done = subprocess.run([str(analyze), "syscall-filter", *sets], capture_output=True, text=True, check=True)
    names = {line.strip() for line in done.stdout.splitlines() if line.startswith("    ") and "#" not in line}
    inner = sorted(name for name in names if name.startswith("@"))
    plain = names - set(inner)
    return plain | _members(analyze, inner) if inner else plain
