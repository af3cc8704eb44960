"""One TCP connection whose peer's acknowledgement can be waited for, with or without TLS.

A plain socket rather than an asyncio transport: a transport has buffers of its own, above and below TLS, and "sent"
would have to mean that all of them are empty. Here bytes are either in the kernel or not yet sent.
"""

import asyncio
import fcntl
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Callable
from typing import Self

from mcwatch.sinks.syslog.address import SockAddress
from mcwatch.sinks.syslog.tls_session import TlsSession

_READ_BYTES = 64 * 1024
_READS = 16  # at a time: a peer that never stops talking must not hold up the loop
_FIRST_LOOK_SECS = 0.0002  # loopback and LAN acknowledge within this
_LONGEST_LOOK_SECS = 0.02
_QUIET_SECS = 0.25
"""Where the kernel cannot be asked: a peer that has not closed or reset by then is taken to have the bytes."""
_PROBATION_SECS = 0.15
"""A peer that turns us away does so soon after it has our first bytes: with TLS 1.3 it sees our certificate only after
the handshake is over here, a TLS port finds that we speak none, a relay that nobody is behind it. Its kernel has
acknowledged those bytes all the same."""
_PATIENCE_SECS = 0.5  # where nothing is sent that would have to travel first, a distant peer needs longer
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # dead peers found within a minute


class LostError(Exception):
    """The connection is gone; ``__cause__`` says why when the peer did not simply close it."""


def unacknowledged_bytes(descriptor: int) -> int | None:
    """Return how many bytes the peer's kernel has not acknowledged (SIOCOUTQ, tcp(7)); None where that is unknown."""
    if sys.platform != "linux":
        return None
    answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


class Connection:
    """A connected socket and its TLS session. Closed for good by the first failure."""

    def __init__(
        self,
        sock: socket.socket,
        tls: TlsSession | None,
        user_timeout_secs: float,
        outstanding: Callable[[int], int | None],
        heard: Callable[[bytes], None] | None,
    ) -> None:
        self._sock = sock
        # A send must be able to end within the time that its caller gives it.
        self._longest_pause_secs = user_timeout_secs / 2
        self._tls = tls
        self._outstanding = outstanding
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._lost = asyncio.Event()
        self._why: OSError | None = None
        self.proved = False
        """Whether it has outlived the first bytes sent."""

    @classmethod
    async def open(
        cls,
        address: SockAddress,
        tls: tuple[ssl.SSLContext, str] | None,
        *,
        user_timeout_secs: float,
        outstanding: Callable[[int], int | None] = unacknowledged_bytes,
        heard: Callable[[bytes], None] | None = None,
    ) -> Self:
        """Connect and shake hands; ``tls`` is the context and the name to check.

        Raises LostError when the peer closes during the handshake, else OSError, ssl.SSLError too.

        ``heard`` is given what the peer says, and nothing (``b""``) when the connection is lost; without it what the
        peer says is dropped.
        """
        family, target = address
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(0)
            _tune(sock, user_timeout_secs)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, target)
            session = None
            if tls:
                session = TlsSession(*tls)
                try:
                    await session.handshake(sock)
                except ConnectionResetError as error:
                    raise LostError from error
            connection = cls(sock, session, user_timeout_secs, outstanding, heard)
            loop.add_reader(sock.fileno(), connection._read)
        except BaseException:
            sock.close()
            raise
        return connection

    async def prove(self) -> None:
        """Return when the peer has not turned us away for a while, with nothing sent; raises LostError."""
        await self._lost_within(_PATIENCE_SECS)
        self.raise_if_lost()

    async def write(self, data: bytes) -> None:
        """Hand ``data`` to the kernel; raises LostError, OSError."""
        self._read()  # a close that arrived since the last batch
        self.raise_if_lost()
        try:
            await self._loop.sock_sendall(self._sock, self._tls.encrypted(data) if self._tls else data)
        except (BrokenPipeError, ConnectionResetError) as error:
            self._read()  # what the peer said before it closed, such as a TLS alert, tells more than the broken pipe
            raise LostError from self._why or error

    async def send(self, data: bytes) -> None:
        """Send ``data`` and return once the peer's kernel has acknowledged all of it; raises LostError, OSError.

        The first time it waits a moment longer, for the peer to turn us away.
        """
        await self.write(data)
        await self._acknowledged()
        if not self.proved:
            await self._lost_within(_PROBATION_SECS)
        self._read()  # a reset empties the queue as well
        self.raise_if_lost()
        self.proved = True

    @property
    def lost(self) -> bool:
        """Whether the peer has closed or reset the connection."""
        return self._lost.is_set()

    def raise_if_lost(self) -> None:
        """Raise LostError when the peer has closed or reset the connection."""
        if self._lost.is_set():
            raise LostError from self._why

    def close(self) -> None:
        """Close the socket, with a TLS farewell if there is room for it."""
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock.fileno())
        try:
            if self._tls and not self._lost.is_set():
                self._sock.send(self._tls.farewell())
        except OSError:
            pass  # it was a courtesy
        finally:
            self._sock.close()

    async def _acknowledged(self) -> None:
        look_secs = _FIRST_LOOK_SECS
        while not self._lost.is_set():
            left = self._outstanding(self._sock.fileno())
            if left is None:
                await self._lost_within(_QUIET_SECS)
                return
            if not left:
                return
            await self._lost_within(look_secs)
            look_secs = min(look_secs * 2, _LONGEST_LOOK_SECS)

    async def _lost_within(self, secs: float) -> None:
        try:
            async with asyncio.timeout(min(secs, self._longest_pause_secs)):
                await self._lost.wait()
        except TimeoutError:
            pass

    def _read(self) -> None:
        """Take what the peer says, and its end."""
        if self._lost.is_set():
            return
        try:
            for _ in range(_READS):
                data = self._sock.recv(_READ_BYTES)
                said, ended = self._tls.heard(data) if self._tls and data else (data, not data)
                if self._heard and said:
                    self._heard(said)
                if ended:
                    self._set_lost(None)
                    return
        except BlockingIOError:
            pass
        except OSError as error:
            self._set_lost(error)

    def _set_lost(self, why: OSError | None) -> None:
        self._why = why
        self._lost.set()
        self._loop.remove_reader(self._sock.fileno())
        if self._heard:
            self._heard(b"")


def _tune(sock: socket.socket, user_timeout_secs: float) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {**_KEEPALIVE, "TCP_USER_TIMEOUT": max(1, round(user_timeout_secs * 1000))}
    for name, value in options.items():
        if hasattr(socket, name):  # not every system has all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
