"""Syslog receivers that unframe what they get as RFC 6587 and the specification of RELP say."""

import asyncio
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from tests.contract.sink_targets.base import STALL_SECS, ConfiguredTarget, server_tls
from tests.fakes.http_server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADER = re.compile(rb"<\d{1,3}>1(?: [!-~]+){5} ")
_STRUCTURED_DATA = re.compile(rb'(?:-|(?:\[[^ =\]"]{1,32}(?: [^ =\]"]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\])+)(?: |$)')
_RELP_BYTES = 128 * 1024


class StreamSyslogTarget(ConfiguredTarget):
    """A syslog receiver over TCP or TLS that keeps what each connection brought."""

    type = "syslog"

    def __init__(self, directory: Path, framing: str = "octet_counting", *, tls: bool = False) -> None:
        super().__init__(directory)
        self._framing = framing
        self._tls = server_tls(directory) if tls else None
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._connections: list[_Receiving] = []
        self.stalled = False

    @override
    async def start(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # so that a stall shows at once
        listener.bind(("127.0.0.1", self._port))
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=listener, ssl=self._tls)

    def _accept(self) -> asyncio.Protocol:
        self._connections.append(_Receiving(self))
        return self._connections[-1]

    @override
    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for connection in self._connections:
            if connection.transport:
                connection.transport.abort()
                await connection.ended.wait()

    @override
    async def stall(self) -> None:
        self.stalled = True
        for connection in self._connections:
            if connection.transport and not connection.transport.is_closing():
                connection.transport.pause_reading()

    @override
    async def unstall(self) -> None:
        self.stalled = False
        for connection in self._connections:
            if connection.transport and not connection.transport.is_closing():
                connection.transport.resume_reading()

    @override
    def options(self) -> dict[str, Any]:
        options = {
            "address": f"localhost:{self._port}" if self._tls else f"127.0.0.1:{self._port}",
            "framing": self._framing,
            "max_message": "64KiB",
            "connect_timeout": "1s",
            "send_timeout": f"{STALL_SECS}s",
        }
        return options | ({"transport": "tls", "tls": {"ca_file": str(self.directory / "ca.pem")}} if self._tls else {})

    @override
    def payloads(self) -> list[bytes]:
        unframe = octet_counted_messages if self._framing == "octet_counting" else lf_messages
        return [
            message_payload(message) for connection in self._connections for message in unframe(bytes(connection.got))
        ]


class _Receiving(asyncio.Protocol):
    def __init__(self, target: StreamSyslogTarget) -> None:
        self._target = target
        self.got = bytearray()
        self.ended = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._target.engaged.set()
        if self._target.stalled:
            # Not at once: uvloop starts to read after this call.
            asyncio.get_running_loop().call_soon(self.transport.pause_reading)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()

    @override
    def data_received(self, data: bytes) -> None:
        self.got += data
        self._target.heard()


