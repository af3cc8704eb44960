"""A disk that can be filled: a small tmpfs."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(mount_point: Path, size_bytes: int) -> Iterator[Path]:
    """Mount it at a new directory; where mounting is refused, skip, or fail when all components are required."""
    mount_point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(mount_point)], capture_output=True
    )
    if mounted.returncode:
        text = f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}"
        if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
            pytest.fail(text)
        pytest.skip(text)
    yield mount_point
    subprocess.run(["umount", "--lazy", str(mount_point)], check=True)
