"""The daemon put together: what the command line starts. Nothing but ``cli`` imports this."""

import asyncio
import os
import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from mcwatch.app.checks import check
from mcwatch.app.clock import SystemClock
from mcwatch.app.config_file import ConfigFile
from mcwatch.app.demo import demo as _demo
from mcwatch.app.lifecycle import Runner, StopSignals
from mcwatch.app.offline import offline_dead_letters, offline_letters, offline_routes, offline_status
from mcwatch.app.wiring import Application
from mcwatch.settings import Settings
from mcwatch.settings.environment import process_environment, service_manager
from mcwatch.telemetry.logs import configure

__all__ = ["check", "demo", "offline_dead_letters", "offline_letters", "offline_routes", "offline_status", "run"]


def run(settings: Settings, file: Path, drain_timeout_secs: float) -> int:
    """Run the daemon until SIGTERM or SIGINT; return 0.

    Raises ConfigError, the store's errors, and TransientError for a port in use.

    ``file`` is what the settings were read from, and what a reload reads again.
    """
    configure(settings.log.level, settings.log.format)
    _run(_serve(settings, file, drain_timeout_secs))
    return 0


def demo(*, seed: int, faults: str, listen: str) -> int:
    """Run the demo until SIGTERM or SIGINT; return 0."""
    _run(_demo(seed=seed, faults=faults, listen=listen))
    return 0


async def _serve(settings: Settings, file: Path, drain_timeout_secs: float) -> None:
    rng = random.Random()
    signals = StopSignals()
    signals.install()
    clock = SystemClock()
    config = ConfigFile(file, clock.now())
    address = service_manager(process_environment(), os.getpid())
    async with Application(settings, clock=clock, rng=rng, config=config) as application:
        await Runner(application, rng, drain_timeout_secs, address).run(signals)


def _run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
