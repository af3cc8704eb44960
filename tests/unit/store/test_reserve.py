"""The room set aside for a full disk."""

import errno
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mcwatch.store.sqlite.reserve import Reserve

_SIZE = 1 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the place of the reserve."""
    return tmp_path / "mcwatch.db.reserve"


def test_reserve_is_real_room(tmp_path: Path, file: Path) -> None:
    """What is taken is allocated on the disk, not only a length, and private."""
    assert Reserve(tmp_path / "mcwatch.db", _SIZE).take()
    assert _SIZE == file.stat().st_size
    assert file.stat().st_blocks * 512 >= _SIZE
    assert 0o600 == file.stat().st_mode & 0o777


def test_reserve_is_given_up_and_taken_back(tmp_path: Path, file: Path) -> None:
    """Giving it up frees the room, twice does no harm, and it can be taken again."""
    reserve = Reserve(tmp_path / "mcwatch.db", _SIZE)
    assert reserve.take()
    reserve.release()
    assert not file.exists()
    reserve.release()
    assert reserve.take()
    assert reserve.take()
    assert _SIZE == file.stat().st_size


def test_smaller_reserve_grows(tmp_path: Path, file: Path) -> None:
    """A reserve left by a run with a smaller one is brought to size."""
    assert Reserve(tmp_path / "mcwatch.db", 4096).take()
    assert Reserve(tmp_path / "mcwatch.db", _SIZE).take()
    assert _SIZE == file.stat().st_size


def test_no_room_leaves_nothing_behind(tmp_path: Path, file: Path) -> None:
    """Where the disk has not that much room, nothing stays of the attempt."""
    assert not Reserve(tmp_path / "mcwatch.db", 1 << 60).take()
    assert not file.exists()


def test_reserve_may_be_none(tmp_path: Path, file: Path) -> None:
    """A reserve of no size is always there and needs no file."""
    assert Reserve(tmp_path / "mcwatch.db", 0).take()
    assert not file.exists()


@pytest.mark.parametrize(
    ("outside_bytes", "inside_bytes", "taken"),
    [
        (0, 0, False),
        (_SIZE - 1, 0, False),
        (_SIZE, 0, True),
        (0, 10 * _SIZE, False),
        (_SIZE, 10 * _SIZE, True),
    ],
)
def test_room_must_be_more_than_the_reserve(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, outside_bytes: int, inside_bytes: int, taken: bool
) -> None:
    """The room just given up is no reason to take it back: pages need some beside it, the log in any case."""

    class Room:
        f_frsize = 1
        f_bavail = _SIZE + outside_bytes

    monkeypatch.setattr(os, "statvfs", lambda _: Room)
    assert taken == Reserve(tmp_path / "mcwatch.db", _SIZE).take_back(inside_bytes)
    assert taken == file.exists()


def test_large_reserve_wants_half_as_much_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more is set aside the more room there must be, unless expiry has made it inside the file."""

    class Room:
        f_frsize = 1
        f_bavail = 8 * _SIZE + 2 * _SIZE

    monkeypatch.setattr(os, "statvfs", lambda _: Room)
    reserve = Reserve(tmp_path / "mcwatch.db", 8 * _SIZE)
    assert not reserve.take_back(0)
    assert not reserve.take_back(4 * _SIZE - 1)
    assert reserve.take_back(4 * _SIZE)


def test_larger_reserve_shrinks(tmp_path: Path, file: Path) -> None:
    """A reserve left by a run with a larger one gives back what is too much, down to nothing."""
    assert Reserve(tmp_path / "mcwatch.db", _SIZE).take()
    assert Reserve(tmp_path / "mcwatch.db", 4096).take()
    assert 4096 == file.stat().st_size
    assert Reserve(tmp_path / "mcwatch.db", 0).take()
    assert not file.exists()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_file_system_that_cannot_allocate_is_written(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where room cannot be allocated it is filled with zeros, and is no full disk."""

    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert Reserve(tmp_path / "mcwatch.db", _SIZE + 5).take()
    assert bytes(_SIZE + 5) == file.read_bytes()
    assert file.stat().st_blocks * 512 >= _SIZE


def test_what_is_in_the_way_is_no_full_disk(tmp_path: Path, file: Path) -> None:
    """A directory of that name is complained of once and left; the store does without a reserve."""
    file.mkdir()
    reserve = Reserve(tmp_path / "mcwatch.db", _SIZE)
    with capture_logs() as logs:
        assert reserve.take()
        reserve.release()
        assert reserve.take()
    assert [("no_store_reserve", "warning")] == [(entry["event"], entry["log_level"]) for entry in logs]
    assert file.is_dir()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_failing_removal_stays_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A reserve that cannot be removed raises nothing, neither when given up nor when there is no room for it."""
    reserve = Reserve(tmp_path / "mcwatch.db", 1 << 60)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "unlink", refuse)
    reserve.release()
    assert not reserve.take()
