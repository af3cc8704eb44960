"""Following a stream of events: from the control socket to standard output."""

import select
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPResponse
from pathlib import Path

from mcwatch.cli import local
from mcwatch.domain.errors import FailureReason, PermanentError
from mcwatch.domain.readable import readable_line
from mcwatch.domain.tailing import TailNote, TailRequest, Word

_CHUNK_BYTES = 64 * 1024
"""No less than what a buffered reader holds: then what it has taken is given out at once, and the socket can be waited
for."""


def follow(store_file: Path, request: TailRequest, *, as_lines: bool, coloured: bool) -> None:
    """Print what comes until the daemon stops.

    Raises PermanentError when no daemon runs, TransientError when it goes away without a word, BrokenPipeError when
    nobody reads what is printed.
    """
    connected = local.connect(store_file)
    if connected is None:
        raise PermanentError(
            f"no daemon runs on the store {store_file}: tail shows the events of a running one",
            reason=FailureReason.CONNECTION,
            remedy="start mcwatch run; events that are kept can be sent again with mcwatch replay",
        )
    connected.settimeout(local.TIMEOUT_SECS)
    with connected, closing(local.stream(connected, store_file, "/tail", request)) as answer:
        connected.settimeout(None)
        for lines in _chunks(answer, connected):
            shown: list[bytes] = []
            stopped = False
            for line in lines:
                note = TailNote.read(line)
                if note is None:
                    shown.append(
                        readable_line(line, coloured=coloured).encode("utf-8", "replace") if as_lines else line
                    )
                elif note.note is Word.LEFT_OUT:
                    shown.append(_left_out(note, coloured=coloured) if as_lines else line)
                stopped = note is not None and note.note is Word.STOPPED
            _print(shown)
            if stopped:
                print("mcwatch: the daemon has stopped", file=sys.stderr)
                return
    raise local.gone()


def _chunks(answer: HTTPResponse, connected: socket.socket) -> Iterator[list[bytes]]:
    """Yield whole lines as they arrive; raises BrokenPipeError once nobody reads standard output any more."""
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    with suppress(OSError):  # not a descriptor where standard output was closed at the start
        poll.register(sys.stdout.fileno(), 0)  # no event asked for: it says all the same when the other end has closed
    rest = b""
    while True:
        try:
            data = answer.read1(_CHUNK_BYTES)
        except OSError:
            return
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield lines
        if any(number != connected.fileno() for number, _ in poll.poll()):
            raise BrokenPipeError


def _print(lines: list[bytes]) -> None:
    if lines:
        sys.stdout.buffer.write(b"\n".join(lines) + b"\n")
        sys.stdout.buffer.flush()


def _left_out(note: TailNote, *, coloured: bool) -> bytes:
    most = "up to " if note.at_most else ""
    text = f"… {most}{note.events:,} events left out, this terminal is too slow"
    return (f"\x1b[33m{text}\x1b[0m" if coloured else text).encode()
