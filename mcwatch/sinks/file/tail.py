"""Mends the end of a file whose writer was stopped in the middle of a line.

Every accepted batch ends with a line end that was synced. So a last line without one was either never accepted, and
will be sent again: it is cut off; or somebody took the line end away later (editors do): then it is a whole JSON
value, and gets its line end back. Neither loses what was accepted, and no line stays broken. Lines that are no JSON
(CEF, LEEF) do not tell the two apart: there it is cut off, which costs the line an editor has spoilt.
"""

import os
from enum import Enum

import msgspec

_STEP_BYTES = 64 * 1024
MAX_TAIL_BYTES = 16 * 2**20
"""No line is that long: a file that ends like this was not written by mcwatch and is left alone."""


class Mended(Enum):
    """What was done to the end of a file."""

    NOTHING = "nothing"
    CUT = "cut"
    COMPLETED = "completed"


class ForeignFileError(Exception):
    """The file does not look like a file of lines."""


def mend(descriptor: int) -> Mended:
    """Make the file end with a line end; raises ForeignFileError where that would mean to cut too much."""
    size = os.fstat(descriptor).st_size
    tail = _after_last_line_end(descriptor, size)
    if not tail:
        return Mended.NOTHING
    if _is_whole(tail):
        os.write(descriptor, b"\n")
        os.fsync(descriptor)
        return Mended.COMPLETED
    os.ftruncate(descriptor, size - len(tail))
    os.fsync(descriptor)
    return Mended.CUT


def _after_last_line_end(descriptor: int, size: int) -> bytes:
    tail, start = b"", size
    while start:
        length = min(_STEP_BYTES, start)
        start -= length
        block = os.pread(descriptor, length, start)
        found = block.rfind(b"\n")
        tail = block[found + 1 :] + tail
        if found >= 0:
            break
        if len(tail) > MAX_TAIL_BYTES:
            raise ForeignFileError
    return tail


def _is_whole(tail: bytes) -> bool:
    if not tail.startswith(b"{"):
        return False
    try:
        return isinstance(msgspec.json.decode(tail), dict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
