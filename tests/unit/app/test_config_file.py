"""The file that a daemon works by."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcwatch.app.config_file import ConfigFile
from mcwatch.domain.errors import ConfigError

_AT = datetime(2026, 1, 5, tzinfo=UTC)


def _huge(file: Path) -> None:
    file.touch()
    os.truncate(file, 17 << 20)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(os.mkfifo, "not a regular file", id="pipe"),
        pytest.param(lambda file: file.symlink_to("/dev/zero"), "not a regular file", id="endless"),
        pytest.param(_huge, "larger than 16 MiB", id="huge"),
        pytest.param(Path.mkdir, "this is a directory", id="directory"),
        pytest.param(lambda _file: None, "no such file", id="gone"),
    ],
)
def test_only_a_file_of_sensible_size_is_read_again(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    """A pipe would never end, and what is huge would hold up the daemon for minutes; the words name the file."""
    file = tmp_path / "mcwatch.yaml"
    make(file)
    with pytest.raises(ConfigError, match=says) as raised:
        ConfigFile(file, _AT).read()
    assert str(file) in raised.value.problems[0]
