"""The file itself: appended to durably, rotated, mended. Blocking; used by one thread at a time."""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

import structlog

from mcwatch.domain.errors import MisconfiguredError
from mcwatch.sinks.file.rotation import make_directory, rotate, sync_directory
from mcwatch.sinks.file.tail import ForeignFileError, Mended, mend

_LOG = structlog.get_logger(__name__)
_FLAGS = (
    os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
)  # non-blocking: a FIFO must not hang the open
_MODE = 0o640


class LockedError(Exception):
    """Another process, or another destination, writes this file."""


class Journal:
    """A file that batches are appended to, all or nothing.

    The file's lock is held while it is open, because taking back a failed batch by truncating is only right for the
    one writer of a file.
    """

    def __init__(self, path: Path, rotate_at_bytes: int, keep: int) -> None:
        self._path = path
        self._rotate_at_bytes = rotate_at_bytes
        self._keep = keep
        self._descriptor: int | None = None

    def append(self, data: bytes) -> None:
        """Append ``data`` and sync it; on an error the file is as long as before. Raises OSError, LockedError."""
        descriptor, size = self._ready(len(data))
        try:
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:] if written else data)
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):  # what cannot be taken back now is mended at the next open
                os.ftruncate(descriptor, size)
            self.close()
            raise

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _ready(self, adding_bytes: int) -> tuple[int, int]:
        """Return the descriptor to append to, and the file's size."""
        if self._descriptor is not None and self._was_moved(self._descriptor):
            _LOG.info("file_reopened", path=str(self._path), why="moved away or deleted")
            self.close()
        descriptor = self._descriptor if self._descriptor is not None else self._open()
        size = os.fstat(descriptor).st_size
        if size and size + adding_bytes > self._rotate_at_bytes:
            rotate(self._path, self._keep)
            self.close()
            descriptor, size = self._open(), 0
            _LOG.info("file_rotated", path=str(self._path))
        return descriptor, size

    def _was_moved(self, descriptor: int) -> bool:
        ours = os.fstat(descriptor)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return True
        return (ours.st_dev, ours.st_ino) != (named.st_dev, named.st_ino)

    def _open(self) -> int:
        make_directory(self._path.parent)
        descriptor = os.open(self._path, _FLAGS, _MODE)
        try:
            self._claim(descriptor)
            sync_directory(self._path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return descriptor

    def _claim(self, descriptor: int) -> None:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MisconfiguredError(
                f"{self._path} is no regular file", remedy="name a file in `path`; for a pipe use the stdout sink"
            )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError from error
        except OSError:
            _LOG.debug("file_lock_unsupported", path=str(self._path))
        try:
            mended = mend(descriptor)
        except ForeignFileError as error:
            raise MisconfiguredError(
                f"{self._path} does not end with a line: it is no file of events",
                remedy="name another file in `path`, or move this one away",
            ) from error
        if mended is not Mended.NOTHING:
            _LOG.warning("file_half_line_mended", path=str(self._path), how=mended.value)
