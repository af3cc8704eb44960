"""Mending the end of a file."""

import os
from pathlib import Path

import pytest

from mcwatch.sinks.file import tail
from mcwatch.sinks.file.tail import ForeignFileError, Mended, mend


@pytest.mark.parametrize(
    ("before", "after", "mended"),
    [
        (b"", b"", Mended.NOTHING),
        (b'{"a":1}\n', b'{"a":1}\n', Mended.NOTHING),
        (b'{"a":1}\n{"b":', b'{"a":1}\n', Mended.CUT),
        (b'{"a":1}\n{"b":2}', b'{"a":1}\n{"b":2}\n', Mended.COMPLETED),
        (b'{"b":', b"", Mended.CUT),
        (b"CEF:0|a|b|1|c|d|3|msg={1}\nCEF:0|a|b|1|c|d|3|msg={2}", b"CEF:0|a|b|1|c|d|3|msg={1}\n", Mended.CUT),
        (b"\n\0\0\0", b"\n", Mended.CUT),
        (b'{"a":1}\n' + b"x" * 200_000, b'{"a":1}\n', Mended.CUT),
    ],
)
def test_the_file_ends_with_a_line_end(tmp_path: Path, before: bytes, after: bytes, mended: Mended) -> None:
    """A half line goes, a whole one that lost its line end gets it back, the lines before stay."""
    path = tmp_path / "events"
    path.write_bytes(before)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        assert mend(descriptor) is mended
    finally:
        os.close(descriptor)
    assert path.read_bytes() == after


def test_a_file_without_lines_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was clearly not written by mcwatch is not cut."""
    monkeypatch.setattr(tail, "MAX_TAIL_BYTES", 1000)
    path = tmp_path / "image"
    path.write_bytes(b"x" * 200_000)
    descriptor = os.open(path, os.O_RDWR)
    try:
        with pytest.raises(ForeignFileError):
            mend(descriptor)
    finally:
        os.close(descriptor)
    assert path.stat().st_size == 200_000
