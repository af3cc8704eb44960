"""The file sink on good and bad days."""

import errno
import os
import resource
from pathlib import Path

import pytest
from pydantic import ValidationError

from mcwatch.domain.errors import McwatchError, MisconfiguredError, TransientError
from mcwatch.sinks.file import FileSink, FileSinkConfig, RotationRules
from tests.contract.sink_events import batch_of, event, numbered

_JOURNAL = "mcwatch.sinks.file.journal.os"


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_creates_the_file_closed_to_others(tmp_path: Path) -> None:
    """Directories are made and the file is not readable for the world."""
    path = tmp_path / "a" / "b" / "events.ndjson"
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        await sink.deliver(numbered(2))
    assert _lines(path) == list(numbered(2).payloads)
    assert path.stat().st_mode & 0o137 == 0


async def test_rotates_before_the_size_is_passed(tmp_path: Path) -> None:
    """No file outgrows ``rotate_at`` by more than one batch can help, and ``keep`` old ones stay."""
    path = tmp_path / "events.ndjson"
    size = len(event(0)) + 1
    async with FileSink(path, RotationRules(3 * size + 20, 2)) as sink:
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

    async with FileSink(path, RotationRules(2**20, 3)) as sink:
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
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
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
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        await sink.deliver(numbered(3))
        os.truncate(path, 0)
        await sink.deliver(numbered(1, start=3))
    assert _lines(path) == [event(3)]


async def test_mends_what_a_crash_left(tmp_path: Path) -> None:
    """A half line at the end goes before the first batch."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(event(0) + b"\n" + event(1)[:50])
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        await sink.deliver(numbered(1, start=1))
    assert _lines(path) == [event(0), event(1)]


async def test_one_file_has_one_writer(tmp_path: Path) -> None:
    """A second sink on the same file is told so, and goes on when the first has left."""
    path = tmp_path / "events.ndjson"
    async with FileSink(path, RotationRules(2**20, 3)) as second:
        async with FileSink(path, RotationRules(2**20, 3)) as first:
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
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        with pytest.raises(MisconfiguredError) as failure:
            await sink.deliver(numbered(1))
    assert "events.ndjson" in str(failure.value)
    assert failure.value.remedy


async def test_without_permission_it_is_misconfigured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused open is for the operator to mend."""

    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(f"{_JOURNAL}.open", refused)
    async with FileSink(tmp_path / "events", RotationRules(2**20, 3)) as sink:
        with pytest.raises(MisconfiguredError, match="Permission denied"):
            await sink.deliver(numbered(1))


async def test_a_line_end_inside_a_payload_breaks_no_line(tmp_path: Path) -> None:
    """The sink does not rely on the format."""
    path = tmp_path / "events"
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        await sink.deliver(batch_of(b'{"a":\n1}', b"{}"))
    assert _lines(path) == [b'{"a": 1}', b"{}"]


async def test_check_leaves_no_trace(tmp_path: Path) -> None:
    """Neither file nor directory appears, and a path below a file is found out."""
    async with FileSink(tmp_path / "a" / "events", RotationRules(2**20, 3)) as sink:
        assert "will be created" in await sink.check()
    (tmp_path / "file").write_text("x")
    for wrong in (tmp_path / "file" / "events", tmp_path):
        async with FileSink(wrong, RotationRules(2**20, 3)) as sink:
            with pytest.raises(McwatchError):
                await sink.check()
    assert _names(tmp_path) == ["file"]


async def test_each_period_has_a_file_of_its_own(tmp_path: Path) -> None:
    """The first batch of a period begins a file; the old one keeps the time it was last written to."""
    path, day = tmp_path / "events", 86400
    async with FileSink(path, RotationRules(2**20, 3, every_secs=day)) as sink:
        await sink.deliver(numbered(1))
        await sink.deliver(numbered(1, start=1))
        today = path.stat().st_mtime_ns
        yesterday = today // (day * 10**9) * day * 10**9 - 1
        os.utime(path, ns=(yesterday, yesterday))
        await sink.deliver(numbered(1, start=2))
    old = path.with_name("events.1")
    assert ([event(0), event(1)], [event(2)]) == (_lines(old), _lines(path))
    assert yesterday == old.stat().st_mtime_ns
    assert ["events", "events.1"] == _names(tmp_path)


async def test_a_period_is_known_across_a_restart_and_a_mended_end(tmp_path: Path) -> None:
    """What counts is when the file was last written to, by whatever process."""
    path = tmp_path / "events"
    path.write_bytes(event(0) + b"\n" + event(1)[:40])
    os.utime(path, (1_700_000_000, 1_700_000_000))
    async with FileSink(path, RotationRules(2**20, 3, every_secs=3600)) as sink:
        await sink.deliver(numbered(1, start=1))
    assert ([event(0)], [event(1)]) == (_lines(path.with_name("events.1")), _lines(path))


async def test_a_rotation_that_fails_stays_due(tmp_path: Path) -> None:
    """The file's time is as before, so the next attempt rotates; nothing is written into the old period."""
    path = tmp_path / "events"
    obstacle = path.with_name("events.1")
    async with FileSink(path, RotationRules(2**20, 1, every_secs=60)) as sink:
        await sink.deliver(numbered(1))
        os.utime(path, (1_700_000_000, 1_700_000_000))
        obstacle.mkdir()
        with pytest.raises(McwatchError):
            await sink.deliver(numbered(1, start=1))
        obstacle.rmdir()
        await sink.deliver(numbered(1, start=1))
    assert ([event(0)], [event(1)]) == (_lines(obstacle), _lines(path))


