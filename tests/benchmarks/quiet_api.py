"""The API of the many quiet accounts, in a process of its own."""

import asyncio
import signal
import sys

from tests.fakes.quiet_api import QuietApi


async def serve() -> None:
    """Serve until SIGTERM; the one line printed is the base URL."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with QuietApi() as api:
        sys.stdout.write(api.url + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve())
