"""What all sinks share: the shape of their configuration, line framing, and a thread for blocking calls."""

import asyncio
import queue
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar
from uuid import UUID

from mcwatch.interfaces import Acknowledgements, Sink
from mcwatch.option_types import Config

T = TypeVar("T")


class BaseSinkConfig(Config):
    """Options of one kind of sink; every subclass adds ``type``, which tells it from the others."""

    @abstractmethod
    def build(self, channel: UUID | None = None) -> Sink:
        """Return the sink, without touching the target.

        ``channel`` is what a receiver may know this destination by; it stays the same across restarts. None makes one
        up, for a sink that is only tried.
        """


class OneAtATime:
    """The traits of a sink that has one delivery under way and takes the target's answer for the last word."""

    most_at_once = 1
    acknowledgements: Acknowledgements | None = None


def single_lines(payloads: Sequence[bytes]) -> Sequence[bytes]:
    """Return the payloads with a space for each LF inside them."""
    # One search through all of them takes a fifth of the time of counting line ends, and nearly never finds one.
    if b"\n" not in b"".join(payloads):
        return payloads
    return [payload.replace(b"\n", b" ") for payload in payloads]


def lines(payloads: Sequence[bytes]) -> bytes:
    """Return the payloads as lines, each ended by one LF; an LF inside a payload becomes a space."""
    return b"\n".join([*single_lines(payloads), b""])


class BlockingThread:
    """One thread that runs blocking calls one after the other, so that a cancelled one never overlaps the next.

    A daemon thread: the interpreter waits at its exit for the threads of ``concurrent.futures`` whatever they were
    told, and a call stuck in the kernel would keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._closed = False

    async def run(self, call: Callable[[], T]) -> T:
        """Run ``call`` and return what it returns; when this is cancelled, a call already begun goes on to its end."""
        if self._closed:
            raise RuntimeError(f"the thread {self._thread.name} is used after its end")
        if not self._thread.is_alive():
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._calls.put(partial(_carry_out, call, future, loop))
        return await future

    def close(self) -> None:
        """Take no further calls; what runs is not waited for."""
        self._closed = True
        self._calls.put(None)

    async def finish(self, last: Callable[[], object], timeout_secs: float) -> None:
        """Run ``last`` after what was begun, and close; wait for that no longer than ``timeout_secs``."""
        try:
            async with asyncio.timeout(timeout_secs):
                await self.run(last)
        except TimeoutError:
            # What is stuck ends with the process.
            return
        finally:
            self.close()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # with the batch in it, which would stay until the next one comes


def _carry_out(call: Callable[[], T], future: "asyncio.Future[T]", loop: asyncio.AbstractEventLoop) -> None:
    if future.cancelled():
        return
    try:
        settle = partial(_settle, future, call())
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        settle = partial(_fail, future, error)
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)


def _settle(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
