"""The real process: started in a directory of its own, asked over its own interfaces, ended by its own pid."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.acceptance.waiting import eventually

CONFIG = "mcwatch.yaml"
_OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}

LogLine = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP path of the daemon answered."""

    status: int
    text: str

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return the body as JSON."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaints(self) -> list[str]:
        """The lines of stderr that are for the user."""
        return [line for line in self.stderr.splitlines() if line.startswith("mcwatch: ")]


def environment(directory: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a small clean environment."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(directory), **(env or {})}


def command_line(*args: str) -> list[str]:
    """Return the command that runs mcwatch as it is in this tree."""
    return [sys.executable, "-m", "mcwatch", *args]


async def run_command(directory: Path, *args: str, env: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end, with this loop free to play its counterparts."""
    done = await asyncio.to_thread(
        subprocess.run,
        command_line(*args),
        cwd=directory,
        env=environment(directory, env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


async def run_commands(directory: Path, *commands: Sequence[str]) -> list[Finished]:
    """Run commands side by side; return them in the order given."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(run_command(directory, *command)) for command in commands]
    return [one.result() for one in running]


def write_config(directory: Path, config: Mapping[str, object] | str) -> Path:
    """Write the configuration file."""
    path = directory / CONFIG
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(dict(config), sort_keys=False))
    return path


async def fetch(url: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask a URL."""
    timeout = aiohttp.ClientTimeout(total=10.0)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as response:
        return Answer(response.status, await response.text())


class Process:
    """A long-running mcwatch; leaving the context kills it if it still runs."""

    def __init__(self, directory: Path, args: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._args = args
        self._env = env
        self._stdout, self._stderr = directory / "stdout", directory / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        with self._stdout.open("ab") as stdout, self._stderr.open("ab") as stderr:
            self._begin = stderr.tell(), stdout.tell()
            self._process = subprocess.Popen(  # noqa: ASYNC220 - one call that does not wait
                command_line(*self._args),
                cwd=self._directory,
                env=environment(self._directory, self._env),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running
        if process.poll() is None:
            process.kill()
        await asyncio.to_thread(process.wait)

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._running.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._running.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._running.kill()

    async def exit_code(self, within_secs: float = 15.0) -> int:
        """Wait for the end and return the exit code; negative for a signal."""
        await eventually(lambda: self._running.poll() is not None, within_secs)
        return self._running.returncode

    async def stop(self, within_secs: float = 15.0) -> int:
        """Ask for an orderly end and return the exit code."""
        self.signal(signal.SIGTERM)
        return await self.exit_code(within_secs)

    @property
    def stderr(self) -> str:
        """What this process has written to stderr."""
        return self._stderr.read_bytes()[self._begin[0] :].decode()

    @property
    def stdout(self) -> str:
        """What this process has written to stdout."""
        return self._stdout.read_bytes()[self._begin[1] :].decode()


class Daemon(Process):
    """``mcwatch run`` with a configuration."""

    def __init__(
        self, directory: Path, config: Mapping[str, object], *args: str, env: Mapping[str, str] | None = None
    ) -> None:
        write_config(directory, config)
        super().__init__(directory, ("run", "-c", CONFIG, *args), env)
        self.url = ""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            await eventually(lambda: self.find("started") or not self.alive, 20.0)
            assert self.alive, self.stderr
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        [listening] = self.find("http_listening")
        self.url = listening["url"]
        return self

    @property
    def log(self) -> list[LogLine]:
        """The complete lines of the log."""
        lines = self.stderr.split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def find(self, event: str, **fields: object) -> list[LogLine]:
        """Return the log lines of an event that have these fields."""
        return [line for line in self.log if line["event"] == event and fields.items() <= line.items()]

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask one of its HTTP paths."""
        return await fetch(self.url + path, headers)

    async def status(self) -> dict[str, Any]:
        """Return the report of ``/status``."""
        report: dict[str, Any] = (await self.get("/status")).json()
        return report

    async def metrics(self) -> "Scrape":
        """Return a scrape."""
        return Scrape((await self.get("/metrics", _OPENMETRICS)).text)


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # left untyped there
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels; fails when there is none."""
        found = [
            value
            for (known, has), value in self._samples.items()
            if known == f"mcwatch_{name}" and labels.items() <= has
        ]
        assert found, f"no sample {name}{labels}"
        return sum(found)

    def label_values(self, name: str, label: str) -> set[str]:
        """Return the values a label has on a metric."""
        return {dict(has)[label] for known, has in self._samples if known == f"mcwatch_{name}"}

    def assert_conserved(self) -> None:
        """Check the two sums of the contract, section 8."""
        for account in self.label_values("records_received_total", "account"):
            for source in self.label_values("records_received_total", "source"):
                feed = {"account": account, "source": source}
                rows = ("records_new_total", "records_duplicate_total", "records_undecodable_total")
                assert self.value("records_received_total", **feed) == sum(self.value(part, **feed) for part in rows)
        for name in self.label_values("outbox_offered_events_total", "destination"):
            parts = (
                "events_delivered_total", "events_dead_lettered_total", "events_not_selected_total",
                "events_skipped_total", "outbox_events",
            )  # fmt: skip
            whole = self.value("outbox_offered_events_total", destination=name)
            assert whole == sum(self.value(part, destination=name) for part in parts)
