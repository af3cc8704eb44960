"""An event loop whose time jumps to the next timer as soon as nothing else is left to do."""

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

T = TypeVar("T")
Events = list[tuple[selectors.SelectorKey, int]]

_STUCK_SECS = 60.0
"""Real time after which a thread or a socket that somebody waits for counts as stuck."""


class StuckError(Exception):
    """Nothing will ever happen again: no timer, no thread, no socket."""


class _JumpingSelector(selectors.BaseSelector):
    """Waits in real time only where something real is under way; else lets the loop's time jump."""

    def __init__(self, jump: Callable[[float], None], bytes_under_way: Callable[[], bool]) -> None:
        self._inner = selectors.DefaultSelector()
        self._jump = jump
        self._bytes_under_way = bytes_under_way

    def select(self, timeout: float | None = None) -> Events:
        events = self._inner.select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None or self._bytes_under_way():
            events = self._inner.select(_STUCK_SECS)
            if not events:
                raise StuckError("nothing comes in, though a request is under way or no timer is set")
            return events
        self._jump(timeout)
        return []

    def register(self, fileobj: "FileDescriptorLike", events: int, data: object = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: "FileDescriptorLike", events: int, data: object = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping["FileDescriptorLike", selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """Virtual time, from 0 on.

    Work handed to another thread is waited for before anything else happens: no virtual time passes meanwhile, and what
    it brings always comes at the same place of the order of things. The same goes for requests over sockets of this
    process: however long the kernel takes, what was sent arrives in the same moment. So one seed gives one run.
    """

    def __init__(self) -> None:
        self._secs = 0.0
        self._arrivals = 0
        self._arrived = threading.Condition()
        self._requests_total = 0
        self._open: set[int] = set()
        self._stalled: set[int] = set()
        super().__init__(_JumpingSelector(self._jump, lambda: not self._open <= self._stalled))

    def time(self) -> float:
        """Return the virtual seconds passed."""
        return self._secs

    def _jump(self, secs: float) -> None:
        self._secs += secs

    @contextmanager
    def request(self) -> Iterator[int]:
        """Hold virtual time while bytes go back and forth; yields a number for :meth:`stalled`.

        No length of real time is too long for them: an answer that is written takes the kernel tens of milliseconds
        now and then, and had time jumped meanwhile, its reader would have given it up.
        """
        self._requests_total += 1
        number = self._requests_total
        self._open.add(number)
        try:
            yield number
        finally:
            self._open.discard(number)

    @contextmanager
    def stalled(self, number: int) -> Iterator[None]:
        """Let virtual time pass for a request whose answer waits for a timer; it may have been given up meanwhile."""
        self._stalled.add(number)
        try:
            yield
        finally:
            self._stalled.discard(number)

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """Let another thread call back."""
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        with self._arrived:
            self._arrivals += 1
            self._arrived.notify_all()
        return handle

    def held(self, hand_over: Callable[[], T]) -> T:
        """Hand work to another thread and hold everything until that thread has called back."""
        before = self._arrivals
        handed = hand_over()
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._arrivals > before, _STUCK_SECS):
                raise StuckError("a thread does not come back")
        return handed

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: object) -> "asyncio.Future[T]":
        """Run a call on another thread, and hold everything until it is done."""
        hand_over = super().run_in_executor
        return self.held(lambda: hand_over(executor, func, *args))


def virtual_loop() -> VirtualLoop:
    """Return the loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time from 0 on."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
