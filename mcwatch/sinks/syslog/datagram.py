"""Syslog over UDP: one datagram per message, accepted once written (RFC 5426). What the network loses is lost."""

import asyncio
import errno
import socket
from collections.abc import Mapping

from mcwatch.domain.delivery import Refusal, Verdicts
from mcwatch.domain.errors import FailureReason
from mcwatch.sinks.syslog.address import Address
from mcwatch.sinks.syslog.encoder import Encoder
from mcwatch.sinks.syslog.sink import SyslogSink
from mcwatch.sinks.syslog.translate import translated

_REFUSAL_WAIT_SECS = 0.2
"""How long a first datagram after trouble waits for the ICMP message that says that nobody listens."""


class DatagramSink(SyslogSink):
    """Keeps one connected UDP socket, because only such a one hears that the port is closed."""

    def __init__(self, address: Address, encoder: Encoder, *, send_timeout_secs: float) -> None:
        super().__init__(address, encoder)
        self._send_timeout_secs = send_timeout_secs
        self._socket: socket.socket | None = None
        self._in_doubt = True

    async def check(self) -> str:
        """Resolve the name; nothing more can be known of a UDP receiver without sending to it."""
        (await self._connect()).close()
        return f"{self._address} resolves; UDP does not tell whether anybody listens"

    async def _transmit(self, messages: Mapping[int, bytes]) -> Verdicts:
        refused: dict[int, Refusal] = {}
        try:
            if not self._socket:
                self._socket = await self._connect()
            _raise_pending(self._socket)
            async with asyncio.timeout(self._send_timeout_secs):
                for index, message in messages.items():
                    refusal = await self._send(self._socket, message)
                    if refusal:
                        refused[index] = refusal
            _raise_pending(self._socket)
        except OSError as error:
            self._close()
            raise translated(error, str(self._address)) from error
        return Verdicts(refused=refused)

    async def _send(self, sock: socket.socket, message: bytes) -> Refusal | None:
        try:
            try:
                sock.send(message)
            except BlockingIOError:  # the local buffer is full: wait for room, drop nothing
                await asyncio.get_running_loop().sock_sendall(sock, message)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            return Refusal(
                FailureReason.TOO_LARGE, f"the message has {len(message)} bytes, more than fits into a UDP datagram"
            )
        if self._in_doubt:
            await _wait_for_refusal(sock)
            self._in_doubt = False
        return None

    async def _connect(self) -> socket.socket:
        family, target = (await self._address.resolve(socket.SOCK_DGRAM))[0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.settimeout(0)
            sock.connect(target)
        except OSError as error:
            sock.close()
            raise translated(error, str(self._address)) from error
        return sock

    def _close(self) -> None:
        sock, self._socket = self._socket, None
        self._in_doubt = True
        if sock:
            sock.close()


def _raise_pending(sock: socket.socket) -> None:
    """Raise what ICMP has reported since the last look."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, "nobody listens there" if code == errno.ECONNREFUSED else errno.errorcode.get(code, ""))


async def _wait_for_refusal(sock: socket.socket) -> None:
    """Wait a moment for an error on the socket, and raise it."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_reader(sock.fileno(), heard.set)
    try:
        async with asyncio.timeout(_REFUSAL_WAIT_SECS):
            await heard.wait()
    except TimeoutError:
        return
    finally:
        loop.remove_reader(sock.fileno())
    _raise_pending(sock)
