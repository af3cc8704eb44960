"""Syslog receivers that unframe what they get as RFC 6587 says."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any, cast

import trustme
from typing_extensions import override

from tests.contract.sink_targets.base import STALL_SECS, ConfiguredTarget, free_port


class StreamSyslogTarget(ConfiguredTarget):
    """A syslog receiver over TCP or TLS that keeps what each connection brought."""

    type = "syslog"

    def __init__(self, directory: Path, framing: str = "octet_counting", *, tls: bool = False) -> None:
        super().__init__(directory)
        self._framing = framing
        self._tls = _server_tls(directory) if tls else None
        self._port = free_port(socket.SOCK_STREAM)
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
        self.transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._target.engaged.set()
        if self._target.stalled:
            # Not at once: uvloop starts to read after this call.
            asyncio.get_running_loop().call_soon(self.transport.pause_reading)

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
    async def stall(self) -> None:
        raise NotImplementedError

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
    """Return what follows the header of an RFC 5424 message without structured data."""
    return message.split(b" ", 7)[7]


def _server_tls(directory: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context
