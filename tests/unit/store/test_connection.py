"""Opening the file: whose it may be, what is set, what is refused and left as it was."""

import errno
import fcntl
import hashlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.store.sqlite import threads as store_threads
from mcwatch.store.sqlite.connection import APPLICATION_ID, StoreLock, migrations, open_reader, open_writer
from mcwatch.store.sqlite.errors import full
from tests.contract.store_kit import SqliteEngine, append_numbers
from tests.unit.store.processes import HOLD, end, line_of, start
from tests.unit.store.stores import opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the place of a store that does not exist yet."""
    return tmp_path / "mcwatch.db"


def _digests(folder: Path) -> dict[str, str]:
    """Return what every file of a folder holds; the index of a log (-shm) is no content and the lock is ours."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if not file.name.endswith(("-shm", ".lock"))
    }


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_new_file_is_private_and_durable(path: Path) -> None:
    """A new file is readable by its owner alone, carries our mark, and every commit waits for the disk."""
    old = os.umask(0)
    try:
        connection = open_writer(path)
    finally:
        os.umask(old)
    try:
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert {0o600} == set(modes.values()), modes
        assert "wal" == _pragma(connection, "journal_mode")
        assert 2 == _pragma(connection, "synchronous"), "2 is FULL"
        assert APPLICATION_ID == _pragma(connection, "application_id")
        assert 1 == _pragma(connection, "foreign_keys")
        assert len(migrations()) == _pragma(connection, "user_version")
    finally:
        connection.close()


async def test_all_files_of_a_store_are_private(path: Path) -> None:
    """The lock, the log and the reserve are as private as the store."""
    old = os.umask(0)
    try:
        async with opened(path, reserve_bytes=4096):
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert {f"mcwatch.db{end}" for end in ("", ".lock", "-wal", "-shm", ".reserve")} == set(modes)
    assert {0o600} == set(modes.values()), modes


async def test_settings_hold_after_reopening(path: Path) -> None:
    """Durability is set at every opening, not only when the file is made."""
    open_writer(path).close()
    connection = open_writer(path)
    assert ("wal", 2) == (_pragma(connection, "journal_mode"), _pragma(connection, "synchronous"))
    connection.close()


def test_reader_cannot_write(path: Path) -> None:
    """The reading connection refuses to write."""
    open_writer(path).close()
    reader = open_reader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM account")
    reader.close()


def test_migrating_is_idempotent(path: Path) -> None:
    """Opening a file of this version again changes neither its schema nor its contents."""
    connection = open_writer(path)
    connection.execute("INSERT INTO account (name, head) VALUES ('acme', 7)")
    connection.close()
    before = _digests(path.parent)
    connection = open_writer(path)
    assert [("acme", 7)] == connection.execute("SELECT name, head FROM account").fetchall()
    assert "ok" == _pragma(connection, "integrity_check")
    connection.close()
    assert before == _digests(path.parent)


def test_missing_directory_is_made(tmp_path: Path) -> None:
    """A store in a directory that does not exist yet makes it."""
    path = tmp_path / "var" / "lib" / "mcwatch.db"
    with StoreLock(path):
        open_writer(path).close()
    assert path.exists()


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()


def _foreign_with_log(path: Path) -> None:
    """Leave another program's file as a crash does: with its last commits in the log."""
    program = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA journal_mode=WAL')\n"
        "connection.execute('CREATE TABLE theirs (a)')\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert path.with_name(path.name + "-wal").stat().st_size


def _marked_by_another(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id=4711")
    connection.close()


def _newer(path: Path) -> None:
    connection = open_writer(path)
    connection.execute(f"PRAGMA user_version={len(migrations()) + 1}")
    connection.close()


def _garbage(path: Path) -> None:
    path.write_bytes(b"From: somebody\n" * 1000)


def _short_garbage(path: Path) -> None:
    path.write_bytes(b"listen: 127.0.0.1\n")


def _truncated(path: Path) -> None:
    connection = open_writer(path)
    connection.execute("INSERT INTO account (name) VALUES ('acme')")
    connection.close()
    os.truncate(path, path.stat().st_size - 3 * 8192)


def _half_a_page(path: Path) -> None:
    open_writer(path).close()
    os.truncate(path, 4000)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_foreign, "another program"),
        (_foreign_with_log, "another program"),
        (_marked_by_another, "another program"),
        (_newer, "newer mcwatch"),
        (_garbage, "no mcwatch store"),
        (_short_garbage, "no mcwatch store"),
        (_truncated, "damaged|cut short"),
        (_half_a_page, "damaged|cut short"),
    ],
)
async def test_what_is_not_ours_is_refused_unchanged(path: Path, make: object, says: str) -> None:
    """A file that is foreign, newer or damaged is refused by name with a remedy, and not a byte of it changes."""
    assert callable(make)
    make(path)
    before = _digests(path.parent)
    with pytest.raises(StoreCorrupt, match=says) as caught:
        async with opened(path):
            pytest.fail("it was opened")
    assert str(path) in str(caught.value)
    assert "left as it is" in caught.value.remedy or "left as it was" in caught.value.remedy
    assert before == _digests(path.parent)


