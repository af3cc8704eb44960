"""The process that is measured: the wired daemon, polled by hand, its CPU time read around each part."""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from mcwatch.app.clock import SystemClock
from mcwatch.app.wiring import Application
from mcwatch.settings import Settings
from mcwatch.telemetry.logs import configure
from tests.benchmarks.prefill import ACCOUNT

_PATIENCE_SECS = 120.0
_LOOK_SECS = 0.02


def settings(job: dict[str, Any]) -> Settings:
    """Return the configuration that is measured."""
    # One window holds all that the peer shows, at the first poll and, known then, at the second one.
    finder = {
        "type": "message_finder",
        "interval": "5d",
        "initial_look_back": "5d",
        "max_window": "28d",
        "page_size": 1000,
        "rescans": [],
    }
    return Settings.model_validate(
        {
            "http": {"listen": "127.0.0.1:0"},
            "store": {"url": f"sqlite:///{job['store']}", "reserve": 0},
            "accounts": [
                {
                    "name": ACCOUNT,
                    "api": {
                        "base_url": job["url"],
                        "auth": {"type": "oauth2", "client_id": "bench", "client_secret": "bench"},
                        "max_requests_per_minute": 1_000_000,
                    },
                    "sources": [finder],
                }
            ],
            "destinations": job["destinations"],
        }
    )


async def measure(config: Settings) -> dict[str, Any]:
    """Poll everything once as new and once as known; return CPU and wall seconds of both, and peak memory."""
    configure("warning", "json")
    async with Application(config, clock=SystemClock(), rng=random.Random(1)) as application:
        (poller,) = application.parts.pollers.values()
        dispatchers = application.parts.dispatchers.values()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.run(application.parts.account_names)) for one in dispatchers]
            cpu, wall = time.process_time(), time.perf_counter()
            await poller.poll_once()
            await _delivered(application)
            new = (time.process_time() - cpu, time.perf_counter() - wall)
            cpu, wall = time.process_time(), time.perf_counter()
            await poller.poll_once()
            repeat = (time.process_time() - cpu, time.perf_counter() - wall)
            for task in tasks:
                task.cancel()
        snapshot = await application.store.snapshot()
    figures = snapshot.feeds[0]
    for one in snapshot.destinations:
        if one.delivered != figures.new:
            raise RuntimeError(f"{one.name} has accepted {one.delivered} of {figures.new} events")
    return {
        "new_cpu_secs": new[0],
        "new_wall_secs": new[1],
        "repeat_cpu_secs": repeat[0],
        "repeat_wall_secs": repeat[1],
        "new": figures.new,
        "duplicate": figures.duplicate,
        "peak_rss_mib": _peak_rss_mib(),
    }


def _peak_rss_mib() -> float:
    """Return the peak of this program alone; getrusage counts in that of the one which started it."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


async def _delivered(application: Application) -> None:
    """Wait until every destination has received everything; asks seldom, for what it costs is measured too."""
    store, until = application.store, time.monotonic() + _PATIENCE_SECS
    for name in application.parts.dispatchers:
        while (positions := await store.positions(name)) != store.heads():
            if time.monotonic() > until:
                raise RuntimeError(f"{name} stands at {positions} of {dict(store.heads())} and moves no further")
            await asyncio.sleep(_LOOK_SECS)


def main() -> None:
    """Measure what the job on standard input says, and write the figures to the file that it names."""
    job = json.load(sys.stdin)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(settings(job)))
    Path(job["result"]).write_text(json.dumps(figures), "utf-8")


if __name__ == "__main__":
    main()
