"""Room set aside for a full disk, so that positions and expiry can still be written when pages cannot."""

import os
from pathlib import Path

_MARGIN_BYTES = 1 << 20
"""What pages need beside the reserve on the disk, at least; else the room just given up would count as room again."""


class Reserve:
    """A file of fixed size beside the store, given up when the disk is full and taken back when there is room."""

    def __init__(self, store: Path, size_bytes: int) -> None:
        self._path = store.with_name(store.name + ".reserve")
        self._size = size_bytes

    def release(self) -> None:
        """Give the room to the store."""
        self._path.unlink(missing_ok=True)

    def take(self) -> bool:
        """Set the room aside; False when the disk has none."""
        if not self._size:
            return True
        try:
            if self._path.exists() and self._path.stat().st_size == self._size:
                return True
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, self._size)
            finally:
                os.close(file)
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        return True

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
