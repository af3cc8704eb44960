"""The threads that write: what waits goes together, and only what is at fault fails."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import psycopg
import pytest

from mcwatch.domain.errors import LeaseLost, McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.store.postgres import PostgresOptions
from mcwatch.store.postgres.connection import Connection, Limits, Opened, connect
from mcwatch.store.postgres.errors import StoreContended
from mcwatch.store.postgres.link import Link
from mcwatch.store.postgres.worker import Held, Job, Reader, Work, Worker
from mcwatch.store.postgres.writer import Writer
from tests.fakes.clock import FakeClock
from tests.integration.postgres.replicas import scalar

_HELD = {1, 2}


def _fence(_: Connection, account_ids: Collection[int]) -> Collection[int]:
    return _HELD.intersection(account_ids)


def _link(url: str, **limits: float) -> Link:
    options = PostgresOptions(url=lambda: url, replica_name="writer")
    clock = FakeClock()
    link = Link(
        lambda: connect(options, Limits(**limits)), monotonic=clock.monotonic, chance=Random(1), patience_secs=0.1
    )
    link.open()
    return link


@contextmanager
def _writer(url: str, commits: list[float] | None = None, **limits: float) -> Iterator[Writer]:
    """Give a writer that has yet to be started, so that what is put before goes together."""
    seen = [] if commits is None else commits
    clock = FakeClock()
    writer = Writer(
        "test", _link(url, **limits), "the database", fence=_fence, observe=seen.append, monotonic=clock.monotonic
    )
    yield writer
    writer.finish()
    writer.join()


def _put(worker: Worker, work: Work | None, *accounts: int, alone: bool = False) -> "asyncio.Future[Any]":
    loop = asyncio.get_running_loop()
    return worker.put(Job(work, loop.create_future(), loop, None, frozenset(accounts), alone))


def _insert(name: str) -> Work:
    return lambda connection, _: connection.execute("INSERT INTO account (name) VALUES (%s)", (name,)).rowcount


def _fail(_: Connection, __: Held) -> None:
    raise ValueError("mine")


async def test_what_waits_shares_one_commit(url: str) -> None:
    """Jobs that wait are committed together, except one that goes alone."""
    commits = list[float]()
    with _writer(url, commits) as writer:
        jobs = [_put(writer, _insert(f"account-{number}")) for number in range(5)]
        jobs.append(_put(writer, _insert("alone"), alone=True))
        writer.start()
        assert [1] * 6 == [await job for job in jobs]

    assert 2 == len(commits)
    assert 6 == scalar(url, "SELECT count(*) FROM account")


async def test_only_the_job_at_fault_fails(url: str) -> None:
    """A job that fails undoes nothing of the others, whether it fails in the database or out of it."""
    with _writer(url) as writer:
        good = [_put(writer, _insert(name)) for name in ("one", "two")]
        bad = [_put(writer, _insert("one")), _put(writer, _fail)]
        writer.start()
        assert [1, 1] == [await job for job in good]
        with pytest.raises(McwatchError, match=r"UniqueViolation.*defect"):
            await bad[0]
        with pytest.raises(ValueError, match="mine"):
            await bad[1]

    assert 2 == scalar(url, "SELECT count(*) FROM account")


async def test_job_learns_which_of_its_accounts_are_held(url: str) -> None:
    """Leases are proved for all jobs in one statement, and each hears of its own accounts only."""

    def refuse(_: Connection, __: Held) -> None:
        raise LeaseLost("gone")

    with _writer(url) as writer:
        held = [_put(writer, lambda _, held: sorted(held), *accounts) for accounts in ((1,), (2, 3), ())]
        lost = _put(writer, refuse, 3)
        writer.start()
        assert [[1], [2], []] == [await job for job in held]
        with pytest.raises(LeaseLost):
            await lost


async def test_failed_statement_cannot_be_passed_over(url: str) -> None:
    """Work that hides a failed statement fails all the same: its transaction is not committed."""

    def hide(connection: Connection, _: Held) -> None:
        connection.execute("INSERT INTO account (name) VALUES ('hidden')")
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1 / 0")

    with _writer(url) as writer:
        hidden = _put(writer, hide)
        writer.start()
        with pytest.raises(McwatchError, match="defect"):
            await hidden

    assert 0 == scalar(url, "SELECT count(*) FROM account")


async def test_deadlocked_work_is_done_once_more(url: str) -> None:
    """Work that loses to somebody else is tried a second time before anybody hears of it."""
    tries = list[int]()

    def contend(connection: Connection, _: Held) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        connection.execute("INSERT INTO account (name) VALUES ('second')")
        return "done"

    with _writer(url) as writer:
        job = _put(writer, contend)
        writer.start()
        assert "done" == await job

    assert 1 == scalar(url, "SELECT count(*) FROM account")


async def test_long_lock_is_given_up(url: str) -> None:
    """A row that somebody else keeps locked costs a bounded wait and a StoreUnavailable."""
    with psycopg.connect(url) as other, _writer(url, lock_secs=0.05) as writer:
        other.execute("INSERT INTO account (name) VALUES ('mine')")
        waiting = _put(writer, _insert("mine"))
        writer.start()
        with pytest.raises(StoreContended, match="busy"):
            await waiting
        other.rollback()


async def test_damage_ends_all_writing(url: str) -> None:
    """After the server has reported damage nothing is written any more."""

    def find_damage(_: Connection, __: Held) -> None:
        raise psycopg.errors.DataCorrupted("invalid page in block 7")

    with _writer(url) as writer:
        damaged = _put(writer, find_damage)
        writer.start()
        with pytest.raises(StoreCorrupt, match="invalid page"):
            await damaged
        with pytest.raises(StoreCorrupt):
            await _put(writer, _insert("late"))


async def _end(url: str, link: Link) -> None:
    number = link.connection().info.backend_pid
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s, 1000)", (number,))


@pytest.fixture
async def reader(url: str) -> AsyncIterator[Reader]:
    """Give a thread that reads."""
    reader = Reader("test", _link(url), "the database")
    reader.start()
    yield reader
    reader.finish()
    reader.join()


async def test_connection_that_was_closed_meanwhile_goes_unnoticed(url: str, reader: Reader) -> None:
    """A session that the server has ended while it was idle is replaced, for work and for questions."""
    with _writer(url) as writer:
        writer.start()
        await _put(writer, _insert("before"))
        await _end(url, writer.link)
        await _end(url, reader.link)

        assert 1 == await _put(writer, _insert("after"))
        assert [(2,)] == await _put(
            reader, lambda connection, _: connection.execute("SELECT count(*) FROM account").fetchall()
        )


async def test_nobody_waits_for_ever_for_a_server_that_is_gone(url: str) -> None:
    """When no connection can be made, all that waits is told so, and a job without work still ends."""
    with _writer(url) as writer:
        jobs = [_put(writer, _insert(name)) for name in ("one", "two")]
        ping = _put(writer, None)
        writer.link.close()
        writer.link._connect = _away
        writer.start()

        for job in jobs:
            with pytest.raises(StoreUnavailable, match="gone"):
                await job
        await ping


def _away() -> Opened:
    raise StoreUnavailable("gone")


async def test_server_that_stands_still_is_cut_off(url: str) -> None:
    """A thread that waits for a silent server is freed from outside, and works on over a new connection."""
    clock = FakeClock()
    options = PostgresOptions(url=lambda: url, replica_name="reader")
    link = Link(lambda: connect(options), monotonic=clock.monotonic, chance=Random(1), patience_secs=1)
    link.open()
    reader = Reader("test", link, "the database")
    reader.start()
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stand_still(connection: Connection, _: Held) -> None:
        loop.call_soon_threadsafe(began.set)
        connection.execute("SELECT pg_sleep(9)")

    silent = _put(reader, stand_still)
    await began.wait()
    assert not link.cut_if_silent(13)
    clock.advance(14)
    assert link.cut_if_silent(13)
    # A question is asked twice: the second time it must be let off too.
    began.clear()
    await began.wait()
    clock.advance(14)
    assert link.cut_if_silent(13)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await silent

    assert [(1,)] == await _put(reader, lambda connection, _: connection.execute("SELECT 1").fetchall())
    reader.finish()
    reader.join()
