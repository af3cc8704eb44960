"""A store with something in it, for commands that do without a daemon."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mcwatch.app import offline
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.domain.record import Unreadable
from mcwatch.interfaces import Store
from tests.contract.store_kit import FINDER, SqliteEngine, append_numbers, rejected

T = TypeVar("T")


def in_store(path: Path, work: Callable[[Store, SqliteEngine], Coroutine[Any, Any, T]]) -> T:
    """Do something with the store while no command has it."""

    async def run() -> T:
        engine = SqliteEngine(path)
        async with engine.open() as store:
            return await work(store, engine)

    return asyncio.run(run())


def fill(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep ten events that ``archive`` has passed, two of them dead letters (1, 2), and an unreadable row (3).

    The process keeps its logging, which other tests listen to.
    """
    monkeypatch.setattr(offline, "configure", lambda _: None)

    async def work(store: Store, engine: SqliteEngine) -> None:
        feed = await store.feed("acme", FINDER)
        await store.enrol({"archive": False, "former": False})
        await append_numbers(store, engine, feed, range(10))
        letters = [rejected(feed.account_id, number) for number in (4, 5)]
        await store.settle(Settlement("archive", [Progress(feed.account_id, 10, 8, 0)], letters))
        rows = [Unreadable(b"\xff amy@corp.example", "why")]
        await store.commit_page(feed, lambda page: page.quarantine(rows, engine.clock.now()))

    in_store(path, work)


def lines(path: Path) -> list[bytes]:
    """Return what the destination has, nothing where it has no file."""
    with suppress(FileNotFoundError):
        return path.read_bytes().splitlines()
    return []
