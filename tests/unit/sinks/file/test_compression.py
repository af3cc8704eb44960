"""Compressing rotated files between batches."""

import gzip
import os
import random
import resource
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mcwatch.sinks.file.journal import Journal
from mcwatch.sinks.file.rotation import RotationRules
from tests.contract.sink_events import event

_LINE = event(0) + b"\n"
_SLICE = 64
"""Less than a line; a slice is twice what was just written then."""


def _journal(path: Path, at_bytes: int = 1, keep: int = 9, slice_bytes: int = _SLICE) -> Journal:
    return Journal(path, RotationRules(at_bytes, keep, compress=True), slice_bytes)


def _noise(count: int) -> bytes:
    return random.Random(1).randbytes(count)


def _content(directory: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    return {name: gzip.decompress(data) if name.endswith(".gz") else data for name, data in files.items()}


def test_a_rotated_file_is_compressed_whole(tmp_path: Path) -> None:
    """The compressed form has the lines, mode and age of the plain one, which is gone."""
    path = tmp_path / "e"
    journal = _journal(path)
    journal.append(_LINE)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    journal.append(_LINE * 2)
    journal.close()
    assert {"e": _LINE * 2, "e.1.gz": _LINE} == _content(tmp_path)
    status = (tmp_path / "e.1.gz").stat()
    assert (1_700_000_000, 0) == (status.st_mtime, status.st_mode & 0o137)


def test_a_large_file_is_compressed_between_batches(tmp_path: Path) -> None:
    """Each batch brings it on by a slice; until it is done the plain file is the file."""
    path = tmp_path / "e"
    (tmp_path / "e.1").write_bytes(_noise(10_000))
    journal = _journal(path, at_bytes=2**20, slice_bytes=2000)
    seen = []
    for _ in range(7):
        journal.append(_LINE)
        seen.append(sorted(_content_names(tmp_path)))
    journal.close()
    under_way, done = ["e", "e.1", "e.gz.part"], ["e", "e.1.gz"]
    assert [under_way] * 5 + [done] * 2 == seen
    assert {"e": _LINE * 7, "e.1.gz": _noise(10_000)} == _content(tmp_path)


def _content_names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_batches_larger_than_a_slice_do_not_leave_it_behind(tmp_path: Path) -> None:
    """It keeps up however large batches are: at most two files wait."""
    journal = _journal(tmp_path / "e", at_bytes=3 * len(_LINE), keep=50, slice_bytes=1)
    for _ in range(40):
        journal.append(_LINE)
        plain = [name for name in _content_names(tmp_path) if name.startswith("e.") and name[2:].isdigit()]
        assert len(plain) <= 2
    journal.close()


def test_a_file_that_moves_up_meanwhile_keeps_its_number(tmp_path: Path) -> None:
    """A rotation in the middle of a compression costs neither of them anything."""
    path = tmp_path / "e"
    (tmp_path / "e.1").write_bytes(_noise(5_000))
    journal = _journal(path, at_bytes=2 * len(_LINE), slice_bytes=1200)
    for _ in range(12):
        journal.append(_LINE)
    journal.close()
    content = _content(tmp_path)
    assert _noise(5_000) == content.pop(next(name for name, data in content.items() if data == _noise(5_000)))
    assert _LINE * 12 == b"".join(content.values())
    assert "e.gz.part" not in content


def test_a_file_rotated_out_meanwhile_leaves_nothing_behind(tmp_path: Path) -> None:
    """Beyond ``keep`` it is lost, half compressed or not."""
    path = tmp_path / "e"
    (tmp_path / "e.1").write_bytes(_noise(100_000))
    journal = _journal(path, keep=1)
    for _ in range(3):
        journal.append(_LINE)
    while journal._compression._job is not None:
        journal.append(_LINE)
    journal.close()
    assert _noise(100_000) not in _content(tmp_path).values()
    assert "e.gz.part" not in _content_names(tmp_path)


def test_files_from_before_are_compressed_too(tmp_path: Path) -> None:
    """Switched on later, it brings every rotated file into the one form; other files are left alone."""
    for name in ("e.1", "e.2", "e.4", "e.gz", "e.10", "e.x"):
        (tmp_path / name).write_text(name)
    (tmp_path / "e.3").symlink_to(tmp_path / "e.x")
    journal = _journal(tmp_path / "e", at_bytes=2**20)
    for _ in range(6):
        journal.append(_LINE)
    journal.close()
    assert ["e", "e.1.gz", "e.10", "e.2.gz", "e.3", "e.4.gz", "e.gz", "e.x"] == sorted(_content_names(tmp_path))


@pytest.mark.parametrize("compress", [True, False])
def test_what_a_crash_left_is_cleared_up(tmp_path: Path, compress: bool) -> None:
    """A part goes; of both forms of a file, of which the compressed one may be older, one stays."""
    (tmp_path / "e.gz.part").write_bytes(b"half")
    (tmp_path / "e.1").write_bytes(_LINE)
    (tmp_path / "e.1.gz").write_bytes(gzip.compress(_LINE))
    journal = Journal(tmp_path / "e", RotationRules(2**20, 3, compress=compress))
    journal.append(_LINE)
    journal.close()
    expected = {"e": _LINE, "e.1.gz": _LINE} | ({} if compress else {"e.1": _LINE})
    assert expected == _content(tmp_path)


def test_a_compression_that_fails_costs_no_delivery(tmp_path: Path) -> None:
    """It is logged, leaves the plain file, and is tried again after the next rotation."""
    path, obstacle = tmp_path / "e", tmp_path / "e.gz.part"
    obstacle.mkdir()
    journal = _journal(path, at_bytes=2 * len(_LINE))
    with capture_logs() as logs:
        for _ in range(4):
            journal.append(_LINE)
    assert ["file_not_compressed"] == [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    obstacle.rmdir()
    for _ in range(4):
        journal.append(_LINE)
    journal.close()
    assert _LINE * 8 == b"".join(_content(tmp_path).values())
    assert ["e", "e.1", "e.2.gz", "e.3.gz"] == sorted(_content_names(tmp_path))


def test_a_disk_that_fills_up_under_it_leaves_the_plain_file(tmp_path: Path) -> None:
    """At a real limit of the kernel's the half compressed form goes, the batch counts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "e.1").write_bytes(_noise(300_000))
    journal = _journal(tmp_path / "e", at_bytes=2**20, slice_bytes=2**20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))  # noise grows a little when it is compressed
    try:
        with capture_logs() as logs:
            journal.append(_LINE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.close()
    assert ["file_not_compressed"] == [entry["event"] for entry in logs]
    assert {"e": _LINE, "e.1": _noise(300_000)} == _content(tmp_path)


def test_a_file_that_others_write_to_meanwhile_stays_plain(tmp_path: Path) -> None:
    """What was added after the reading would be lost with the plain form."""
    plain = tmp_path / "e.1"
    plain.write_bytes(_noise(2000))
    journal = _journal(tmp_path / "e", at_bytes=2**20, slice_bytes=1000)
    journal.append(_LINE)
    with plain.open("ab") as file:
        file.write(b"more\n")
    for _ in range(4):
        journal.append(_LINE)
    journal.close()
    assert {"e": _LINE * 5, "e.1": _noise(2000) + b"more\n"} == _content(tmp_path)


def test_closing_in_the_middle_leaves_no_part(tmp_path: Path) -> None:
    """The next start begins it anew."""
    (tmp_path / "e.1").write_bytes(_noise(2000))
    for slice_bytes in (1000, 2**20):
        journal = _journal(tmp_path / "e", at_bytes=2**20, slice_bytes=slice_bytes)
        journal.append(_LINE)
        journal.close()
        assert "e.gz.part" not in _content_names(tmp_path)
    assert {"e": _LINE * 2, "e.1.gz": _noise(2000)} == _content(tmp_path)
