"""The file sink on good and bad days."""

import errno
import os
from pathlib import Path

import pytest

from mcwatch.domain.errors import McwatchError, MisconfiguredError, TransientError
from mcwatch.sinks.file import FileSink, FileSinkConfig
from tests.contract.sink_events import batch_of, event, numbered

_JOURNAL = "mcwatch.sinks.file.journal.os"


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_creates_the_file_closed_to_others(tmp_path: Path) -> None:
    """Directories are made and the file is not readable for the world."""
    path = tmp_path / "a" / "b" / "events.ndjson"
    async with FileSink(path, 2**20, 3) as sink:
        await sink.deliver(numbered(2))
    assert _lines(path) == list(numbered(2).payloads)
    assert path.stat().st_mode & 0o137 == 0


async def test_rotates_before_the_size_is_passed(tmp_path: Path) -> None:
    """No file outgrows ``rotate_at`` by more than one batch can help, and ``keep`` old ones stay."""
    path = tmp_path / "events.ndjson"
    size = len(event(0)) + 1
    async with FileSink(path, 3 * size + 20, 2) as sink:
        for number in range(12):
            await sink.deliver(numbered(1, start=number))
    files = [path.with_name("events.ndjson.2"), path.with_name("events.ndjson.1"), path]
    assert _names(tmp_path) == [path.name for path in reversed(files)]
    assert [line for file in files for line in _lines(file)] == [event(number) for number in range(3, 12)]


@pytest.mark.parametrize("failing", ["write", "fsync"])
async def test_a_batch_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """After a full disk in the middle of a batch the file is as long as before, and the next attempt is whole."""
    path = tmp_path / "events.ndjson"
    real_write, writes = os.write, 0

    def half_then_full(descriptor: int, data: bytes) -> int:
        nonlocal writes
        writes += 1
        if writes == 1:
            return real_write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with FileSink(path, 2**20, 3) as sink:
        await sink.deliver(numbered(2))
        with monkeypatch.context() as patch:
            patch.setattr(f"{_JOURNAL}.{failing}", half_then_full if failing == "write" else broken)
            with pytest.raises(TransientError, match="cannot be written") as failure:
                await sink.deliver(numbered(2, start=2))
        assert _lines(path) == list(numbered(2).payloads)
        await sink.deliver(numbered(2, start=2))
    assert str(path) in str(failure.value)
    assert failure.value.remedy
    assert _lines(path) == list(numbered(4).payloads)


@pytest.mark.parametrize("how", ["moved", "deleted", "replaced"])
async def test_follows_a_file_that_others_took_away(tmp_path: Path, how: str) -> None:
    """A file moved, deleted or replaced by others is begun anew before the next batch."""
    path = tmp_path / "events.ndjson"
    async with FileSink(path, 2**20, 3) as sink:
        await sink.deliver(numbered(1))
        if how == "deleted":
            path.unlink()
        else:
            path.rename(tmp_path / "old")
        if how == "replaced":
            path.write_bytes(b"other\n")
        await sink.deliver(numbered(1, start=1))
    assert _lines(path) == [*([b"other"] if how == "replaced" else []), event(1)]


async def test_goes_on_at_the_end_of_a_file_truncated_by_others(tmp_path: Path) -> None:
    """Logrotate's copytruncate leaves no hole."""
    path = tmp_path / "events.ndjson"
    async with FileSink(path, 2**20, 3) as sink:
        await sink.deliver(numbered(3))
        os.truncate(path, 0)
        await sink.deliver(numbered(1, start=3))
    assert _lines(path) == [event(3)]


async def test_mends_what_a_crash_left(tmp_path: Path) -> None:
    """A half line at the end goes before the first batch."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(event(0) + b"\n" + event(1)[:50])
    async with FileSink(path, 2**20, 3) as sink:
        await sink.deliver(numbered(1, start=1))
    assert _lines(path) == [event(0), event(1)]


async def test_one_file_has_one_writer(tmp_path: Path) -> None:
    """A second sink on the same file is told so, and goes on when the first has left."""
    path = tmp_path / "events.ndjson"
    async with FileSink(path, 2**20, 3) as second:
        async with FileSink(path, 2**20, 3) as first:
            await first.deliver(numbered(1))
            with pytest.raises(TransientError, match="another process or destination"):
                await second.deliver(numbered(1))
        await second.deliver(numbered(1, start=1))
    assert _lines(path) == list(numbered(2).payloads)


def _directory(path: Path) -> None:
    path.mkdir()


def _below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("obstacle", [_directory, _below_a_file, _pipe, _link_to_itself])
async def test_a_path_that_can_never_work_is_misconfigured(tmp_path: Path, obstacle: object) -> None:
    """Delivery says what to do, and names the path."""
    path = tmp_path / "out" / "events.ndjson"
    path.parent.mkdir()
    assert callable(obstacle)
    obstacle(path)
    async with FileSink(path, 2**20, 3) as sink:
        with pytest.raises(MisconfiguredError) as failure:
            await sink.deliver(numbered(1))
    assert "events.ndjson" in str(failure.value)
    assert failure.value.remedy


async def test_without_permission_it_is_misconfigured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused open is for the operator to mend."""

    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(f"{_JOURNAL}.open", refused)
    async with FileSink(tmp_path / "events", 2**20, 3) as sink:
        with pytest.raises(MisconfiguredError, match="Permission denied"):
            await sink.deliver(numbered(1))


async def test_a_line_end_inside_a_payload_breaks_no_line(tmp_path: Path) -> None:
    """The sink does not rely on the format."""
    path = tmp_path / "events"
    async with FileSink(path, 2**20, 3) as sink:
        await sink.deliver(batch_of(b'{"a":\n1}', b"{}"))
    assert _lines(path) == [b'{"a": 1}', b"{}"]


async def test_check_leaves_no_trace(tmp_path: Path) -> None:
    """Neither file nor directory appears, and a path below a file is found out."""
    async with FileSink(tmp_path / "a" / "events", 2**20, 3) as sink:
        assert "will be created" in await sink.check()
    (tmp_path / "file").write_text("x")
    for wrong in (tmp_path / "file" / "events", tmp_path):
        async with FileSink(wrong, 2**20, 3) as sink:
            with pytest.raises(McwatchError):
                await sink.check()
    assert _names(tmp_path) == ["file"]


def test_the_defaults_are_the_contracts() -> None:
    """100 MiB and ten rotated files."""
    config = FileSinkConfig.model_validate({"type": "file", "path": "out/events.ndjson"})
    assert (config.rotate_at, config.keep) == (100 * 2**20, 10)
