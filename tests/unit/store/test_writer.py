"""The writing thread: who shares a commit, who fails alone, and what happens once the disk lies."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.store.sqlite.connection import open_writer
from mcwatch.store.sqlite.writer import Work, Writer


class _Bench:
    """A writer under test with the seconds of its commits and a work that holds it up."""

    def __init__(self, path: Path) -> None:
        self.commits: list[float] = []
        self.connection = open_writer(path)
        self.writer = Writer(self.connection, path, self.commits.append, lambda: 0.0)
        self.held, self.release = threading.Event(), threading.Event()
        self.writer.start()

    def submit(self, work: Work) -> "asyncio.Future[object]":
        return self.writer.submit(work, asyncio.get_running_loop())

    async def hold(self) -> "asyncio.Future[object]":
        """Keep the thread busy until ``release`` is set, so that what follows waits together."""

        def work(_: sqlite3.Connection) -> None:
            self.held.set()
            assert self.release.wait(5)

        future = self.submit(work)
        assert await asyncio.to_thread(self.held.wait, 5)
        return future


def _insert(name: str) -> Work:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO account (name) VALUES (?)", (name,))
        return name

    return work


def _names(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM account ORDER BY id")]
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the place of the file."""
    return tmp_path / "mcwatch.db"


@pytest.fixture
async def bench(path: Path) -> AsyncIterator[_Bench]:
    """Give a running writer."""
    bench = _Bench(path)
    yield bench
    bench.release.set()
    await asyncio.to_thread(bench.writer.stop)


async def _outcome(future: "asyncio.Future[object]") -> object:
    try:
        return await future
    except Exception as error:  # noqa: BLE001 - handed to the test
        return error


async def test_waiting_works_share_a_commit(bench: _Bench, path: Path) -> None:
    """Fifty works that wait together are committed in one transaction, in order, each with its own result."""
    held = await bench.hold()
    futures = [bench.submit(_insert(f"n{number}")) for number in range(50)]
    bench.release.set()
    await held
    assert [f"n{number}" for number in range(50)] == [await future for future in futures]
    assert 1 == len(bench.commits), "what held the thread changed nothing, all the others are one commit"
    assert [f"n{number}" for number in range(50)] == _names(path)


async def test_failing_work_fails_alone(bench: _Bench, path: Path) -> None:
    """Of a group only the work at fault fails; the others are done once each, in order."""
    held = await bench.hold()
    runs: list[str] = []

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO account (name) VALUES ('half')")
        runs.append("fail")
        raise ValueError("on purpose")

    futures = [bench.submit(_insert("a")), bench.submit(fail), bench.submit(_insert("b")), bench.submit(_insert("a"))]
    bench.release.set()
    await held
    outcomes = [await _outcome(future) for future in futures]
    assert "a" == outcomes[0]
    assert isinstance(outcomes[1], ValueError)
    assert "b" == outcomes[2]
    assert McwatchError is type(outcomes[3]), "a library error is translated"
    assert isinstance(outcomes[3].__cause__, sqlite3.IntegrityError)
    assert ["a", "b"] == _names(path)
    assert 2 == len(runs), "once in the group, once alone"
    assert "c" == await bench.submit(_insert("c"))


async def test_result_is_told_when_nobody_waits_any_more(bench: _Bench, path: Path) -> None:
    """Cancelling the future neither stops the work nor keeps its result from the callback."""
    held = await bench.hold()
    told = asyncio.Event()
    results: list[object] = []

    def after(result: object) -> None:
        results.append(result)
        told.set()

    future = bench.writer.submit(_insert("a"), asyncio.get_running_loop(), after)
    future.cancel()
    bench.release.set()
    await held
    await told.wait()
    assert ["a"] == results
    assert ["a"] == _names(path)


async def test_call_needs_no_transaction(bench: _Bench) -> None:
    """A call is answered after the works before it, runs ahead of those behind it, and is measured as no commit."""
    held = await bench.hold()
    done: list[str] = []
    first = bench.submit(_insert("a"))
    call = bench.writer.call(lambda: done.append("call"), asyncio.get_running_loop())

    def later(_: sqlite3.Connection) -> None:
        done.append("work")

    last = bench.submit(later)
    bench.release.set()
    assert await call is None
    assert first.done()
    assert held.done()
    await last
    assert ["call", "work"] == done
    assert 1 == len(bench.commits)


async def test_want_of_memory_is_no_end(bench: _Bench) -> None:
    """Work that finds no memory is undone as a store that is unavailable, and the next goes through."""

    def hungry(_: sqlite3.Connection) -> None:
        raise MemoryError

    assert StoreUnavailable is type(await _outcome(bench.submit(hungry)))
    assert "a" == await bench.submit(_insert("a"))


async def test_stopping_finishes_what_is_queued(path: Path) -> None:
    """Works queued before the stop are committed before the file is closed."""
    bench = _Bench(path)
    held = await bench.hold()
    futures = [bench.submit(_insert(f"n{number}")) for number in range(200)]
    stopping = asyncio.ensure_future(asyncio.to_thread(bench.writer.stop))
    await asyncio.sleep(0)
    bench.release.set()
    await stopping
    await held
    assert 200 == len([await future for future in futures])
    assert 200 == len(_names(path))


class _LyingDisk:
    """A connection whose first commit fails as a failed fsync does, and whose later ones would seem to work."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real = real
        self.commits = 0

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.commits += 1
            if self.commits == 1:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
                raise error
        return self._real.execute(sql, *arguments)  # type: ignore[arg-type]  # passed through as it came

    @property
    def in_transaction(self) -> bool:
        return self._real.in_transaction

    @property
    def total_changes(self) -> int:
        return self._real.total_changes

    def close(self) -> None:
        self._real.close()


async def test_nothing_is_written_after_a_failed_fsync(path: Path) -> None:
    """After the disk has failed once no work is tried again, neither that of the same group nor a later one."""
    bench = _Bench(path)
    disk = _LyingDisk(bench.connection)
    held = await bench.hold()
    bench.writer._connection = disk  # type: ignore[assignment]  # stands in for it
    futures = [bench.submit(_insert("a")), bench.submit(_insert("b"))]
    bench.release.set()
    # The work that held the thread commits on the failing disk too: the first failure is its own.
    outcomes = [await _outcome(future) for future in (held, *futures)]
    later = await _outcome(bench.submit(_insert("c")))
    assert [StoreCorrupt] * 4 == [type(outcome) for outcome in (*outcomes, later)]
    assert 1 == disk.commits
    assert [] == bench.commits
    await asyncio.to_thread(bench.writer.stop)
    assert [] == _names(path)
