"""A disk that fills up, or takes no writes for a while, under a daemon with several destinations at work."""

import asyncio
import json
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, run_command
from tests.acceptance.waiting import Stillness, eventually
from tests.fakes.hec import Hec
from tests.fakes.small_disk import small_disk

_DISK_BYTES = 160 << 20
_RESERVE = "48MiB"
_BACK_SECS = 40.0
"""A destination that was down is tried after up to half a minute."""


@pytest.fixture
def disk(place: Path) -> Iterator[Path]:
    """Mount a small disk."""
    with small_disk(place / "disk", _DISK_BYTES) as mount_point:
        yield mount_point


class House:
    """A daemon's counterparts, and the mail that was shown to it."""

    def __init__(self, place: Path, simulator: Simulator, hook: Hook, hec: Hec) -> None:
        self.place, self.simulator, self.hook, self.hec = place, simulator, hook, hec
        self._noise = random.Random(7)
        self.subjects: list[str] = []

    @property
    def config(self) -> Config:
        """The store and a file on the small disk; a web hook and Splunk elsewhere."""
        return configuration.whole(
            [configuration.account(self.simulator)],
            [
                configuration.hook(self.hook.url),
                configuration.splunk(self.hec.url),
                configuration.file("disk/events.ndjson"),
            ],
            store={"url": "sqlite:///disk/mcwatch.db", "reserve": _RESERVE},
        )

    def add_mail(self, count: int) -> None:
        """Add mail that does not compress."""
        for _ in range(count):
            self.subjects.append(self._noise.randbytes(200).hex())
            self.simulator.add_mail(subject=self.subjects[-1])

    def everything_arrived(self) -> bool:
        """Tell whether each destination has all mail; an event may be there twice."""
        wanted = set(self.subjects)
        file = self.place / "disk" / "events.ndjson"
        lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
        assert wanted == {str(subject) for subject in self.hook.subjects()}, "at the hook"
        assert wanted == {event["message"]["subject"] for event in self.hec.events}, "at Splunk"
        assert wanted == {event["message"]["subject"] for event in map(json.loads, lines)}, "in the file"
        return True


@pytest.fixture
def house(place: Path, disk: Path, simulator: Simulator, webhook: Hook, hec: Hec) -> House:
    """Everything around a daemon whose store lies on the small disk."""
    assert disk.is_relative_to(place)
    return House(place, simulator, webhook, hec)


async def test_a_full_disk_stops_polling_alone_and_everything_comes_afterwards(house: House, disk: Path) -> None:
    """The daemon says that the disk is full, delivers what it has, and reads on where it stood when there is room."""
    house.add_mail(20)
    async with Daemon(house.place, house.config) as daemon:
        await eventually(house.everything_arrived)
        house.hec.is_slow = True
        house.add_mail(20)
        await eventually(lambda: len(set(house.hook.subjects())) == 40)
        await asyncio.to_thread(_fill, disk / "ballast")
        await eventually(lambda: _until_full(house, daemon))
        await eventually(lambda: daemon.find("polling_paused", source="message_finder"))
        status = (await daemon.status())["store"]
        assert ("full", ["store"]) == (status["state"], status["paused"])
        assert "make room" in status["remedy"]
        assert (200, 503) == tuple([(await daemon.get(path)).status for path in ("/healthz", "/readyz")])

        # What was handed over before is confirmed now, and recorded in the room that was set aside.
        house.hec.is_slow = False
        house.hec.index()

        async def delivered() -> bool:
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            return all(scrape.value("outbox_events", destination=name) == 0 for name in ("hook", "splunk"))

        await eventually(delivered)
        house.add_mail(20)
        (disk / "ballast").unlink()
        await eventually(lambda: daemon.find("store_has_room_again"))
        await eventually(house.everything_arrived, _BACK_SECS)
        (await daemon.metrics()).assert_conserved()
        assert 200 == (await daemon.get("/readyz")).status
        assert "Traceback" not in daemon.stderr
        assert 0 == await daemon.stop()


def _until_full(house: House, daemon: Daemon) -> bool:
    house.add_mail(5)
    return bool(daemon.find("store_full"))


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


@asynccontextmanager
async def read_only(pid: int, strace: Path) -> AsyncIterator[None]:
    """Have the kernel refuse this process every write to a file, as on a file system that has turned read-only.

    To remount one read-only is refused while the daemon has files open for writing; a real one turns by itself, when
    its disk fails.
    """
    calls = "pwrite64,ftruncate,fallocate"
    process = await asyncio.create_subprocess_exec(
        str(strace), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EROFS",
        "-p", str(pid),
    )  # fmt: skip
    try:
        await eventually(lambda: _is_traced(pid))
        yield
    finally:
        with suppress(ProcessLookupError):  # the daemon has ended, and strace with it
            process.send_signal(signal.SIGTERM)
        await process.wait()


def _is_traced(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" not in status


async def test_a_file_system_that_turns_read_only_is_waited_for(
    house: House, require_program: Callable[[str], Path]
) -> None:
    """Nothing is recorded meanwhile, the daemon lives and says what is wrong, and goes on by itself with all mail."""
    house.add_mail(20)
    async with Daemon(house.place, house.config) as daemon:
        await eventually(house.everything_arrived)
        async with read_only(daemon.pid, require_program("strace")):
            house.add_mail(20)
            await eventually(lambda: daemon.find("store_read_only", level="error"))
            await eventually(lambda: daemon.find("polling_paused", source="message_finder", reasons=["store"]))
            asked = house.simulator.stats.requests.total()
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            assert 1 == scrape.value("polling_paused", reason="store")
            assert (200, 503) == tuple([(await daemon.get(path)).status for path in ("/healthz", "/readyz")])
            status = (await daemon.status())["store"]
            assert ("unavailable", ["store"]) == (status["state"], status["paused"])
            assert "mount it writable" in status["remedy"]
            await eventually(Stillness(house.simulator.stats.requests.total, 1.0))
            assert house.simulator.stats.requests.total() <= asked + 4, "what could not be recorded is not asked for"
        await eventually(lambda: daemon.find("store_writable_again"))
        await eventually(house.everything_arrived, _BACK_SECS)
        await eventually(lambda: daemon.find("component_recovered", component="store"))
        (await daemon.metrics()).assert_conserved()
        assert "Traceback" not in daemon.stderr
        assert 0 == await daemon.stop()


async def test_a_start_on_a_read_only_file_system_says_so_and_changes_nothing(house: House, disk: Path) -> None:
    """A file system mounted read-only keeps the daemon from starting, with a remedy; writable, it goes on."""
    house.add_mail(5)
    async with Daemon(house.place, house.config) as daemon:
        await eventually(house.everything_arrived)
        assert 0 == await daemon.stop()
    house.add_mail(5)
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(disk)], check=True)
    done = await run_command(house.place, "run", "-c", CONFIG)
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,rw", str(disk)], check=True)
    assert 1 == done.code
    assert "cannot be opened: Read-only file system" in done.stderr
    assert "writable by this user" in done.stderr
    async with Daemon(house.place, house.config) as daemon:
        await eventually(house.everything_arrived)
        assert 0 == await daemon.stop()