async def test_an_empty_file_needs_no_rotation(tmp_path: Path) -> None:
    """A file that logrotate has created in another period is written to."""
    path = tmp_path / "events"
    path.touch()
    os.utime(path, (1_700_000_000, 1_700_000_000))
    async with FileSink(path, RotationRules(2**20, 3, every_secs=60)) as sink:
        await sink.deliver(numbered(1))
    assert ["events"] == _names(tmp_path)


async def test_a_disk_that_is_full_takes_nothing_of_a_batch(tmp_path: Path) -> None:
    """At a real limit of the kernel's, in the middle of a line, the file stays as it was, and later all is there."""
    path = tmp_path / "events"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with FileSink(path, RotationRules(2**30, 3)) as sink:
        await sink.deliver(numbered(3))
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 700, hard))
        try:
            for _ in range(2):
                with pytest.raises(TransientError, match="cannot be written"):
                    await sink.deliver(numbered(20, start=3))
                assert list(numbered(3).payloads) == _lines(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await sink.deliver(numbered(20, start=3))
    assert list(numbered(23).payloads) == _lines(path)


async def test_a_directory_that_vanished_is_made_again(tmp_path: Path) -> None:
    """With it went what it held; what comes goes into a new one."""
    path = tmp_path / "out" / "deep" / "events"
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        await sink.deliver(numbered(1))
        (tmp_path / "out").rename(tmp_path / "gone")
        await sink.deliver(numbered(1, start=1))
    assert ([event(0)], [event(1)]) == (_lines(tmp_path / "gone" / "deep" / "events"), _lines(path))


async def test_a_read_only_file_system_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be mounted writable again, so the destination goes on by itself then."""
    path = tmp_path / "events"

    def read_only(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        with monkeypatch.context() as patch:
            patch.setattr(f"{_JOURNAL}.open", read_only)
            with pytest.raises(TransientError, match="Read-only") as failure:
                await sink.deliver(numbered(1))
        await sink.deliver(numbered(1))
    assert "mount the file system writable" in failure.value.remedy
    assert [event(0)] == _lines(path)


@pytest.mark.parametrize("create", [True, False])
async def test_logrotate_takes_files_away_while_batches_come(tmp_path: Path, create: bool) -> None:
    """With `create` or without, all that was accepted is in the files together, in order."""
    path = tmp_path / "events"
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        for number in range(12):
            await sink.deliver(numbered(1, start=number))
            if number % 3 == 2:
                path.rename(tmp_path / f"taken-{number:02}")
                if create:
                    path.touch()
    taken = [line for file in sorted(tmp_path.glob("taken-*")) for line in _lines(file)]
    assert list(numbered(12).payloads) == taken


async def test_copytruncate_loses_what_comes_between_copy_and_truncation(tmp_path: Path) -> None:
    """No writer can help it: the manual of logrotate says so, and so does docs/DELIVERY.md."""
    path, copy = tmp_path / "events", tmp_path / "copy"
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        await sink.deliver(numbered(1))
        copy.write_bytes(path.read_bytes())
        await sink.deliver(numbered(1, start=1))
        os.truncate(path, 0)
        await sink.deliver(numbered(1, start=2))
    assert ([event(0)], [event(2)]) == (_lines(copy), _lines(path))


async def test_a_failed_batch_leaves_no_hole_in_a_file_truncated_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taking back what was written shortens the file, or leaves it alone."""
    path = tmp_path / "events"

    def truncated_then_full(_descriptor: int, _data: bytes) -> int:
        os.truncate(path, 0)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        await sink.deliver(numbered(2))
        monkeypatch.setattr(f"{_JOURNAL}.write", truncated_then_full)
        with pytest.raises(TransientError):
            await sink.deliver(numbered(1, start=2))
    assert b"" == path.read_bytes()


async def test_lines_that_are_no_json_are_mended_too(tmp_path: Path) -> None:
    """Half a line of another format goes, and comes again whole with its batch."""
    path, cef = tmp_path / "events", [b"CEF:0|mcwatch|mcwatch|1|a|b|3|msg={1}", b"CEF:0|mcwatch|mcwatch|1|a|b|3|msg=2"]
    path.write_bytes(cef[0] + b"\n" + cef[1][:-5])
    async with FileSink(path, RotationRules(2**20, 3)) as sink:
        await sink.deliver(batch_of(cef[1]))
    assert cef == _lines(path)


def test_the_defaults_are_the_contracts() -> None:
    """100 MiB, ten rotated files, no rotation by time, no compression."""
    config = FileSinkConfig.model_validate({"type": "file", "path": "out/events.ndjson"})
    assert (100 * 2**20, 10, None, False) == (config.rotate_at, config.keep, config.rotate_every, config.compress)


async def test_the_configuration_builds_what_it_says(tmp_path: Path) -> None:
    """Every option reaches the file."""
    path = tmp_path / "events"
    options = {"type": "file", "path": str(path), "rotate_at": 1, "keep": 2, "rotate_every": "1h", "compress": True}
    async with FileSinkConfig.model_validate(options).build() as sink:
        for number in range(4):
            await sink.deliver(numbered(1, start=number))
    assert ["events", "events.1.gz", "events.2.gz"] == _names(tmp_path)


@pytest.mark.parametrize("wrong", [{"rotate_every": "30s"}, {"keep": 0}, {"rotate_at": 0}, {"compress": "zstd"}])
def test_options_without_meaning_are_refused(wrong: dict[str, object]) -> None:
    """A period has a minute at least, one rotated file stays at least, and there is one compression."""
    with pytest.raises(ValidationError):
        FileSinkConfig.model_validate({"type": "file", "path": "out", **wrong})
