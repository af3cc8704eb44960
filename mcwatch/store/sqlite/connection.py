"""Opening the file: who may, in which mode, with which schema."""

import fcntl
import os
import sqlite3
from contextlib import suppress
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from mcwatch.domain.errors import StoreCorrupt, StoreUnavailable
from mcwatch.store.sqlite.errors import NO_ROOM, full, translated

APPLICATION_ID = 0x6D637761
"""``mcwa`` in ASCII: marks the file as ours (https://sqlite.org/pragma.html#pragma_application_id)."""

PAGE_BYTES = 8192
_BUSY_MS = 10_000
_MAGIC = b"SQLite format 3\0"
_CHECKPOINT_PAGES = 2_000
"""16 MiB of log before it moves into the file: what a page of events touches again by then is written once."""


def migrations() -> list[str]:
    """Return the SQL of every schema step; the n-th leads to ``user_version`` n."""
    folder = resources.files("mcwatch.store.sqlite") / "sql"
    return [entry.read_text("utf-8") for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)]


class StoreLock:
    """Keeps a second process off the file: an advisory lock on a file beside it, freed by the kernel at any end.

    The directory of both is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def __enter__(self) -> Self:
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        try:
            self._lock(file)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        # The number is for people to read: a full disk that has no room for it is no reason not to start.
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return self

    def _lock(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreUnavailable(
                f"the store {self._path} is in use by another mcwatch (process {_holder(file)})",
                remedy="stop the other process, or give this one a store of its own (store.url)",
            ) from error
        except OSError as error:
            raise StoreUnavailable(
                f"the store {self._path} cannot be locked: {error.strerror}",
                remedy="put the store on a file system that can lock files (store.url), best a local one",
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _holder(file: int) -> str:
    with suppress(OSError):
        return os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
    return "unknown"


def _unwritable(path: Path, error: OSError) -> StoreUnavailable:
    if error.errno in NO_ROOM:
        return full(path)
    return StoreUnavailable(
        f"the store {path} cannot be opened: {error.strerror}",
        remedy="check store.url, and that its directory exists and is writable by this user",
    )


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the file for writing, create it (mode 0600) or bring its schema up to date.

    Raises StoreCorrupt for a file that is damaged, not ours or newer than this program, which is left as it is, and
    StoreUnavailable when it cannot be opened or written.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise _unwritable(path, error) from error
    with translated(path):
        if path.stat().st_size:
            _recognise(path)
        connection = _connect(path, cache_kib=8_192)
        try:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            # Debian's SQLite overwrites whatever is deleted, which makes expiry write as much as it removes.
            connection.execute("PRAGMA secure_delete=FAST")
            connection.execute(f"PRAGMA journal_size_limit={64 * 2**20}")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            _migrate(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading only; the writer has created it."""
    with translated(path):
        connection = _connect(path, cache_kib=1_024)
        connection.execute("PRAGMA query_only=1")
    return connection


def open_offline(path: Path) -> sqlite3.Connection:
    """Open the file only to read it, without the lock and without writing, whether or not a daemon has it.

    Raises StoreCorrupt as :func:`open_writer` does, StoreUnavailable when it cannot be read as it is.
    """
    try:
        path.open("rb").close()
        with translated(path):
            if path.stat().st_size:
                _recognise(path)
            connection = sqlite3.connect(_read_only(path), uri=True, isolation_level=None)
            try:
                connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
                version = _version(connection)
            except BaseException:
                connection.close()
                raise
    except (OSError, StoreUnavailable) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error.__cause__ or error)
        raise StoreUnavailable(
            f"the store {path} cannot be read: {reason}",
            remedy="run this as the user that runs mcwatch; a log left by a crash is read at the next mcwatch run",
        ) from error
    if version < len(migrations()):
        connection.close()
        raise StoreUnavailable(
            f"the store {path} is of an older mcwatch (schema {version}) or was not finished",
            remedy="start mcwatch run once, which brings it up to date",
        )
    return connection


def _connect(path: Path, *, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        connection.execute(f"PRAGMA cache_size=-{cache_kib}")
        connection.execute("PRAGMA foreign_keys=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _recognise(path: Path) -> None:
    """Refuse what is not ours before anything is written.

    The connection is read-only: closing a writing one would move the log of another program's file into that file.
    """
    with path.open("rb") as file:
        if not file.read(len(_MAGIC)).startswith(_MAGIC):
            raise StoreCorrupt(
                f"{path} is damaged or no mcwatch store",
                remedy="it was left as it is: name a file of its own in store.url",
            )
    connection = sqlite3.connect(_read_only(path), uri=True, isolation_level=None)
    try:
        _check_owner(connection, path)
    finally:
        connection.close()


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (tables or application):
        raise StoreCorrupt(
            f"{path} is an SQLite file of another program",
            remedy="it was left as it is: name a file of its own in store.url",
        )
    version, known = _version(connection), len(migrations())
    if version > known:
        raise StoreCorrupt(
            f"the store {path} was written by a newer mcwatch (schema {version}, this program knows {known})",
            remedy="it was left as it is: run the newer mcwatch, or restore a backup from before the upgrade",
        )
    pages, page_bytes = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    if pages * page_bytes > path.stat().st_size and not _has_log(path):
        raise StoreCorrupt(
            f"the store {path} is cut short ({path.stat().st_size} of {pages * page_bytes} bytes)",
            remedy="it was left as it is: restore a backup, or move the file away to begin anew",
        )


def _read_only(path: Path) -> str:
    """Return the URI to read the file as it is; where there is no log, ``immutable`` keeps SQLite from making one."""
    return f"{path.absolute().as_uri()}?{'mode=ro' if _has_log(path) else 'immutable=1'}"


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrate(connection: sqlite3.Connection) -> None:
    """Run the steps the file has not seen, each in a transaction of its own together with its version."""
    steps = migrations()
    for number in range(_version(connection) + 1, len(steps) + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{steps[number - 1]}\n"
            f"PRAGMA application_id={APPLICATION_ID};\nPRAGMA user_version={number};\nCOMMIT;"
        )
