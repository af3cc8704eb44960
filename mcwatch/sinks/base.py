"""What all sinks share: the shape of their configuration, line framing, and a thread for blocking calls."""

import asyncio
import queue
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import TypeVar
from uuid import UUID

from mcwatch.interfaces import Acknowledgements, Sink
from mcwatch.option_types import Config

T = TypeVar("T")


class BaseSinkConfig(Config):
    """Options of one kind of sink; every subclass adds ``type``, which tells it from the others."""

    @property
    def why_no_text(self) -> str:
        """Why it takes nothing but JSON, and what to write instead; empty when it takes any format."""
        return ""

    @property
    def account_names(self) -> Set[str]:
        """The accounts its options name; ``mcwatch check`` warns of those that are not configured."""
        return frozenset()

    @property
    def event_names(self) -> Set[str]:
        """The statuses and kinds of events its options name; ``mcwatch check`` warns of those nobody knows."""
        return frozenset()

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
        self._calls: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._closed = False

    async def run(self, call: Callable[[], T]) -> T:
        """Run ``call`` and return what it returns.

        When this is cancelled, a call already begun goes on to its end, and one that still waits is forgotten.
        """
        if self._closed:
            raise RuntimeError(f"the thread {self._thread.name} is used after its end")
        if not self._thread.is_alive():
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        waiting = _Waiting(partial(_carry_out, call, future, loop))
        del call  # else this frame, which the error of a time-out may keep, would hold the batch as well
        self._calls.put(waiting)
        try:
            return await future
        finally:
            waiting.empty()

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
        while (waiting := self._calls.get()) is not None:
            waiting.carry_out()
            del waiting


class _Waiting:
    """A call in the queue. It holds a batch, so it is emptied when given up: behind a stuck call the queue grows."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def empty(self) -> None:
        """Let go of the call, if it has not begun."""
        self._call = None

    def carry_out(self) -> None:
        """Run the call, unless it was given up."""
        call, self._call = self._call, None
        if call:
            call()


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
