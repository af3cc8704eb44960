"""Room set aside for a full disk, so that positions and expiry can still be written when pages cannot."""

import errno
import os
from pathlib import Path

import structlog

from mcwatch.store.sqlite.errors import NO_ROOM

_MARGIN_BYTES = 1 << 20
"""What pages need beside the reserve on the disk, at least; else the room just given up would count as room again."""

_NOT_SUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_CHUNK_BYTES = 1 << 20

logger = structlog.get_logger(__name__)


class Reserve:
    """A file of fixed size beside the store, given up when the disk is full and taken back when there is room.

    No failure of it gets out: where it cannot be kept for another reason than want of room, the store does without.
    """

    def __init__(self, store: Path, size_bytes: int) -> None:
        self._path = store.with_name(store.name + ".reserve")
        self._size = size_bytes
        self._complained = False

    def release(self) -> None:
        """Give the room to the store; blocks while the file system frees it."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            self._complain(error)

    def take(self) -> bool:
        """Set the room aside; False when the disk has none."""
        if not self._size:
            self.release()
            return True
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._fit(file)
            finally:
                os.close(file)
        except OSError as error:
            if error.errno in NO_ROOM:
                self.release()
                return False
            self._complain(error)
        return True

    def _fit(self, file: int) -> None:
        """Bring the file to size, each byte of it allocated."""
        size = os.fstat(file).st_size
        if size > self._size:
            os.ftruncate(file, self._size)
        if size >= self._size:
            return
        try:
            os.posix_fallocate(file, 0, self._size)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
            self._fill(file, size)

    def _fill(self, file: int, at: int) -> None:
        while at < self._size:
            at += os.pwrite(file, bytes(min(_CHUNK_BYTES, self._size - at)), at)
        # Some file systems find out only then that they have no room.
        os.fsync(file)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "no_store_reserve",
                path=str(self._path),
                reason=error.strerror,
                remedy="remove what is in the way or set store.reserve to 0; a full disk stops delivery sooner without",
            )

    def take_back(self, inside_bytes: int) -> bool:
        """Set the room aside again once pages have some beside it: on the disk, or free inside the store's file."""
        margin = max(_MARGIN_BYTES, self._size // 2)
        try:
            room = os.statvfs(self._path.parent)
        except OSError:
            return False
        outside_bytes = room.f_bavail * room.f_frsize - self._size
        # Room inside the file is reached through the log, which grows outside.
        has_room = outside_bytes >= (_MARGIN_BYTES if inside_bytes >= margin else margin)
        return has_room and self.take()
