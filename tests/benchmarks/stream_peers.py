"""Syslog receivers that count messages and look at nothing else, with as little work as their protocols allow."""

import asyncio
import re
import socket
from collections import Counter
from pathlib import Path

_LONGEST_NUMBER = 12
_HEADER = re.compile(rb"(\d{1,9}) ([a-z]{1,32}) (\d{1,9})(?=[ \n])")
_SESSION = b"200 OK\nrelp_version=0\ncommands=syslog"
_LARGEST_DATAGRAM = 2**16


class OctetCounter(asyncio.Protocol):
    """Syslog over TCP: ``LEN SP MSG``."""

    def __init__(self, name: str, received: Counter[str]) -> None:
        self._name = name
        self._received = received
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Count the messages that are complete."""
        data = self._rest + data
        at = 0
        while (space := data.find(b" ", at, at + _LONGEST_NUMBER)) > 0:
            end = space + 1 + int(data[at:space])
            if end > len(data):
                break
            at = end
            self._received[self._name] += 1
        self._rest = data[at:]


class RelpCounter(asyncio.Protocol):
    """Syslog over RELP: answers every command with a yes."""

    def __init__(self, name: str, received: Counter[str]) -> None:
        self._name = name
        self._received = received
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Count the messages that are complete, and answer for them together."""
        data = self._rest + data
        at, answers = 0, b""
        while header := _HEADER.match(data, at):
            length = int(header[3])
            end = header.end() + (1 + length if length else 0) + 1
            if end > len(data):
                break
            at = end
            answers += self._answer(header[1], header[2])
        self._rest = data[at:]
        assert self._transport is not None
        self._transport.write(answers)

    def _answer(self, txnr: bytes, command: bytes) -> bytes:
        if command == b"syslog":
            self._received[self._name] += 1
            return b"%b rsp 6 200 OK\n" % txnr
        if command == b"open":
            return b"%b rsp %d %b\n" % (txnr, len(_SESSION), _SESSION)
        return b"%b rsp 0\n" % txnr


class DatagramCounter:
    """Syslog over UDP. What comes faster than it is read, the kernel drops and counts: it has come all the same."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._read = 0
        self._forgotten = 0

    @property
    def descriptor(self) -> int:
        """What to wait for."""
        return self._socket.fileno()

    def drain(self) -> None:
        """Count what lies there."""
        try:
            while True:
                self._socket.recv(_LARGEST_DATAGRAM)
                self._read += 1
        except BlockingIOError:
            return

    def total(self) -> int:
        """Return how many have come since they were last forgotten."""
        return self._read + self._dropped() - self._forgotten

    def forget(self) -> None:
        """Begin at 0."""
        self.drain()
        self._forgotten = self._read + self._dropped()

    def _dropped(self) -> int:
        """Return what the kernel has dropped at this socket: the last column of its line (proc(5))."""
        address = f"0100007F:{self.port:04X}"
        lines = Path("/proc/net/udp").read_text("ascii").splitlines()
        return next(int(line.split()[-1]) for line in lines if line.split()[1] == address)
