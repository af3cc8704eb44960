"""Moves a full file out of the way: events.ndjson becomes events.ndjson.1, that one events.ndjson.2, and so on."""

import os
from pathlib import Path


def rotate(path: Path, keep: int) -> None:
    """Rename ``path`` to ``path.1`` and the older ones up by one; the one beyond ``keep`` is lost.

    Only the files up to the first free number move, so a rotation that a crash cut short is completed by the next one
    and costs no file. The directory is synced, so the names survive a power loss.
    """
    older = [numbered(path, number) for number in range(1, keep + 1)]
    free = next((index for index, file in enumerate(older) if not file.exists()), keep - 1)
    for index in range(free, 0, -1):
        older[index - 1].replace(older[index])
    path.replace(older[0])
    sync_directory(path.parent)


def numbered(path: Path, number: int) -> Path:
    """Return the name of the ``number``-th newest rotated file."""
    return path.with_name(f"{path.name}.{number}")


def make_directory(directory: Path) -> None:
    """Create ``directory`` and its parents, durably, where missing."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(mode=0o750, exist_ok=True)
    sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
