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

_GRACE_SECS = 0.002
"""Real time given to bytes on their way between two sockets of this process, while somebody waits for them."""
_STUCK_SECS = 60.0
"""Real time after which a thread or a socket that somebody waits for counts as stuck."""


class StuckError(Exception):
    """Nothing will ever happen again: no timer, no thread, no socket."""


class _JumpingSelector(selectors.BaseSelector):
    """Waits in real time only where something real is under way; else lets the loop's time jump."""

    def __init__(self, jump: Callable[[float], None], expects_bytes: Callable[[], bool]) -> None:
        self._inner = selectors.DefaultSelector()
        self._jump = jump
        self._expects_bytes = expects_bytes

    def select(self, timeout: float | None = None) -> Events:
        events = self._inner.select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None:
            events = self._inner.select(_STUCK_SECS)
            if not events:
                raise StuckError("no timer is set and nothing comes in")
            return events
        if self._expects_bytes():
            events = self._inner.select(_GRACE_SECS)
            if events:
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
    it brings always comes at the same place of the order of things. So one seed gives one run.
    """

    def __init__(self) -> None:
        self._secs = 0.0
        self._arrivals = 0
        self._arrived = threading.Condition()
        self._requests = 0
        super().__init__(_JumpingSelector(self._jump, lambda: self._requests > 0))

    def time(self) -> float:
        """Return the virtual seconds passed."""
        return self._secs

    def _jump(self, secs: float) -> None:
        self._secs += secs

    @contextmanager
    def request(self) -> Iterator[None]:
        """Mark that bytes are on their way: time jumps only after they had a little real time to come in."""
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

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
