"""Writing lines to a descriptor that may be slow or gone."""

import fcntl
import os
import threading
from collections.abc import Iterator

import pytest

from mcwatch.sinks.stdout.writer import LineWriter

_LINES = b"".join(b"%06d" % number + b"x" * 93 + b"\n" for number in range(1000))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give a pipe that holds a page."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def _read_all(reader: int, into: bytearray) -> None:
    while chunk := os.read(reader, 777):
        into += chunk


def test_a_slow_reader_gets_everything(pipe: tuple[int, int]) -> None:
    """Many times the pipe's size arrives in order."""
    got = bytearray()
    reading = threading.Thread(target=_read_all, args=(pipe[0], got))
    reading.start()
    LineWriter(pipe[1], 1).write(_LINES, threading.Event())
    os.close(pipe[1])
    reading.join()
    assert got == _LINES


def test_a_line_given_up_half_way_is_finished_next_time(pipe: tuple[int, int]) -> None:
    """After a stall the reader sees whole lines only: the rest of the broken one comes first."""
    writer = LineWriter(pipe[1], 0.05)
    with pytest.raises(TimeoutError):
        writer.write(_LINES, threading.Event())
    got = bytearray()
    reading = threading.Thread(target=_read_all, args=(pipe[0], got))
    reading.start()
    writer.write(b"next\n", threading.Event())
    os.close(pipe[1])
    reading.join()
    lines = bytes(got).split(b"\n")
    assert lines[-2:] == [b"next", b""]
    assert _LINES.startswith(b"\n".join(lines[:-2]) + b"\n")
    assert {len(line) for line in lines[:-2]} == {99}


def test_an_unwanted_write_ends_soon(pipe: tuple[int, int]) -> None:
    """A stalled write that nobody waits for any more does not wait for its time-out."""
    unwanted = threading.Event()
    unwanted.set()
    with pytest.raises(TimeoutError):
        LineWriter(pipe[1], 3600).write(_LINES, unwanted)


def test_a_reader_that_has_left_is_an_error(pipe: tuple[int, int]) -> None:
    """The system's word is passed on."""
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        LineWriter(pipe[1], 1).write(b"x\n", threading.Event())