async def test_place_that_cannot_hold_a_store_is_named(tmp_path: Path) -> None:
    """Where no file can be made, the error names the place and the remedy; root meets a file as directory."""
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(StoreUnavailable, match="cannot be opened") as caught:
        async with opened(tmp_path / "file" / "mcwatch.db"):
            pytest.fail("it was opened")
    assert "writable" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_unwritable_directory_is_refused(tmp_path: Path) -> None:
    """A directory that this user may not write is refused as unavailable."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        async with opened(folder / "mcwatch.db"):
            pytest.fail("it was opened")


@pytest.mark.timeout(20)
async def test_second_process_is_refused_by_pid(path: Path) -> None:
    """While another process holds the store it is refused with that process's number, and open once that one ends."""
    other = await start(HOLD, path)
    assert "open" == await line_of(other)
    with pytest.raises(StoreUnavailable, match=rf"in use by another mcwatch \(process {other.pid}\)"):
        async with opened(path):
            pytest.fail("it was opened")
    await end(other)
    async with opened(path) as store:
        assert await store.recover()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO])
def test_file_that_cannot_be_locked_is_unavailable(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A file system that cannot lock is named as such, and no descriptor is left open."""

    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    with pytest.raises(StoreUnavailable, match="cannot be locked"), StoreLock(path):
        pytest.fail("it was locked")
    assert before == len(list(descriptors.iterdir()))


def test_lock_needs_no_room_for_the_number(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the lock is held without the number of its process."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", refuse)
    with StoreLock(path), pytest.raises(StoreUnavailable, match="process unknown"), StoreLock(path):
        pytest.fail("it was locked twice")


async def test_start_on_a_full_disk_takes_the_reserve(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where opening finds no room, the reserve is given up for it, and pages wait until it could be taken back."""
    async with opened(path, reserve_bytes=4096):
        pass
    reserve = path.with_name("mcwatch.db.reserve")

    def open_if_room(place: Path) -> sqlite3.Connection:
        if reserve.exists():
            raise full(place)
        return open_writer(place)

    monkeypatch.setattr(store_threads, "open_writer", open_if_room)
    async with opened(path, reserve_bytes=4096) as store:
        assert store.full
        assert not reserve.exists()
        assert await store.recover()
        assert reserve.exists()


async def test_stale_lock_file_is_no_obstacle(path: Path) -> None:
    """A lock file left by a dead process is taken over, and names the new holder."""
    lock = path.with_name("mcwatch.db.lock")
    lock.write_text("4194303999\n")
    async with opened(path):
        assert f"{os.getpid()}\n" == lock.read_text()


async def test_store_in_use_within_the_process_is_refused(path: Path) -> None:
    """A second store on the same file in one process is refused as well, and the first one goes on."""
    async with opened(path) as store:
        with pytest.raises(McwatchError, match="in use"):
            async with opened(path):
                pytest.fail("it was opened")
        assert 0 == (await store.feed("acme", "message_finder")).account_id - 1


async def test_log_is_moved_into_the_file_at_the_end(path: Path) -> None:
    """After an orderly end one file holds everything, so that a copy of it is a backup."""
    engine = SqliteEngine(path)
    async with engine.open() as store:
        feed = await store.feed("acme", "message_finder")
        await append_numbers(store, engine, feed, range(3))
    assert not path.with_name("mcwatch.db-wal").exists()
    connection = sqlite3.connect(path)
    assert [(3,)] == connection.execute("SELECT head FROM account").fetchall()
    connection.close()
