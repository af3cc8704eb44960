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


def settings(url: str, store: Path, destinations: int, compression: str) -> Settings:
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
            "store": {"url": f"sqlite:///{store}", "reserve": 0},
            "accounts": [
                {
                    "name": ACCOUNT,
                    "api": {
                        "base_url": url,
                        "auth": {"type": "oauth2", "client_id": "bench", "client_secret": "bench"},
                        "max_requests_per_minute": 1_000_000,
                    },
                    "sources": [finder],
                }
            ],
            "destinations": [
                {
                    "name": f"hook{number}",
                    "sink": {"type": "http", "url": f"{url}/in/{number}", "compression": compression},
                    "start": "earliest",
                    "batch": {"max_events": 1000, "max_bytes": "2MiB"},
                }
                for number in range(destinations)
            ],
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
        figures = (await application.store.snapshot()).feeds[0]
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
    """Wait until every destination has received everything."""
    while any(one.waiting for one in (await application.store.snapshot()).destinations):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    subject = settings(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(subject))))
