"""Following a stream of events: from the control socket, or the log of a shared store, to standard output."""

import select
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING

from mcwatch.cli import local
from mcwatch.domain.errors import FailureReason, PermanentError
from mcwatch.domain.readable import readable_line
from mcwatch.domain.tailing import TailNote, TailRequest, Word

if TYPE_CHECKING:
    from mcwatch.settings import Settings

_LOOK_MS = 500
_LOOKS_PER_FLEET = 10
_TOO_SLOW = "this terminal is too slow"
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
            if _show(lines, as_lines=as_lines, coloured=coloured) is Word.STOPPED:
                print("mcwatch: the daemon has stopped", file=sys.stderr)
                return
    raise local.gone()


def follow_fleet(settings: "Settings", request: TailRequest, *, as_lines: bool, coloured: bool) -> None:
    """Print what the replicas of a shared store record until none of them runs.

    Raises PermanentError when none runs at the beginning, BrokenPipeError when nobody reads what is printed, and what
    reading the store raises.
    """
    from mcwatch.app.offline import fleet_tail

    poll = _hanging_up()
    with fleet_tail(settings, request) as tail:
        if not tail.lives():
            raise PermanentError(
                "no replica runs: tail shows the events of running ones",
                reason=FailureReason.CONNECTION,
                remedy="start mcwatch run; events that are kept can be sent again with mcwatch replay",
            )
        looks = 0
        while True:
            for lines in tail.news():
                _show(lines.splitlines(), as_lines=as_lines, coloured=coloured, why="expired before they were shown")
            if poll.poll(_LOOK_MS):
                raise BrokenPipeError
            looks += 1
            if looks % _LOOKS_PER_FLEET == 0 and not tail.lives():
                print("mcwatch: no replica runs any more", file=sys.stderr)
                return


def _show(lines: list[bytes], *, as_lines: bool, coloured: bool, why: str = _TOO_SLOW) -> Word | None:
    """Print events, and the notes that are for people; return the last note's word if it stands at the end."""
    shown: list[bytes] = []
    word: Word | None = None
    for line in lines:
        note = TailNote.read(line)
        word = note.note if note else None
        if note is None:
            shown.append(readable_line(line, coloured=coloured).encode("utf-8", "replace") if as_lines else line)
        elif note.note is Word.LEFT_OUT:
            shown.append(_left_out(note, why, coloured=coloured) if as_lines else line)
    _print(shown)
    return word


def _hanging_up() -> "select.poll":
    """Return what can be polled for nobody reading standard output any more."""
    poll = select.poll()
    with suppress(OSError):  # not a descriptor where standard output was closed at the start
        poll.register(sys.stdout.fileno(), 0)  # no event asked for: it says all the same when the other end has closed
    return poll


def _chunks(answer: HTTPResponse, connected: socket.socket) -> Iterator[list[bytes]]:
    """Yield whole lines as they arrive; raises BrokenPipeError once nobody reads standard output any more."""
    poll = _hanging_up()
    poll.register(connected, select.POLLIN)
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


def _left_out(note: TailNote, why: str, *, coloured: bool) -> bytes:
    most = "up to " if note.at_most else ""
    text = f"… {most}{note.events:,} events left out, {why}"
    return (f"\x1b[33m{text}\x1b[0m" if coloured else text).encode()
