"""``mcwatch demo``: the daemon against the built-in simulator, with a store that is thrown away."""

import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from mcwatch.app.clock import SystemClock
from mcwatch.app.lifecycle import Runner, StopSignals
from mcwatch.app.wiring import Application
from mcwatch.domain.errors import ConfigError
from mcwatch.settings import Settings
from mcwatch.simulator import PROFILES, Simulator, SimulatorConfig
from mcwatch.telemetry.logs import configure

_DRAIN_SECS = 2.0


async def demo(*, seed: int, faults: str, listen: str) -> None:
    """Run until a signal; raises ConfigError when the page's address cannot be used or the profile is not known."""
    if faults not in PROFILES:
        raise ConfigError([f"--faults: there is no profile {faults!r}, only {', '.join(PROFILES)}"])
    configure("warning", "auto")
    signals = StopSignals()
    signals.install()
    rng = random.Random()
    simulated = replace(SimulatorConfig.demo(seed=seed), faults=faults)
    with tempfile.TemporaryDirectory(prefix="mcwatch-demo-") as folder:
        async with Simulator(simulated) as simulator:
            settings = demo_settings(simulator.url, simulated, Path(folder), listen)
            async with Application(settings, clock=SystemClock(), rng=rng) as application:
                _introduce(simulator.url, application.url)
                await Runner(application, rng, _DRAIN_SECS).run(signals)


def demo_settings(api_url: str, simulated: SimulatorConfig, folder: Path, listen: str) -> Settings:
    """Return the configuration of the demo."""
    accounts = [
        {
            "name": account.name,
            "api": {
                "base_url": api_url,
                "auth": {
                    "type": "oauth2",
                    "client_id": account.client_id,
                    "client_secret": account.client_secret,
                },
                "max_requests_per_minute": 600,
            },
            "sources": [
                {"type": "processing_queue", "interval": "2s"},
                {
                    "type": "message_finder",
                    "interval": "2s",
                    "domains": list(account.domains),
                    "initial_look_back": "2m",
                },
            ],
        }
        for account in simulated.accounts
    ]
    return Settings.model_validate(
        {
            "http": {"listen": listen},
            "store": {"url": f"sqlite:///{folder / 'demo.db'}", "reserve": 0},
            "accounts": accounts,
            "destinations": [{"name": "console", "sink": {"type": "stdout", "readable": "auto"}, "start": "earliest"}],
        }
    )


def _introduce(api_url: str, page_url: str) -> None:
    lines = (
        "mcwatch demo: a simulated Mimecast account, its events below, one line each.",
        f"  status page  {page_url}/",
        f"  metrics      {page_url}/metrics",
        f"  simulator    {api_url}",
        "  stop         Ctrl-C",
        "",
    )
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
