"""Programs that the tests run as real processes of their own, and how to talk to them."""

import asyncio
import sys
from pathlib import Path

HOLD = """
import asyncio, sys
from pathlib import Path
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock

async def main():
    options = StoreOptions(Path(sys.argv[1]), reserve_bytes=0)
    async with SqliteStore(options, clock=FakeClock(), metrics=Metrics()):
        print("open", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""
"""Opens a store and holds it until its standard input ends."""

COMMIT = """
import asyncio, sys
from pathlib import Path
from mcwatch.domain.page import PageCounts
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.contract.store_kit import lines_of, native
from tests.fakes.clock import FakeClock

async def main():
    clock = FakeClock()
    options = StoreOptions(Path(sys.argv[1]), reserve_bytes=0)
    async with SqliteStore(options, clock=clock, metrics=Metrics()) as store:
        feed = await store.feed("acme", "message_finder")

        async def commit():
            while True:
                def work(page):
                    number = int(page.cursor("next") or b"0")
                    page.set_cursor("next", b"%d" % (number + 1))
                    second = number.to_bytes(16)
                    page.remember([(number, second, b"")])
                    page.count(PageCounts(new=1))
                    page.append(lines_of([native(number, pad=2000)]), 1, clock.now())
                    return number
                print(await store.commit_page(feed, work), flush=True)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(commit())

asyncio.run(main())
"""
"""Commits one numbered page after the other, four at a time, and prints each number once it is committed."""


async def start(program: str, store: Path) -> asyncio.subprocess.Process:
    """Start one of the programs on a store."""
    root = Path(__file__).parents[3]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(store), cwd=root, stdin=pipe, stdout=pipe
    )


async def line_of(process: asyncio.subprocess.Process) -> str:
    """Return the next line the process prints."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def end(process: asyncio.subprocess.Process) -> None:
    """Close the standard input of a process and wait for its end."""
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
