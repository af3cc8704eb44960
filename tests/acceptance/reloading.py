"""Having a daemon reload, as an operator does."""

import signal
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.daemon import Daemon, write_config
from tests.acceptance.waiting import eventually


async def reload(daemon: Daemon, place: Path, config: Mapping[str, object] | str, *, outcome: str = "reloaded") -> None:
    """Write the file, send the signal, and wait until the daemon says what came of it."""
    write_config(place, config)
    await hang_up(daemon, outcome=outcome)


async def hang_up(daemon: Daemon, *, outcome: str = "reloaded") -> None:
    """Send the signal, and wait until the daemon says what came of it."""
    before = len(daemon.find(outcome))
    daemon.signal(signal.SIGHUP)
    await eventually(lambda: len(daemon.find(outcome)) > before)
