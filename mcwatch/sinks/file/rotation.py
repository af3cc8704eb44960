"""Moves a full file out of the way: events.ndjson becomes events.ndjson.1, that one events.ndjson.2, and so on.

A rotated file may be compressed (events.ndjson.1.gz). Both forms of a number are one file: they move together, and
where both exist they hold the same.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RotationRules:
    """When a file is rotated, how many rotated ones stay, and in what form.

    ``every_secs`` are whole periods of UTC: 86400 means at midnight. None for no rotation by time.
    """

    at_bytes: int
    keep: int
    every_secs: float | None = None
    compress: bool = False


def rotate(path: Path, keep: int) -> None:
    """Rename ``path`` to ``path.1`` and the older ones up by one; the one beyond ``keep`` is lost.

    Only the files up to the first free number move, so a rotation that a crash cut short is completed by the next one
    and costs no file. The directory is synced, so the names survive a power loss.
    """
    free = next((number for number in range(1, keep + 1) if not _forms(path, number)), None)
    if free is None:
        for oldest in _forms(path, keep):
            oldest.unlink()
        free = keep
    for number in range(free - 1, 0, -1):
        for form in _forms(path, number):
            form.replace(compressed(path, number + 1) if form.suffix == ".gz" else numbered(path, number + 1))
    path.replace(numbered(path, 1))
    sync_directory(path.parent)


def numbered(path: Path, number: int) -> Path:
    """Return the name of the ``number``-th newest rotated file."""
    return path.with_name(f"{path.name}.{number}")


def compressed(path: Path, number: int) -> Path:
    """Return the name of the same file when it is compressed."""
    return path.with_name(f"{path.name}.{number}.gz")


def _forms(path: Path, number: int) -> list[Path]:
    return [form for form in (numbered(path, number), compressed(path, number)) if form.exists()]


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
