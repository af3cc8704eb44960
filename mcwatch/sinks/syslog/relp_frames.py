"""The frames of RELP: ``TXNR SP COMMAND SP DATALEN [SP DATA] LF`` (specification 0.0.1, "RELP frame"). Pure."""

import re
from typing import NamedTuple

_LAST_TXNR = 999_999_999
_LARGEST_DATA_BYTES = 128 * 1024  # "in relp version 1, it is always 128K"; answers are far shorter
_HEADER = re.compile(rb"(\d{1,9}) ([A-Za-z]{1,32}) (\d{1,9})(?=[ \n])")
_LONGEST_HEADER_BYTES = 9 + 1 + 32 + 1 + 9 + 1
_OK = 200


class NotRelpError(Exception):
    """What the peer says is no RELP."""


class Frame(NamedTuple):
    """One frame as it was received."""

    txnr: int
    command: bytes
    data: bytes


class Reply(NamedTuple):
    """What a ``rsp`` says: 200 or an error, words for a person, and data of the command's own."""

    code: int
    words: str
    data: bytes = b""

    @property
    def is_ok(self) -> bool:
        """Whether the command was carried out."""
        return self.code == _OK

    @classmethod
    def parse(cls, data: bytes) -> "Reply":
        """Read ``200 OK`` and what may follow in further lines; raises NotRelpError."""
        head, _, rest = data.partition(b"\n")
        code, _, words = head.partition(b" ")
        if not (len(code) == 3 and code.isdigit()):
            raise NotRelpError("an answer without a code")
        return cls(int(code), words.decode("utf-8", "replace"), rest)


class FrameReader:
    """Puts frames together from whatever pieces arrive."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete; raises NotRelpError."""
        data = self._rest + data
        frames: list[Frame] = []
        at = 0
        while header := _HEADER.match(data, at):
            length = int(header[3])
            if length > _LARGEST_DATA_BYTES:
                raise NotRelpError(f"a frame of {length} bytes")
            start = header.end() + (1 if length else 0)
            if len(data) <= start + length:
                break
            if data[start + length] != 0x0A or (length and data[header.end()] != 0x20):
                raise NotRelpError("a frame that does not end where it should")
            frames.append(Frame(int(header[1]), header[2], data[start : start + length]))
            at = start + length + 1
        self._rest = data[at:]
        if not header and not _may_begin_header(self._rest):
            raise NotRelpError("something that is no frame")
        return frames


def frame(txnr: int, command: bytes, data: bytes = b"") -> bytes:
    """Return a frame to send."""
    if not data:
        return b"%d %b 0\n" % (txnr, command)
    return b"%d %b %d %b\n" % (txnr, command, len(data), data)


def next_txnr(txnr: int) -> int:
    """Return the transaction number after ``txnr``: 0 is for hints, and after 999,999,999 comes 1."""
    return 1 if txnr >= _LAST_TXNR else txnr + 1


def _may_begin_header(data: bytes) -> bool:
    """Return whether more bytes could make a header of this."""
    if len(data) >= _LONGEST_HEADER_BYTES:
        return False
    return re.fullmatch(rb"(?:\d{1,9}(?: (?:[A-Za-z]{1,32}(?: \d{0,9})?)?)?)?", data) is not None