class UdpSyslogTarget(ConfiguredTarget):
    """A syslog receiver over UDP."""

    type = "syslog"
    can_stall = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._port = free_port(socket.SOCK_DGRAM)
        self._socket: socket.socket | None = None
        self._got: list[bytes] = []

    @override
    async def start(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", self._port))
        self._socket.settimeout(0)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    @override
    async def stop(self) -> None:
        if self._socket:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
        self._socket = None

    @override
    async def unstall(self) -> None:
        pass

    @override
    def options(self) -> dict[str, Any]:
        return {"address": f"127.0.0.1:{self._port}", "transport": "udp", "max_message": "32KiB"}

    @override
    def payloads(self) -> list[bytes]:
        return [message_payload(message) for message in self._got]

    def _read(self) -> None:
        if self._socket:
            self._got.append(self._socket.recv(65536))
            self.heard()


class RelpTarget(StreamSyslogTarget):
    """A RELP receiver that ends the connection at the first frame that is not as the specification wants it."""

    def __init__(self, directory: Path, *, tls: bool = False) -> None:
        super().__init__(directory, tls=tls)
        self.violations: list[str] = []
        self.sessions: list[_RelpSession] = []
        self.messages: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = self.accept
        """What a message is answered with; nothing keeps the answer back."""

    def accept(self, message: bytes) -> bytes:
        """Answer as most do."""
        return b"200 OK"

    @override
    def options(self) -> dict[str, Any]:
        options = super().options() | {"transport": "relp"}
        del options["framing"]
        return options

    @override
    def payloads(self) -> list[bytes]:
        assert self.violations == []
        return [message_payload(message) for message in self.messages]

    @override
    def _accept(self) -> asyncio.Protocol:
        self.sessions.append(_RelpSession(self))
        self._connections.append(self.sessions[-1])
        return self.sessions[-1]


class _RelpSession(_Receiving):
    """The server's side of a session: specification 0.0.1, 2008-03-19."""

    def __init__(self, target: RelpTarget) -> None:
        super().__init__(target)
        self._relp = target
        self._expected = 1
        self._is_open = False
        self.is_closed = False
        self.txnrs: list[int] = []

    @override
    def data_received(self, data: bytes) -> None:
        self.got += data
        try:
            while frame := self._next_frame():
                self._obey(*frame)
        except ValueError as violation:
            self._relp.violations.append(str(violation))
            assert self.transport
            self.transport.abort()
        self._relp.heard()

    def say(self, txnr: int, command: bytes, data: bytes = b"") -> None:
        """Send a frame."""
        assert self.transport
        self.transport.write(b"%d %b %d%b\n" % (txnr, command, len(data), b" " + data if data else b""))

    def _next_frame(self) -> tuple[int, bytes, bytes] | None:
        """Take one whole frame off what was received: TXNR SP COMMAND SP DATALEN [SP DATA] LF."""
        header = re.match(rb"(\d+) ([^ ]+) (\d+)([ \n])", self.got)
        if not header:
            if len(self.got) > 60:
                raise ValueError("no header")
            return None
        number, command, digits, separator = header.groups()
        length = int(digits)
        if len(number) > 9 or len(digits) > 9 or length > _RELP_BYTES or not re.fullmatch(b"[a-zA-Z]{1,32}", command):
            raise ValueError("a header beyond its limits")
        if (length == 0) != (separator == b"\n"):
            raise ValueError("a separator where there is no data, or none where there is")
        end = header.end() + length
        if length and len(self.got) <= end:
            return None
        if length and self.got[end] != 0x0A:
            raise ValueError("no trailer")
        data = bytes(self.got[header.end() : end])
        del self.got[: end + (1 if length else 0)]
        return int(number), command, data

    def _obey(self, txnr: int, command: bytes, data: bytes) -> None:
        if txnr != self._expected or self.is_closed:
            raise ValueError(f"transaction {txnr} instead of {self._expected}, or after the end")
        self._expected = 1 if txnr == 999_999_999 else txnr + 1
        self.txnrs.append(txnr)
        if not self._is_open:
            offers = dict(line.partition(b"=")[::2] for line in data.split(b"\n") if line)
            if command != b"open" or not offers[b"relp_version"].isdigit() or offers[b"commands"] != b"syslog":
                raise ValueError("no open, or one without offers")
            self._is_open = True
            self.say(txnr, b"rsp", b"200 OK\nrelp_version=0\nrelp_software=strict,1,none\ncommands=syslog")
        elif command == b"close" and not data:
            self.is_closed = True
            self.say(txnr, b"rsp")
            self.say(0, b"serverclose")
        elif command == b"syslog":
            self._relp.messages.append(data)
            answer = self._relp.answer(data)
            if answer:
                self.say(txnr, b"rsp", answer)
        else:
            raise ValueError(f"command {command!r}")


def octet_counted_messages(stream: bytes) -> list[bytes]:
    """Take a stream apart as a receiver does (RFC 6587 section 3.4.1); an incomplete last message is left out."""
    found, position = [], 0
    while (space := stream.find(b" ", position)) > 0:
        length = int(stream[position:space])
        message = stream[space + 1 : space + 1 + length]
        if len(message) < length:
            break
        found.append(message)
        position = space + 1 + length
    return found


def lf_messages(stream: bytes) -> list[bytes]:
    """Take a stream apart at each LF; an incomplete last message is left out."""
    return stream.split(b"\n")[:-1]


def message_payload(message: bytes) -> bytes:
    """Return what follows the header and the structured data of an RFC 5424 message."""
    return message_parts(message)[1]


def message_parts(message: bytes) -> tuple[bytes, bytes]:
    """Return structured data and MSG of an RFC 5424 message (section 6)."""
    header = _HEADER.match(message)
    assert header, "no RFC 5424 header"
    data = _STRUCTURED_DATA.match(message, header.end())
    assert data, "no structured data, and no - in its place"
    return data[0].removesuffix(b" "), message[data.end() :]
