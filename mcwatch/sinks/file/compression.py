"""Compresses rotated files with gzip, a slice at a time between two batches, by the thread that writes them.

A file under compression keeps its number and moves with it. The compressed form is written under a name of its own,
synced, renamed and the name synced before the plain form goes: a crash at any point leaves a whole plain file or a
whole compressed one, now and then both, and at most a part nobody takes for a file; the next start begins it anew.
"""

import os
import stat
from contextlib import ExitStack, suppress
from pathlib import Path

import structlog
from isal import isal_zlib

from mcwatch.sinks.file.rotation import RotationRules, compressed, numbered, sync_directory

_LOG = structlog.get_logger(__name__)
SLICE_BYTES = 8 * 2**20
"""About 10 ms of one core."""
_READ_BYTES = 2**20
_LEVEL = 1
_GZIP_WINDOW = 31  # zlib.h, deflateInit2: the largest window plus 16 for the header of gzip


class _Job:
    """One file under compression."""

    def __init__(self, plain: Path, part: Path) -> None:
        with ExitStack() as opened:
            self._source = os.open(plain, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            opened.callback(os.close, self._source)
            self.status = os.fstat(self._source)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._target = os.open(part, flags, stat.S_IMODE(self.status.st_mode))
            opened.pop_all()
        self._packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)

    def is_of(self, path: Path) -> bool:
        """Tell whether ``path`` is the file that this compresses."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == (self.status.st_dev, self.status.st_ino)

    def advance(self, most_bytes: int) -> bool:
        """Compress up to so many bytes; return whether the end was reached and all of it is durable."""
        while most_bytes > 0:
            block = os.read(self._source, min(most_bytes, _READ_BYTES))
            if not block:
                self._write(self._packer.flush())
                # Of the same age as what it replaces, for whoever cleans up by age.
                os.utime(self._target, ns=(self.status.st_atime_ns, self.status.st_mtime_ns))
                os.fsync(self._target)
                return True
            self._write(self._packer.compress(block))
            most_bytes -= len(block)
        return False

    def close(self) -> None:
        """Close both files."""
        for descriptor in (self._source, self._target):
            with suppress(OSError):
                os.close(descriptor)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._target, data) :]


class Compression:
    """Brings the rotated files of one path into their compressed form, one after the other, oldest first.

    A failure is logged, costs no delivery, and is tried again after the next rotation.
    """

    def __init__(self, path: Path, rules: RotationRules, slice_bytes: int = SLICE_BYTES) -> None:
        self._path = path
        self._rules = rules
        self._slice_bytes = slice_bytes
        self._part = path.with_name(f"{path.name}.gz.part")
        self._job: _Job | None = None
        self._waiting: list[int] = []

    def look(self) -> None:
        """Find what there is to do; for the one writer of the file, whenever it has opened it."""
        if self._job is None:
            with suppress(OSError):  # what a crash left
                self._part.unlink()
        if self._rules.compress:
            numbers = range(1, self._rules.keep + 1)
            self._waiting = [number for number in numbers if _is_plain(numbered(self._path, number))]

    def abandon(self) -> None:
        """Leave off; what was begun is begun anew after the next look."""
        self._waiting = []
        self._discard()

    def step(self, written_bytes: int) -> None:
        """Compress one slice, larger than what was just written, so that this keeps up with it."""
        if self._job is None and not self._waiting:
            return
        try:
            self._advance(max(self._slice_bytes, 2 * written_bytes))
        except OSError as error:
            _LOG.warning("file_not_compressed", path=str(self._path), why=error.strerror)
            self._discard()

    def _advance(self, most_bytes: int) -> None:
        if self._job is None:
            plain = numbered(self._path, self._waiting.pop())
            if not _is_plain(plain):
                return
            self._job = _Job(plain, self._part)
        if self._job.advance(most_bytes):
            self._finish(self._job)
            self._discard()

    def _discard(self) -> None:
        if self._job is not None:
            self._job.close()
            self._job = None
            with suppress(OSError):  # it is not there after its renaming
                self._part.unlink()

    def _finish(self, job: _Job) -> None:
        numbers = range(1, self._rules.keep + 1)
        number = next((number for number in numbers if job.is_of(numbered(self._path, number))), None)
        if number is None or numbered(self._path, number).stat().st_size != job.status.st_size:
            return  # rotated out, taken away or written to by others meanwhile
        self._part.replace(compressed(self._path, number))
        sync_directory(self._path.parent)
        numbered(self._path, number).unlink()
        _LOG.info("file_compressed", path=str(compressed(self._path, number)))


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
