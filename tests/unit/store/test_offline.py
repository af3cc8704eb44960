"""Reading a store beside the daemon: what is told, and that nothing changes."""

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest

from mcwatch.domain.errors import StoreCorrupt, StoreUnavailable
from mcwatch.store.sqlite import OfflineStore
from mcwatch.store.sqlite.connection import migrations, open_writer
from tests.contract.store_kit import FINDER, SqliteEngine, append_numbers, figures_of
from tests.unit.store.processes import COMMIT, line_of, start

_LIMIT = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the place of the store."""
    return tmp_path / "mcwatch.db"


def _files(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


async def _fill(path: Path) -> None:
    engine = SqliteEngine(path)
    async with engine.open() as store:
        feed = await store.feed("acme", FINDER)
        await store.enrol({"hook": False})
        await append_numbers(store, engine, feed, range(3))
        await store.commit_page(feed, lambda page: page.set_cursor("all", b"1"))


def _assert_told(path: Path) -> None:
    with OfflineStore(path, _LIMIT) as store:
        snapshot = store.snapshot()
        assert 3 == figures_of(snapshot, "hook").waiting
        assert 0 < snapshot.outbox_bytes < snapshot.outbox_limit_bytes
        assert {"all": b"1"} == store.progress("acme", FINDER).cursors
        assert {} == store.progress("corp", FINDER).cursors
        assert [] == store.dead_letters(None, 10)


async def test_reading_changes_no_file(path: Path) -> None:
    """A store closed in order is told from without a lock, and its directory is as before."""
    await _fill(path)
    before = _files(path.parent)
    _assert_told(path)
    assert before == _files(path.parent)


async def test_reading_keeps_no_daemon_away(path: Path) -> None:
    """A store opened while it is being read opens, and one that is open can be read."""
    await _fill(path)
    with OfflineStore(path, _LIMIT) as reading:
        async with SqliteEngine(path).open() as store:
            feed = await store.feed("acme", FINDER)
            await store.commit_page(feed, lambda page: page.set_cursor("all", b"2"))
            with OfflineStore(path, _LIMIT) as beside:
                assert {"all": b"2"} == beside.progress("acme", FINDER).cursors
        assert 3 == figures_of(reading.snapshot(), "hook").waiting


@pytest.mark.timeout(20)
async def test_log_left_by_a_crash_is_read(path: Path) -> None:
    """What a killed process had committed is told; the log stays for the next start."""
    process = await start(COMMIT, path)
    for _ in range(5):
        await line_of(process)
    process.kill()
    assert process.stdout is not None
    await process.stdout.read()
    await process.wait()
    log = path.with_name("mcwatch.db-wal").read_bytes()
    with OfflineStore(path, _LIMIT) as store:
        assert store.snapshot().feeds[0].new >= 5
    assert log == path.with_name("mcwatch.db-wal").read_bytes()


def _newer(path: Path) -> None:
    connection = open_writer(path)
    connection.execute(f"PRAGMA user_version={len(migrations()) + 1}")
    connection.close()


def _older(path: Path) -> None:
    connection = open_writer(path)
    connection.execute(f"PRAGMA user_version={len(migrations()) - 1}")
    connection.close()


def _cut(path: Path) -> None:
    open_writer(path).close()
    os.truncate(path, path.stat().st_size - 8192)


def _foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()


@pytest.mark.parametrize(
    ("make", "meaning", "says"),
    [
        (Path.touch, StoreUnavailable, "older mcwatch"),
        (_older, StoreUnavailable, "older mcwatch"),
        (_newer, StoreCorrupt, "newer mcwatch"),
        (_cut, StoreCorrupt, "damaged|cut short"),
        (_foreign, StoreCorrupt, "another program"),
        (lambda path: None, StoreUnavailable, "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_told_from_is_named(path: Path, make: object, meaning: type[Exception], says: str) -> None:
    """A store that is missing, damaged, foreign, older or newer is named as such, with a remedy, and left as it is."""
    assert callable(make)
    make(path)
    before = _files(path.parent)
    with pytest.raises((StoreCorrupt, StoreUnavailable), match=says) as caught, OfflineStore(path, _LIMIT):
        pytest.fail("it was opened")
    assert meaning is caught.type
    assert caught.value.remedy
    assert before == _files(path.parent)
