"""Naming the control socket, however deep the store lies."""

import os
import socket
from pathlib import Path

import pytest

from mcwatch.domain.errors import ConfigError
from mcwatch.httpserver.socket_path import MAX_SUN_PATH_BYTES, control_socket_path, short_path


def _deep(folder: Path) -> Path:
    deep = folder / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    return deep


def test_the_socket_lies_beside_the_store() -> None:
    """Its name is the store's with .sock at the end."""
    assert control_socket_path(Path("var/mcwatch.db")) == Path("var/mcwatch.db.sock")


def test_a_short_path_stays_as_it_is(tmp_path: Path) -> None:
    """No detour without need."""
    with short_path(Path("/run/x.sock")) as short:
        assert short == Path("/run/x.sock")


def test_a_deep_path_is_reached_through_its_directory(tmp_path: Path) -> None:
    """The lent name is short enough to bind, names the same file, and costs no descriptor afterwards."""
    path = _deep(tmp_path) / "mcwatch.db.sock"
    before = len(list(Path("/proc/self/fd").iterdir()))
    with short_path(path) as short, socket.socket(socket.AF_UNIX) as bound:
        assert len(os.fsencode(short)) <= MAX_SUN_PATH_BYTES
        bound.bind(str(short))

    assert path.is_socket()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("name", ["n" * 120, "ü" * 60])
def test_a_file_name_too_long_is_a_configuration_error(tmp_path: Path, name: str) -> None:
    """Bytes count, not characters."""
    with pytest.raises(ConfigError, match="too long"), short_path(_deep(tmp_path) / name):
        pass


def test_a_directory_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    """The error names the directory."""
    with pytest.raises(ConfigError, match="cannot be opened"), short_path(tmp_path / ("d" * 120) / "s"):
        pass
