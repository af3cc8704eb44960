"""What SQLite's errors mean."""

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.store.sqlite.errors import StoreFull, StoreReadOnly, translate, translated


def _error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_BUSY, StoreUnavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable),
        (sqlite3.SQLITE_LOCKED, StoreUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable),
        (sqlite3.SQLITE_READONLY, StoreUnavailable),
        (sqlite3.SQLITE_READONLY_DBMOVED, StoreUnavailable),
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt),
        (sqlite3.SQLITE_CORRUPT_VTAB, StoreCorrupt),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt),
        (sqlite3.SQLITE_IOERR, StoreCorrupt),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreCorrupt),
        (sqlite3.SQLITE_IOERR_READ, StoreCorrupt),
        (sqlite3.SQLITE_IOERR_WRITE, StoreCorrupt),
        (sqlite3.SQLITE_IOERR_SHMSIZE, StoreCorrupt),
        (sqlite3.SQLITE_NOMEM, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_NOMEM, StoreUnavailable),
    ],
)
def test_error_has_its_meaning(code: int, meaning: type[McwatchError], tmp_path: Path) -> None:
    """Each of SQLite's codes becomes the error whose consequence fits, with the file's name and a remedy."""
    found = translate(_error(code), tmp_path / "mcwatch.db")
    assert meaning is type(found)
    assert str(tmp_path / "mcwatch.db") in str(found)
    assert found.remedy


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE])
@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EFBIG, StoreFull),
        (errno.EROFS, StoreReadOnly),
        (errno.EIO, StoreCorrupt),
    ],
)
def test_write_error_without_room_is_a_full_disk(
    code: int, number: int, meaning: type[McwatchError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log or index that cannot grow for want of room is no damage; a failed fsync or read always is."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", refuse)
    path = tmp_path / "mcwatch.db"
    assert meaning is type(translate(_error(code), path))
    for fatal in (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_READ):
        assert StoreCorrupt is type(translate(_error(fatal), path))
    assert [] == list(tmp_path.iterdir()), "nothing stays of the try"


_LIMITED = """
import asyncio, resource, sqlite3, sys
from pathlib import Path
from mcwatch.domain.errors import StoreUnavailable
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.contract.store_kit import append_numbers
from tests.fakes.clock import FakeClock

class Engine:
    clock = FakeClock()

async def main():
    options = StoreOptions(Path(sys.argv[1]), reserve_bytes=0)
    async with SqliteStore(options, clock=Engine.clock, metrics=Metrics()) as store:
        feed = await store.feed("acme", "message_finder")
        committed = 0
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, most))
        try:
            while True:
                await append_numbers(store, Engine, feed, range(committed, committed + 1))
                committed += 1
        except StoreUnavailable as error:
            print(type(error).__name__, type(error.__cause__).__name__, error.__cause__.sqlite_errorname)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        assert await store.recover()
        await append_numbers(store, Engine, feed, range(committed, committed + 1))
        assert committed + 1 == store.heads()[feed.account_id]

asyncio.run(main())
"""


@pytest.mark.timeout(20)
def test_limit_of_a_files_size_is_a_full_disk(tmp_path: Path) -> None:
    """A log that may not grow (EFBIG) pauses the store of a real process, which goes on once it may."""
    root = Path(__file__).parents[3]
    arguments = [sys.executable, "-c", _LIMITED, str(tmp_path / "mcwatch.db")]
    done = subprocess.run(arguments, cwd=root, capture_output=True, text=True)
    assert "" == "".join(line for line in done.stderr.splitlines() if "Error" in line)
    assert "StoreFull OperationalError SQLITE_IOERR_WRITE" in done.stdout.splitlines()


@pytest.mark.parametrize("kind", [sqlite3.ProgrammingError, sqlite3.IntegrityError])
def test_wrong_statement_is_our_own_fault(tmp_path: Path, kind: type[sqlite3.Error]) -> None:
    """A statement that can never work says nothing against the file, and asking again would not mend it."""
    assert McwatchError is type(translate(kind("no"), tmp_path / "mcwatch.db"))


def test_cause_is_kept(tmp_path: Path) -> None:
    """The library's error stays as the cause; other errors pass as they are."""
    cause = _error(sqlite3.SQLITE_BUSY)
    with pytest.raises(StoreUnavailable) as caught, translated(tmp_path):
        raise cause
    assert cause is caught.value.__cause__
    with pytest.raises(KeyError), translated(tmp_path):
        raise KeyError
