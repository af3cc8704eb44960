"""What SQLite's errors mean for mcwatch."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable

_LITTLE_SPACE = 1 << 20
_PRIMARY = 0xFF
_UNUSABLE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FULL_AS_IO_ERROR = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})

_OUR_FAULT = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)


class StoreFull(StoreUnavailable):
    """No room on the disk: nothing was written."""


def translate(error: sqlite3.Error, path: Path) -> McwatchError:
    """Return the error of our tree for one of SQLite's.

    A full disk shows as SQLITE_FULL or, where the shared-memory file or the log cannot grow, as an I/O error; any other
    I/O error means that what was written may not be there, and then nothing may be written any more. A statement that
    is wrong in itself is our own fault, and asking again would not mend it.
    """
    if isinstance(error, _OUR_FAULT):
        return McwatchError(f"the store refused what it was asked to do ({type(error).__name__}): a defect in mcwatch")
    code = getattr(error, "sqlite_errorcode", None) or 0
    primary = code & _PRIMARY
    if primary == sqlite3.SQLITE_FULL or (code in _FULL_AS_IO_ERROR and _nearly_full(path)):
        return StoreFull(
            f"the disk that holds the store {path} is full",
            remedy="make room on that disk; polling goes on by itself then",
        )
    if primary in _UNUSABLE:
        return StoreCorrupt(
            f"the store {path} is damaged or no mcwatch store ({error})",
            remedy="it was left as it is: restore a backup, or move the file away to begin anew",
        )
    if primary == sqlite3.SQLITE_IOERR:
        return StoreCorrupt(
            f"the disk that holds the store {path} failed ({error})",
            remedy="check the disk and its file system, then start again",
        )
    return StoreUnavailable(
        f"the store {path} takes no writes now ({error})",
        remedy="check that the file and its directory are writable and that nothing else uses the file",
    )


def _nearly_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE_SPACE
    except OSError:
        return False


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate SQLite's errors in the block."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error
