"""The one place where these tests wait in real time: for a fact, until a deadline."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

_PAUSE_SECS = 0.02


@overload
async def eventually(condition: Callable[[], Awaitable[T]], within_secs: float = ...) -> T: ...


@overload
async def eventually(condition: Callable[[], T], within_secs: float = ...) -> T: ...


async def eventually(condition: Callable[[], object], within_secs: float = 15.0) -> object:
    """Ask until the condition is truthy and return what it said; fail with its last words at the deadline.

    An AssertionError of the condition counts as "not yet".
    """
    deadline = time.monotonic() + within_secs
    while True:
        said: object
        try:
            outcome = condition()
            said = await outcome if inspect.isawaitable(outcome) else outcome
            if said:
                return said
        except AssertionError as error:
            said = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within_secs} s: {_source(condition)}\n{said}")
        await pass_time(_PAUSE_SECS)


async def pass_time(secs: float) -> None:
    """Let real time pass where no fact can stand for it: the pace of a counterpart, or of what a test does itself."""
    await asyncio.sleep(secs)


def _source(condition: Callable[[], object]) -> str:
    return inspect.getsource(condition).strip() if inspect.isfunction(condition) else repr(condition)


class Stillness:
    """A condition: a number has not changed for so long."""

    def __init__(self, read: Callable[[], int], secs: float) -> None:
        self._read = read
        self._secs = secs
        self._last: int | None = None
        self._since = 0.0

    def __call__(self) -> bool:
        """Tell whether it has been still for long enough."""
        now, value = time.monotonic(), self._read()
        if value != self._last:
            self._last, self._since = value, now
        return now - self._since >= self._secs
