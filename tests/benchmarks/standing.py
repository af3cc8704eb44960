"""What a process takes that watches a thousand accounts in which nothing happens.

The real program, over real HTTP with an API in another process; the accounts stand in a directory of files.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec

from tests.fakes.quiet_api import Asked

NAME = "thousand_accounts"
_ACCOUNTS = 1000
_INTERVAL_SECS = 30.0
_START_SECS = 30.0
_SETTLED_SECS = _INTERVAL_SECS + 4.0
"""From the first request on: everybody has polled once, and the windows of the first poll are read."""
_END_SECS = 30.0
_STARTED = b'"http_listening"'


@dataclass(frozen=True, slots=True)
class Standing:
    """The share of one core, the peak memory, the connections to the API; what a scrape takes and brings."""

    cpu_share: float
    peak_rss_mib: float
    connections: int
    scrape_cpu_secs: float
    scrape_mb: float


def measure(folder: Path) -> Standing:
    """Watch the accounts for one interval; exits when not all of them were polled in it."""
    with _api() as url, _program(folder, url) as (pid, page):
        _wait_for_first_request(url)
        time.sleep(_SETTLED_SECS)
        before, cpu, began = _asked(url), _cpu_secs(pid), time.monotonic()
        time.sleep(_INTERVAL_SECS)
        after, spent, lasted = _asked(url), _cpu_secs(pid) - cpu, time.monotonic() - began
        polls = {"queue": (after.queues - before.queues) // 2, "finder": after.windows - before.windows}
        if any(count < _ACCOUNTS * 0.97 for count in polls.values()) or after.tokens != _ACCOUNTS:
            sys.exit(f"{NAME}: {after.tokens} accounts have a token, and in {lasted:.0f} s there were polls: {polls}")
        cpu = _cpu_secs(pid)
        scrape = _get(f"{page}/metrics")
        return Standing(
            cpu_share=spent / lasted,
            peak_rss_mib=_peak_rss_mib(pid),
            connections=after.connections - 1,  # the one that asks for the figures
            scrape_cpu_secs=_cpu_secs(pid) - cpu,
            scrape_mb=len(scrape) / 1e6,
        )


@contextmanager
def _api() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.benchmarks.quiet_api"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def _program(folder: Path, url: str) -> Iterator[tuple[int, str]]:
    """Run the program; yield its process id and the URL of its pages."""
    log = folder / "log"
    command = [sys.executable, "-m", "mcwatch", "run", "-c", str(_written(folder, url))]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MCWATCH_")}
    with log.open("wb") as errors, subprocess.Popen(command, stderr=errors, env=environ) as process:
        try:
            yield process.pid, _page(log, process)
        finally:
            process.terminate()
            process.wait(_END_SECS)


def _page(log: Path, process: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + _START_SECS
    while _STARTED not in (text := log.read_bytes()):
        if process.poll() is not None or time.monotonic() > until:
            sys.exit(f"{NAME}: the program did not start: {text.decode()[-2000:]}")
        time.sleep(0.1)
    [line] = [line for line in text.splitlines() if _STARTED in line]
    return str(json.loads(line)["url"])


def _written(folder: Path, url: str) -> Path:
    """Write the configuration and an account file for each tenant."""
    directory = folder / "accounts.d"
    directory.mkdir()
    interval = f"{_INTERVAL_SECS:g}s"
    for number in range(_ACCOUNTS):
        account = {
            "api": {
                "base_url": url,
                "auth": {"type": "oauth2", "client_id": f"id-{number}", "client_secret": "bench"},
            },
            "sources": [{"type": kind, "interval": interval} for kind in ("processing_queue", "message_finder")],
        }
        (directory / f"tenant-{number:04}.yaml").write_text(json.dumps(account), "utf-8")
    config = folder / "mcwatch.yaml"
    config.write_text(
        json.dumps(
            {
                "log": {"format": "json"},
                "http": {"listen": "127.0.0.1:0"},
                "store": {"url": f"sqlite:///{folder}/accounts.db", "reserve": 0},
                "accounts": {"directory": "accounts.d"},
                "destinations": [{"name": "out", "sink": {"type": "file", "path": str(folder / "accounts.ndjson")}}],
            }
        ),
        "utf-8",
    )
    return config


def _wait_for_first_request(url: str) -> None:
    until = time.monotonic() + _START_SECS
    while not _asked(url).tokens:
        if time.monotonic() > until:
            sys.exit(f"{NAME}: nothing was asked within {_START_SECS:.0f} s")
        time.sleep(0.1)


def _asked(url: str) -> Asked:
    return msgspec.json.decode(_get(f"{url}/asked"), type=Asked)


def _get(url: str) -> bytes:
    with urlopen(Request(url), timeout=30) as answer:
        body: bytes = answer.read()
        return body


def _cpu_secs(pid: int) -> float:
    """Return user and system time of all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_rss_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text("ascii").partition("VmHWM:")[2].split()[0]) / 1024
