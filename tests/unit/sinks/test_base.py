"""What sinks share."""

import asyncio
import threading

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
