"""The file sink: a batch counts as accepted once it is synced to the disk."""

import asyncio
import errno
import os
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import FailureReason, McwatchError, MisconfiguredError, TransientError
from mcwatch.interfaces import Sink
from mcwatch.option_types import Duration, Size
from mcwatch.sinks.base import BaseSinkConfig, BlockingThread, OneAtATime, lines
from mcwatch.sinks.file.journal import Journal, LockedError
from mcwatch.sinks.file.rotation import RotationRules

_TIMEOUT_SECS = 60.0
"""A disk that needs longer for a batch is stuck (network file systems do that)."""
_CLOSE_SECS = 2.0
"""A stuck disk must not keep the process from ending: closing waits for a write under way no longer than this."""

_REMEDIES = {
    errno.ENOSPC: "free space on the disk; delivery goes on by itself",
    errno.EDQUOT: "free space or raise the quota; delivery goes on by itself",
    errno.EROFS: "mount the file system writable; delivery goes on by itself",
    errno.EIO: "the disk reports a fault: look into the system log",
}
_WRONG_PATH = {
    errno.EACCES: "give mcwatch's user the right to write there, or name another path",
    errno.EPERM: "give mcwatch's user the right to write there, or name another path",
    errno.EISDIR: "name a file in `path`, not a directory",
    errno.ENOTDIR: "a part of `path` is a file: name another path",
    errno.EEXIST: "a part of `path` is a file: name another path",
    errno.ELOOP: "`path` is a link that leads to itself: name another path",
    errno.ENAMETOOLONG: "shorten `path`",
    errno.ENXIO: "name a regular file in `path`; for a pipe use the stdout sink",
}


class FileSink(OneAtATime):
    """Appends lines to one file."""

    def __init__(self, path: Path, rules: RotationRules, *, timeout_secs: float = _TIMEOUT_SECS) -> None:
        self._path = path
        self._journal = Journal(path, rules)
        self._timeout_secs = timeout_secs
        self._thread = BlockingThread("file-sink")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thread.finish(self._journal.close, _CLOSE_SECS)

    async def deliver(self, batch: Batch) -> Verdicts:
        """Append the batch and sync it."""
        if not len(batch):
            return ALL_ACCEPTED
        try:
            async with asyncio.timeout(self._timeout_secs):
                await self._thread.run(partial(self._append, batch))
        except (OSError, LockedError) as error:
            raise self._translated(error) from error
        return ALL_ACCEPTED

    async def check(self) -> str:
        """Say whether the file could be written, leaving nothing behind."""
        try:
            async with asyncio.timeout(self._timeout_secs):
                return await self._thread.run(self._look)
        except OSError as error:
            raise self._translated(error) from error

    def _append(self, batch: Batch) -> None:
        self._journal.append(lines(batch.payloads))

    def _look(self) -> str:
        if self._path.exists():
            if not self._path.is_file():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not os.access(self._path, os.W_OK | os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        directory = self._path.parent
        while not directory.exists():
            directory = directory.parent
        if not directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if not os.access(directory, os.W_OK | os.X_OK):  # rotation renames, which needs the directory
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return (
            f"{self._path} can be written" if directory == self._path.parent else f"{self._path.parent} will be created"
        )

    def _translated(self, error: OSError | LockedError) -> McwatchError:
        if isinstance(error, LockedError):
            return TransientError(
                f"{self._path} is being written by another process or destination",
                remedy="give each destination a file of its own and run one mcwatch per file",
            )
        if isinstance(error, TimeoutError):
            return TransientError(
                f"writing {self._path} took longer than {self._timeout_secs:g} s",
                reason=FailureReason.TIMEOUT,
                remedy="the disk is stuck or overloaded; delivery goes on by itself when it answers",
            )
        code = error.errno or 0
        text = f"{self._path} cannot be written: {error.strerror or type(error).__name__}"
        if code in _WRONG_PATH:
            return MisconfiguredError(text, remedy=_WRONG_PATH[code])
        return TransientError(text, remedy=_REMEDIES.get(code, "delivery is tried again by itself"))


class FileSinkConfig(BaseSinkConfig):
    """A local file of lines, rotated by size and time."""

    type: Literal["file"] = Field(description="A local file, one event per line.")
    path: Path = Field(description="The file to append to; missing directories are created, files with mode 0640.")
    rotate_at: Size = Field(
        100 * 2**20,
        ge=1,
        description="Bytes at which the file is renamed to `path`.1 and a new one begun. "
        "Default 100MiB: quick to open and copy, rare to rotate.",
    )
    rotate_every: Duration | None = Field(
        None,
        ge=60,
        description="Also begin a new file in each period of this length, counted in UTC: 1d at midnight, 1h on the "
        "hour. It happens with the first batch of the new period. Default: by size alone.",
    )
    keep: int = Field(
        10,
        ge=1,
        le=1000,
        description="Rotated files to keep, compressed or not; the oldest beyond that is deleted. Default 10: about "
        "1.1 GiB at most, where they are not compressed.",
    )
    compress: bool = Field(
        False,
        description="Compress rotated files with gzip, to `path`.1.gz and so on, a little after each batch. Off, so "
        "that they can be read at once.",
    )

    def build(self, channel: UUID | None = None) -> Sink:
        """Return the sink."""
        return FileSink(self.path, RotationRules(self.rotate_at, self.keep, self.rotate_every, self.compress))
