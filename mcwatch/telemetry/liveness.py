"""Which of the daemon's loops turn, and which rest for a reason that still holds.

A loop is a task that must go on for ever, such as the poller of a source. Its signs of life are given where they arise,
often floors below it: whoever waits says for how long at most. They reach the loop through the context of its task,
as the fields of log lines do; without a loop in the context (commands, tests) they cost nothing and change nothing.

What a loop may wait for, and what makes it a hang:

* A time (``Clock.sleep``) or an answer that has a time limit of its own (a request): it rests until then at most.
* Something that need not come, such as an event to send: it rests without an end.
* Its own parts, such as the batches under way: as long as it has some, for they are watched themselves.
* Anything else, such as the thread of the store: not longer than its allowance.

So a slow receiver, a closed quota or a long catch-up is never a hang, whatever is configured. An await that never
returns is.
"""

from asyncio import Lock
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from types import TracebackType

ALLOWANCE_SECS = 300.0
"""More than any commit, page or turn of a loop takes on a machine that works, however busy."""


@dataclass(frozen=True, slots=True)
class StuckLoop:
    """A loop that hangs: its name, the monotonic second of its last sign of life, and what it was doing then."""

    name: str
    since: float
    reason: str


class Loop:
    """The signs of life of one loop, or of a part of one that can hang by itself."""

    __slots__ = ("_allowance_secs", "_at", "_loops", "_monotonic", "_on_parts", "_parts", "_rests", "_until", "name",
                 "reason")  # fmt: skip

    def __init__(
        self, name: str, monotonic: Callable[[], float], loops: "dict[Loop, None]", allowance_secs: float
    ) -> None:
        self.name = name
        self.reason = "started"
        self._monotonic = monotonic
        self._loops = loops
        self._allowance_secs = allowance_secs
        self._at = monotonic()
        self._until = -inf
        self._rests = 0
        self._parts = 0
        self._on_parts = False

    def turns(self, reason: str) -> None:
        """Give a sign of life, and say what is done next."""
        self.reason = reason
        self._at = self._monotonic()

    def begin_rest(self, secs: float, *, on_parts: bool) -> None:
        """Rest for so long at most; rests may overlap, and the longest counts until all have ended."""
        self._at = self._monotonic()
        self._rests += 1
        self._until = max(self._until, self._at + secs)
        self._on_parts = self._on_parts or on_parts

    def end_rest(self) -> None:
        """End a rest."""
        self._at = self._monotonic()
        self._rests -= 1
        if not self._rests:
            self._until = -inf
            self._on_parts = False

    def pardon(self, now: float) -> None:
        """Have the allowance count from now."""
        self._at = max(self._at, now)

    def stuck(self, now: float) -> StuckLoop | None:
        """Judge the loop."""
        if self._on_parts and self._parts:
            return None
        last = max(self._at, self._until)
        return StuckLoop(self.name, self._at, self.reason) if now > last + self._allowance_secs else None

    def beside(self, name: str, allowance_secs: float = ALLOWANCE_SECS) -> AbstractContextManager["Loop"]:
        """Watch what the body does, in a task that this loop has begun; its signs of life are not this loop's then."""
        return _entered(Loop(f"{self.name}: {name}", self._monotonic, self._loops, allowance_secs), self._loops)

    @contextmanager
    def part(self, name: str, allowance_secs: float = ALLOWANCE_SECS) -> Iterator["Loop"]:
        """Watch what the body does, as something that this loop may rest on."""
        self._parts += 1
        try:
            with self.beside(name, allowance_secs) as part:
                yield part
        finally:
            self._parts -= 1
            self._at = self._monotonic()


class Liveness:
    """The registry of the loops that run now."""

    def __init__(self, monotonic: Callable[[], float], allowance_secs: float = ALLOWANCE_SECS) -> None:
        self._monotonic = monotonic
        self._allowance_secs = allowance_secs
        self._loops: dict[Loop, None] = {}

    def loop(self, name: str) -> AbstractContextManager[Loop]:
        """Watch the loop that the body runs; whoever leaves it is watched no more."""
        return _entered(Loop(name, self._monotonic, self._loops, self._allowance_secs), self._loops)

    async def watched(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a loop and watch it."""
        with self.loop(name):
            await run()

    def stuck(self, now: float) -> list[StuckLoop]:
        """Return the loops that hang at a monotonic second, in the order they began."""
        return [stuck for loop in self._loops if (stuck := loop.stuck(now))]

    def pardon(self, now: float) -> None:
        """Have all allowances count from now: the whole process stood still, and no loop is to blame for it."""
        for loop in self._loops:
            loop.pardon(now)

    def summary(self, now: float) -> str:
        """Say in a few words how the loops are; empty when all turn or rest."""
        return ", ".join(f"{one.name} hangs ({one.reason})" for one in self.stuck(now))


_current: ContextVar[Loop | None] = ContextVar("mcwatch_loop", default=None)


@contextmanager
def _entered(loop: Loop, loops: dict[Loop, None]) -> Iterator[Loop]:
    """Keep a loop in the registry and in the context of the task while the body runs."""
    before = _current.set(loop)
    loops[loop] = None
    try:
        yield loop
    finally:
        del loops[loop]
        _current.reset(before)


def current() -> Loop | None:
    """Return the loop, or part of one, in whose task this runs."""
    return _current.get()


def turns(reason: str) -> None:
    """Give a sign of life of the loop in whose task this runs, and say what is done next."""
    if loop := _current.get():
        loop.turns(reason)


def beside(name: str, allowance_secs: float = ALLOWANCE_SECS) -> AbstractContextManager[Loop | None]:
    """Watch what the body does apart from the loop that has begun this task, if it was one."""
    loop = _current.get()
    return loop.beside(name, allowance_secs) if loop else nullcontext()


def part_of(
    loop: Loop | None, name: str, allowance_secs: float = ALLOWANCE_SECS
) -> AbstractContextManager[Loop | None]:
    """Watch what the body does as a part of a loop, if there is one."""
    return loop.part(name, allowance_secs) if loop else nullcontext()


class resting:  # noqa: N801 - used like contextlib.suppress
    """What the body awaits ends by itself within ``secs`` seconds; the loop in whose task this runs rests meanwhile.

    With ``on_parts`` it is excused as long as it has parts, which are watched. Without either it is merely named.
    """

    __slots__ = ("_before", "_loop", "_on_parts", "_reason", "_secs")

    def __init__(self, reason: str = "", secs: float = 0.0, *, on_parts: bool = False) -> None:
        self._loop = _current.get()
        self._reason = reason
        self._secs = secs
        self._on_parts = on_parts

    def __enter__(self) -> None:
        if loop := self._loop:
            self._before = loop.reason
            loop.reason = self._reason or loop.reason
            loop.begin_rest(self._secs, on_parts=self._on_parts)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if loop := self._loop:
            loop.end_rest()
            loop.reason = self._before


@asynccontextmanager
async def holding(lock: Lock, reason: str) -> AsyncIterator[None]:
    """Hold a lock; the wait for whoever has it is a rest, for that one is watched."""
    with resting(reason, inf):
        await lock.acquire()
    try:
        yield
    finally:
        lock.release()
