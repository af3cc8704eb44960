"""``mcwatch simulate``: a Mimecast API of one's own."""

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from mcwatch.cli.options import FaultsOption, SeedOption
from mcwatch.domain.errors import ConfigError

if TYPE_CHECKING:
    from mcwatch.simulator import SimulatorConfig


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes a free one.")] = 9650,
    seed: SeedOption = 1,
    faults: FaultsOption = "none",
) -> None:
    """Serve a simulated Mimecast API on loopback.

    Prints its URL and credentials, and runs until SIGTERM or Ctrl-C.
    """
    from dataclasses import replace

    from mcwatch.simulator import SimulatorConfig

    asyncio.run(_serve(replace(SimulatorConfig.demo(seed=seed, port=port), faults=faults)))


async def _serve(config: "SimulatorConfig") -> None:
    from mcwatch.simulator import Simulator

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    simulator = Simulator(config)
    try:
        await simulator.__aenter__()
    except OSError as error:
        address = f"{config.host}:{config.port}"
        # asyncio words it anew, with the address a second time.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError([f"--port: cannot listen on {address}: {reason}; choose another port"]) from error
    try:
        for line in _introduction(simulator.url, config):
            print(line, flush=True)
        await stop.wait()
    finally:
        await simulator.__aexit__(None, None, None)


def _introduction(url: str, config: "SimulatorConfig") -> list[str]:
    """Say what to write into a configuration."""
    lines = [f"base_url: {url}"]
    for account in config.accounts:
        oauth2 = f"type: oauth2, client_id: {account.client_id}, client_secret: {account.client_secret}"
        keys = f"app_id: {account.app_id}, app_key: {account.app_key}, access_key: {account.access_key}"
        hmac = f"type: hmac, {keys}, secret_key: {account.secret_key}"
        lines += [f"account: {account.name}", f"auth: {{{oauth2}}}", f"auth: {{{hmac}}}"]
    return lines
