"""Room set aside for a full disk, so that positions and expiry can still be written when pages cannot."""

import os
from pathlib import Path


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
