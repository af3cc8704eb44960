"""Commands taken from the shared store and answered, side by side."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from structlog.testing import capture_logs

from mcwatch.app.commanding import Commanding
from mcwatch.domain.errors import LeaseLost, StoreUnavailable, ThrottledError
from mcwatch.domain.failure import SentFailure
from mcwatch.httpserver.control import ControlRequest, ControlRoute
from mcwatch.telemetry.liveness import Liveness
from tests.fakes.clock import FakeClock


@dataclass(frozen=True)
class _Row:
    id: int
    path: str = "/do"
    question: bytes = b"{}"


@dataclass
class _Rows:
    """Rows that are there, and what became of them; ``away`` of the next calls fail."""

    open: deque[_Row] = field(default_factory=deque)
    said: dict[int, object] = field(default_factory=dict)
    ready: Collection[int] = ()
    forsaken: set[int] = field(default_factory=set)
    away: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def _reach(self) -> None:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")

    async def pick(self, ready: Collection[int] | None = None) -> _Row | None:
        self._reach()
        self.ready = ready or ()
        return self.open.popleft() if self.open else None

    async def awaited(self, command_ids: Collection[int]) -> Collection[int]:
        self._reach()
        return set(command_ids) - self.forsaken

    async def answer(self, command_id: int, *, answer: bytes | None = None, failure: bytes | None = None) -> bool:
        self._reach()
        self.said[command_id] = msgspec.json.decode(answer) if answer else failure
        self.changed.set()
        return True

    async def give_back(self, command_id: int) -> None:
        self._reach()
        self.said[command_id] = "given back"
        self.changed.set()

    async def all_said(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.said) < count:
                self.changed.clear()
                await self.changed.wait()


class _Works:
    """What the route does; ``held`` keeps it from ending."""

    def __init__(self) -> None:
        self.outcomes: deque[object] = deque()
        self.free = asyncio.Event()
        self.free.set()
        self.most = self.now = 0
        self.ended: list[str] = []

    async def answer(self, request: ControlRequest) -> object:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        finally:
            self.now -= 1
        outcome = self.outcomes.popleft() if self.outcomes else {"asked": msgspec.json.decode(request.body)}
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def rows() -> _Rows:
    """Give the rows."""
    return _Rows()


@pytest.fixture
def works() -> _Works:
    """Give what is done."""
    return _Works()


@asynccontextmanager
async def _running(rows: _Rows, works: _Works) -> AsyncIterator[FakeClock]:
    clock = FakeClock()
    routes = [ControlRoute("POST", "/do", works.answer)]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Commanding(rows, routes, lambda: {7}, clock).run())
        yield clock
        task.cancel()


async def _until(clock: FakeClock, condition: Callable[[], bool]) -> None:
    """Wait for what comes of the loop's turns."""
    async with asyncio.timeout(5):
        while not condition():
            clock.asleep.clear()
            await clock.asleep.wait()


async def test_a_command_is_answered(rows: _Rows, works: _Works) -> None:
    """By the route of its path, with its question; rows are asked for with the accounts that are at work here."""
    rows.open.append(_Row(1, question=b'"x"'))
    async with _running(rows, works):
        await rows.all_said(1)
    assert {1: {"asked": "x"}} == rows.said
    assert {7} == rows.ready


async def test_a_failure_goes_back_as_it_is(rows: _Rows, works: _Works) -> None:
    """Also the one of a path that only another version knows, and that of a defect, which is logged and no more."""
    works.outcomes += [ThrottledError("slow down", retry_after_secs=3.0), ValueError("secret")]
    rows.open += [_Row(1), _Row(2), _Row(3, path="/new")]
    with capture_logs() as logs:
        async with _running(rows, works):
            await rows.all_said(3)
    failures = {number: msgspec.json.decode(_bytes(said), type=SentFailure) for number, said in rows.said.items()}
    assert ["ThrottledError", "McwatchError", "PermanentError"] == [failures[number].kind for number in (1, 2, 3)]
    assert 3.0 == failures[1].retry_after_secs
    assert "secret" not in failures[2].error
    assert "another version" in failures[3].error
    assert ["command_defect"] == [entry["event"] for entry in logs]


def _bytes(said: object) -> bytes:
    assert isinstance(said, bytes)
    return said


async def test_without_the_account_it_is_the_next_holders(rows: _Rows, works: _Works) -> None:
    """Whoever lost the lease in the middle leaves it, unanswered."""
    works.outcomes.append(LeaseLost("gone"))
    rows.open.append(_Row(1))
    async with _running(rows, works):
        await rows.all_said(1)
    assert {1: "given back"} == rows.said


async def test_eight_are_done_side_by_side(rows: _Rows, works: _Works) -> None:
    """The others wait in the store, for whichever replica has room."""
    works.free.clear()
    rows.open += [_Row(number) for number in range(10)]
    async with _running(rows, works) as clock:
        await _until(clock, lambda: len(clock.sleeps) >= 20)
        assert (8, 2) == (works.now, len(rows.open))
        works.free.set()
        await rows.all_said(10)
    assert 8 == works.most


async def test_what_nobody_waits_for_any_more_ends(rows: _Rows, works: _Works) -> None:
    """And is free again, for it may have been the store that was away from whoever asked."""
    works.free.clear()
    rows.open += [_Row(1), _Row(2)]
    async with _running(rows, works) as clock:
        await _until(clock, lambda: works.now == 2)
        rows.forsaken.add(1)
        await rows.all_said(1)
        assert {1: "given back"} == rows.said
        works.free.set()
        await rows.all_said(2)
    assert ["cancelled"] == works.ended


async def test_an_absent_store_is_waited_for(rows: _Rows, works: _Works) -> None:
    """What was done is said when it is back, not done again; the log says once that it is away."""
    works.free.clear()
    rows.open.append(_Row(1))
    rows.away = 3
    with capture_logs() as logs:
        async with _running(rows, works) as clock:
            await _until(clock, lambda: works.now == 1)
            rows.away = 5
            works.free.set()
            await rows.all_said(1)
    assert 1 == works.most
    assert ["commands_wait", "commands_wait"] == [entry["event"] for entry in logs]


async def test_a_long_command_is_no_hang_of_the_loop(rows: _Rows, works: _Works) -> None:
    """The loop goes on looking, and what it has begun is not watched for turning."""
    works.free.clear()
    rows.open.append(_Row(1))
    clock = FakeClock()
    liveness = Liveness(clock.monotonic)
    commanding = Commanding(rows, [ControlRoute("POST", "/do", works.answer)], set, clock)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(liveness.watched("commands", commanding.run))
        await _until(clock, lambda: clock.monotonic() > 1000.0 or bool(liveness.stuck(clock.monotonic())))
        assert [] == liveness.stuck(clock.monotonic())
        task.cancel()
    assert 1 == works.most
