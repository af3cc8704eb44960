"""The file itself: appended to durably, rotated, mended. Blocking; used by one thread at a time."""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

import structlog

from mcwatch.domain.errors import MisconfiguredError
from mcwatch.sinks.file.compression import SLICE_BYTES, Compression
from mcwatch.sinks.file.rotation import RotationRules, make_directory, rotate, sync_directory
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

    def __init__(self, path: Path, rules: RotationRules, slice_bytes: int = SLICE_BYTES) -> None:
        self._path = path
        self._rules = rules
        self._descriptor: int | None = None
        self._compression = Compression(path, rules, slice_bytes)

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
                # Somebody may have truncated it meanwhile; it must not grow by a hole then.
                if os.fstat(descriptor).st_size > size:
                    os.ftruncate(descriptor, size)
            self.close()
            raise
        self._compression.step(len(data))

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        self._compression.abandon()
        self._release()

    def _release(self) -> None:
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
        status = os.fstat(descriptor)
        size = status.st_size
        if size and (size + adding_bytes > self._rules.at_bytes or self._is_of_another_period(descriptor, status)):
            rotate(self._path, self._rules.keep)
            self._release()
            descriptor, size = self._open(), 0
            _LOG.info("file_rotated", path=str(self._path))
        return descriptor, size

    def _is_of_another_period(self, descriptor: int, status: os.stat_result) -> bool:
        """Tell whether the file was last written to in another period than this one.

        What the file system calls now is the time it gives a file that is touched. The file has its own time back where
        it is to be rotated, so that a rotation which fails or is cut short by a crash stays due.
        """
        if self._rules.every_secs is None:
            return False
        period_ns = round(self._rules.every_secs * 1e9)
        os.utime(descriptor)
        if status.st_mtime_ns // period_ns == os.fstat(descriptor).st_mtime_ns // period_ns:
            return False
        _give_time(descriptor, status)
        return True

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
        self._compression.look()
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
        status = os.fstat(descriptor)
        try:
            mended = mend(descriptor)
        except ForeignFileError as error:
            raise MisconfiguredError(
                f"{self._path} does not end with a line: it is no file of events",
                remedy="name another file in `path`, or move this one away",
            ) from error
        if mended is not Mended.NOTHING:
            _LOG.warning("file_half_line_mended", path=str(self._path), how=mended.value)
            _give_time(descriptor, status)


def _give_time(descriptor: int, status: os.stat_result) -> None:
    """Set the file's times to those given: rotation by time goes by when a batch was last written."""
    with suppress(PermissionError):  # of another owner's file they cannot be set
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
