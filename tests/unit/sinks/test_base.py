"""What sinks share."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref

import pytest

from mcwatch.sinks.base import BlockingThread, lines


@pytest.mark.parametrize(
    ("payloads", "expected"), [([b"a"], b"a\n"), ([b"a", b"", b"c"], b"a\n\nc\n"), ([b"a\nb", b"c"], b"a b\nc\n")]
)
def test_each_payload_is_one_line(payloads: list[bytes], expected: bytes) -> None:
    """There are as many line ends as payloads, whatever the payloads hold."""
    assert lines(payloads) == expected


async def test_calls_do_not_overlap_even_after_a_cancellation() -> None:
    """A call begun before it was cancelled is waited for by the next one."""
    thread, release, begun, order = BlockingThread("test"), threading.Event(), asyncio.Event(), list[int]()
    loop = asyncio.get_running_loop()

    def first() -> None:
        loop.call_soon_threadsafe(begun.set)
        release.wait(5)
        order.append(1)

    running = asyncio.create_task(thread.run(first))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    second = asyncio.create_task(thread.run(lambda: order.append(2)))
    release.set()
    await second
    thread.close()
    assert order == [1, 2]


async def test_calls_given_up_hold_nothing_behind_a_stuck_one() -> None:
    """What is cancelled before it begins lets its batch go, and is not run when the thread is free again."""
    thread, release, order = BlockingThread("test"), threading.Event(), list[int]()
    stuck = asyncio.create_task(thread.run(lambda: release.wait(5)))
    await asyncio.sleep(0)

    class Load:
        def write(self) -> None:
            order.append(1)

    loads = [Load() for _ in range(3)]
    held = [weakref.ref(load) for load in loads]
    while loads:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await thread.run(loads.pop().write)
    gc.collect()
    assert [None, None, None] == [load() for load in held]
    release.set()
    await stuck
    await thread.run(lambda: order.append(2))
    thread.close()
    assert [2] == order


async def test_a_failure_reaches_whoever_waits() -> None:
    """What the call raises is raised where it was asked for, and the next call runs."""
    thread = BlockingThread("test")

    def fail() -> None:
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        await thread.run(fail)
    assert 1 == await thread.run(lambda: 1)
    thread.close()


async def test_nothing_runs_after_the_end() -> None:
    """A call after the end is an error, not one that waits for ever."""
    thread = BlockingThread("test")
    await thread.finish(lambda: None, 1.0)
    with pytest.raises(RuntimeError, match="after its end"):
        await thread.run(lambda: None)


async def test_finishing_does_not_wait_for_what_is_stuck() -> None:
    """The last call is waited for no longer than the time given."""
    thread, release, done = BlockingThread("test"), threading.Event(), list[int]()
    stuck = asyncio.create_task(thread.run(lambda: release.wait(5)))
    await asyncio.sleep(0)
    await thread.finish(lambda: done.append(1), 0.01)
    assert done == []
    release.set()
    await stuck


_STUCK = """
import asyncio, threading
from mcwatch.sinks.base import BlockingThread

async def main():
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    def hang():
        loop.call_soon_threadsafe(begun.set)
        threading.Event().wait()
    thread = BlockingThread("stuck")
    stuck = asyncio.create_task(thread.run(hang))
    await begun.wait()
    stuck.cancel()
    await thread.finish(lambda: None, 0.01)

asyncio.run(main())
"""


@pytest.mark.timeout(20)  # a process takes its time on a machine that is busy
def test_a_stuck_call_does_not_keep_the_process_from_ending() -> None:
    """The interpreter ends although a call hangs for ever, as in a disk that does not answer."""
    ended = subprocess.run([sys.executable, "-c", _STUCK], timeout=20, check=False, capture_output=True)
    assert (0, b"") == (ended.returncode, ended.stderr)
