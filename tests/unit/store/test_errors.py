"""What SQLite's errors mean."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.store.sqlite.errors import StoreFull, translate, translated


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
    ],
)
def test_error_has_its_meaning(code: int, meaning: type[McwatchError], tmp_path: Path) -> None:
    """Each of SQLite's codes becomes the error whose consequence fits, with the file's name and a remedy."""
    found = translate(_error(code), tmp_path / "mcwatch.db")
    assert meaning is type(found)
    assert str(tmp_path / "mcwatch.db") in str(found)
    assert found.remedy


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE])
def test_write_error_on_a_full_disk_is_a_full_disk(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log or index that cannot grow on a disk without room is no damage; a failed fsync always is."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    assert StoreFull is type(translate(_error(code), tmp_path / "mcwatch.db"))
    assert StoreCorrupt is type(translate(_error(sqlite3.SQLITE_IOERR_FSYNC), tmp_path / "mcwatch.db"))


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
