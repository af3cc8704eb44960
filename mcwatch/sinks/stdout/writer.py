"""Writes to a pipe, terminal or file that may be slow, stuck or gone, without ever leaving a broken line behind."""

import os
import select
import stat
import threading

_SLICE_MS = 50
"""How often a stalled write looks whether it is still wanted."""
_FILE_CHUNK_BYTES = 2**20
"""Regular files never stall, so they get big writes; a pipe that is writable takes PIPE_BUF without blocking."""


class LineWriter:
    """Writes whole lines to a file descriptor; blocking, for one thread at a time.

    A write that is given up in the middle of a line leaves the rest of that line to be written first next time.
    """

    def __init__(self, descriptor: int, stall_secs: float) -> None:
        self._descriptor = descriptor
        self._stall_slices = max(1, round(stall_secs * 1000 / _SLICE_MS))
        self._rest = b""
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._chunk_bytes = _FILE_CHUNK_BYTES if regular else select.PIPE_BUF

    def write(self, data: bytes, unwanted: threading.Event) -> None:
        """Write ``data``, which ends with a line end.

        Raises TimeoutError when nothing moves for the stall time or ``unwanted`` is set, else what the system raises.
        """
        whole, done = self._rest + data, 0
        view = memoryview(whole)
        try:
            while done < len(view):
                self._wait_until_writable(unwanted)
                try:
                    done += os.write(self._descriptor, view[done : done + self._chunk_bytes])
                except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
                    continue
        finally:
            self._rest = self._rest_of_line(whole, done)

    def _wait_until_writable(self, unwanted: threading.Event) -> None:
        for _ in range(self._stall_slices):
            if self._poll.poll(_SLICE_MS):
                return
            if unwanted.is_set():
                break
        raise TimeoutError

    def _rest_of_line(self, whole: bytes, done: int) -> bytes:
        at_line_start = whole[done - 1 : done] == b"\n" if done else not self._rest
        return b"" if at_line_start else whole[done : whole.index(b"\n", done) + 1]
