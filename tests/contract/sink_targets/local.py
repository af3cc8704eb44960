"""Targets without a network: the fake, a pipe and a file."""

import asyncio
import fcntl
import os
import threading
from pathlib import Path

import pytest
from typing_extensions import override

from mcwatch.domain.errors import TransientError
from mcwatch.interfaces import Sink
from mcwatch.sinks.file import FileSink, RotationRules
from mcwatch.sinks.stdout import StdoutSink
from tests.contract.sink_targets.base import STALL_SECS, Target
from tests.fakes.sink import FakeSink


class FakeTarget(Target):
    """Nothing at all: the fake plays it."""

    type = "fake"
    can_stall = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.sink = FakeSink()
        self.sink.outage = TransientError("down")

    @override
    async def start(self) -> None:
        self.sink.outage = None
        self.engaged.set()

    @override
    async def stop(self) -> None:
        self.sink.outage = TransientError("down")

    @override
    async def unstall(self) -> None:
        self.sink.outage = None

    @override
    def build(self) -> Sink:
        return self.sink

    @override
    def payloads(self) -> list[bytes]:
        return self.sink.accepted


class StdoutTarget(Target):
    """A named pipe, whose reader can go and come back."""

    type = "stdout"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._fifo = directory / "pipe"
        os.mkfifo(self._fifo)
        self._reader = -1
        self._open_reader()
        self._writer = os.open(self._fifo, os.O_WRONLY)
        fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, 4096)
        os.close(self._reader)
        self._got = bytearray()
        self._stalled = False

    def _open_reader(self) -> None:
        self._reader = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK)

    @override
    async def start(self) -> None:
        self._open_reader()
        asyncio.get_running_loop().add_reader(self._reader, self._read)

    @override
    async def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)

    @override
    async def stall(self) -> None:
        self._stalled = True

    @override
    async def unstall(self) -> None:
        self._stalled = False
        asyncio.get_running_loop().add_reader(self._reader, self._read)

    @override
    def build(self) -> Sink:
        return StdoutSink(descriptor=self._writer, stall_secs=STALL_SECS)

    @override
    def payloads(self) -> list[bytes]:
        return bytes(self._got).split(b"\n")[:-1]

    def _read(self) -> None:
        self.engaged.set()
        if self._stalled:
            asyncio.get_running_loop().remove_reader(self._reader)
            return
        self._got += os.read(self._reader, 65536)
        self.heard()


class FileTarget(Target):
    """A file; down while somebody else has it locked, stalled while the disk does not answer."""

    type = "file"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._path = directory / "out" / "events.ndjson"
        self._foreign = -1
        self._parts: list[Path] = []
        self._patch = pytest.MonkeyPatch()
        self._answers = threading.Event()
        self._path.parent.mkdir()
        self._lock()

    def _lock(self) -> None:
        self._foreign = os.open(self._path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._foreign, fcntl.LOCK_EX)

    @override
    async def start(self) -> None:
        os.close(self._foreign)

    @override
    async def stop(self) -> None:
        self._parts.append(self._path.rename(self._path.with_name(f"moved.{len(self._parts)}")))
        self._lock()

    @override
    async def stall(self) -> None:
        loop, fsync = asyncio.get_running_loop(), os.fsync

        def stuck(descriptor: int) -> None:
            loop.call_soon_threadsafe(self.engaged.set)
            self._answers.wait(10)
            fsync(descriptor)

        self._answers.clear()
        self._patch.setattr("mcwatch.sinks.file.journal.os.fsync", stuck)

    @override
    async def unstall(self) -> None:
        self._patch.undo()
        self._answers.set()

    @override
    def build(self) -> Sink:
        return FileSink(self._path, RotationRules(2**30, 3), timeout_secs=STALL_SECS)

    @override
    def payloads(self) -> list[bytes]:
        files = [path for path in (*self._parts, self._path) if path.exists()]
        return b"".join(path.read_bytes() for path in files).split(b"\n")[:-1]
