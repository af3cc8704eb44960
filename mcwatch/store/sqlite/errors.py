"""What SQLite's errors mean for mcwatch."""

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when a file cannot grow: disk full, quota used up, larger than files may be."""

_PROBE_BYTES = 64 * 1024
_PRIMARY = 0xFF
_UNUSABLE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNWRITTEN = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})

_OUR_FAULT = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)


class StoreFull(StoreUnavailable):
    """No room on the disk: nothing was written."""


class StoreReadOnly(StoreUnavailable):
    """The file system takes no writes: nothing was written."""


def full(path: Path) -> StoreFull:
    """Return the error that says so."""
    return StoreFull(
        f"the disk that holds the store {path} is full, or a quota or the limit of a file's size is reached",
        remedy="make room on that disk; polling goes on by itself then",
    )


def read_only(path: Path) -> StoreReadOnly:
    """Return the error that says so."""
    return StoreReadOnly(
        f"the file system that holds the store {path} is read-only",
        remedy="see the system's log for why it has turned so, check the disk, and mount it writable; mcwatch goes on "
        "by itself then",
    )


def translate(error: sqlite3.Error | MemoryError, path: Path) -> McwatchError:
    """Return the error of our tree for one of SQLite's.

    SQLite says SQLITE_FULL for ENOSPC alone; a used-up quota, a file that may not grow, a shared-memory file without
    room and a file system that has turned read-only show as I/O errors. Any other I/O error means that what was written
    may not be there, and then nothing may be written any more. A statement that is wrong in itself is our own fault,
    and asking again would not mend it.
    """
    if isinstance(error, _OUR_FAULT):
        return McwatchError(f"the store refused what it was asked to do ({type(error).__name__}): a defect in mcwatch")
    code = getattr(error, "sqlite_errorcode", None) or 0
    # Python raises MemoryError in place of SQLITE_NOMEM.
    if isinstance(error, MemoryError) or code in {sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR_NOMEM}:
        return StoreUnavailable(
            f"there was no memory for what the store {path} was asked to do", remedy="give mcwatch more memory"
        )
    if code & _PRIMARY == sqlite3.SQLITE_FULL:
        return full(path)
    if code in _UNWRITTEN and (unwritable := why_unwritable(path)):
        return unwritable
    return _fatal(error, code & _PRIMARY, path) or StoreUnavailable(
        f"the store {path} takes no writes now ({error})",
        remedy="check that the file and its directory are writable and that nothing else uses the file",
    )


def _fatal(error: sqlite3.Error, primary: int, path: Path) -> StoreCorrupt | None:
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
    return None


def why_unwritable(path: Path) -> StoreUnavailable | None:
    """Return why a file beside the store cannot be written where the store's files end, by trying it; None if it can.

    Only what leaves the store as it was counts: no room, or a read-only file system.
    """
    try:
        files = (path, path.with_name(path.name + "-wal"))
        end = max(file.stat().st_size if file.exists() else 0 for file in files)
        with tempfile.TemporaryFile(dir=path.parent) as file:
            # The gap before ``end`` takes no room, but counts for the limit of a file's size.
            data = bytes(_PROBE_BYTES)
            while data:
                written = os.pwrite(file.fileno(), data, end)
                data, end = data[written:], end + written
            # A network's file system says only then that a quota is used up.
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in NO_ROOM:
            return full(path)
        return read_only(path) if error.errno == errno.EROFS else None
    return None


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate SQLite's errors in the block."""
    try:
        yield
    except (sqlite3.Error, MemoryError) as error:
        raise translate(error, path) from error
