"""A real receiver of bulk requests: the `accept_elasticsearch` operator of Tenzir, on a loopback port.

It keeps each request's actions and documents as lines of a file, which is written a little after the answer has gone
out: on a busy machine that may take seconds. It knows no ids and no index, and answers one item however many actions a
request has. Strings are typed as they look (times, durations), so times come back with nanoseconds, a little off.
"""

import asyncio
import importlib.metadata
import os
import re
import signal
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

_LOOK_SECS = 0.02
_WRITE_SECS = 30.0
_PIPELINE = 'accept_elasticsearch "127.0.0.1:{port}", keep_actions=true\nto_file "{file}" {{ write_ndjson }}'
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")


@dataclass(frozen=True)
class Stored:
    """A document and the id of the action before it."""

    id: str
    document: dict[str, Any]


class Tenzir:
    """One Tenzir; it starts with an empty file each time and keeps the files of earlier runs."""

    def __init__(self, program: Path, directory: Path, port: int) -> None:
        self._program = program
        self._directory = directory
        self._port = port
        self._runs = 0
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{port}"

    async def start(self) -> None:
        """Start it and wait until its port is open."""
        self._runs += 1
        pipeline = _PIPELINE.format(port=self._port, file=self._file(self._runs))
        (self._directory / "tmp").mkdir(exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            self._program, pipeline, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            cwd=self._directory, env={"HOME": str(self._directory), "TMPDIR": str(self._directory / "tmp")},
        )  # fmt: skip
        while not self._is_open():
            assert self._process.returncode is None, "tenzir ended"
            await asyncio.sleep(_LOOK_SECS)

    async def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it and wait for its end."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    def stored(self) -> list[Stored]:
        """Return what all runs have written; a line that a kill has cut is left out."""
        files = [file for run in range(1, self._runs + 1) if (file := self._file(run)).exists()]
        return [stored for file in files for stored in _pairs(file.read_bytes().split(b"\n")[:-1])]

    async def has_written(self, ids: Collection[str]) -> None:
        """Wait until documents with these ids are written, however busy the machine is, but not for ever."""
        async with asyncio.timeout(_WRITE_SECS):
            while not {stored.id for stored in self.stored()}.issuperset(ids):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(_LOOK_SECS)

    def _file(self, run: int) -> Path:
        return self._directory / f"received.{run}.ndjson"

    def _is_open(self) -> bool:
        tables = [Path(f"/proc/net/{name}").read_text("ascii") for name in ("tcp", "tcp6") if _has(name)]
        return any(re.search(rf":{self._port:04X} 0+:0000 0A", table) for table in tables)


def tenzir_program() -> Path:
    """Return the program in the installed wheel; without it skip the test, or fail it where components are required."""
    try:
        files = importlib.metadata.files("tenzir") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parts[-3:] == ("bundled", "bin", "tenzir"):
            return Path(str(file.locate()))
    text = "the tenzir wheel is not installed, or has no program for this machine"
    if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
        pytest.fail(text)
    pytest.skip(text)


def normal(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a document with every time in milliseconds, which is as exact as Tenzir keeps them."""
    if isinstance(value, dict):
        return {key: normal(one) for key, one in value.items()}
    if isinstance(value, list):
        return [normal(one) for one in value]
    if isinstance(value, str) and (match := _TIME.fullmatch(value)):
        whole = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        return round((whole.timestamp() + float(match[2] or 0)) * 1000)
    return value


def _pairs(lines: list[bytes]) -> list[Stored]:
    decoded = [msgspec.json.decode(line) for line in lines]
    return [
        Stored(action["create"]["_id"], document) for action, document in zip(decoded[::2], decoded[1::2], strict=False)
    ]


def _has(table: str) -> bool:
    return Path(f"/proc/net/{table}").exists()
