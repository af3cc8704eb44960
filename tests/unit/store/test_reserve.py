"""The room set aside for a full disk."""

from pathlib import Path

import pytest

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
