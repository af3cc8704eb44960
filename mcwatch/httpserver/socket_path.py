"""Where the control socket lies, and how to name it however deep the store's directory is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcwatch.domain.errors import ConfigError

MAX_SUN_PATH_BYTES = 107
"""unix(7): sun_path holds 108 bytes with the final NUL."""


def control_socket_path(store_file: Path) -> Path:
    """Return the control socket's path beside the store."""
    return store_file.with_name(f"{store_file.name}.sock")


@contextmanager
def short_path(path: Path) -> Iterator[Path]:
    """Lend a name of the socket that the kernel accepts; good only inside the context.

    A path too long is reached through a descriptor of its directory. Raises ConfigError when that fails as well.
    """
    if len(os.fsencode(path)) <= MAX_SUN_PATH_BYTES:
        yield path
        return
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError([f"store.url: the directory {path.parent} cannot be opened: {error.strerror}"]) from error
    try:
        short = Path("/proc/self/fd") / str(directory) / path.name
        if len(os.fsencode(short)) > MAX_SUN_PATH_BYTES or not short.parent.exists():
            raise ConfigError([f"store.url: the path of the control socket {path} is too long: choose a shorter one"])
        yield short
    finally:
        os.close(directory)
