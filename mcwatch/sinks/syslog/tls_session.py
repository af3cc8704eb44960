"""TLS over a non-blocking socket, as a pair of memory buffers: nothing is held back between it and the kernel."""

import asyncio
import socket
import ssl
from contextlib import suppress

_READ_BYTES = 64 * 1024


class TlsSession:
    """The client's side of one TLS connection."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    async def handshake(self, sock: socket.socket) -> None:
        """Shake hands; raises ssl.SSLError or OSError, ConnectionResetError when the peer closes without a word."""
        loop = asyncio.get_running_loop()
        done = False
        while not done:
            try:
                self._ssl.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                await self._flush(sock)  # the alert that tells the peer why
                raise
            await self._flush(sock)
            if not done:
                data = await loop.sock_recv(sock, _READ_BYTES)
                if not data:
                    raise ConnectionResetError("closed during the TLS handshake")
                self._incoming.write(data)

    def encrypted(self, data: bytes) -> bytes:
        """Return the records that carry ``data``, after whatever TLS itself has to say."""
        self._ssl.write(data)
        return self._outgoing.read()

    def heard(self, data: bytes) -> tuple[bytes, bool]:
        """Take in what the peer sent; return what it says and whether it said farewell.

        Raises ssl.SSLError on its alert.
        """
        self._incoming.write(data)
        said = bytearray()
        try:
            while part := self._ssl.read(_READ_BYTES):
                said += part
        except ssl.SSLWantReadError:
            return bytes(said), False
        except ssl.SSLZeroReturnError:
            pass
        return bytes(said), True

    def farewell(self) -> bytes:
        """Return the closing alert (RFC 8446 section 6.1)."""
        with suppress(ssl.SSLError):  # it wants to wait for the peer's, which nobody needs
            self._ssl.unwrap()
        return self._outgoing.read()

    async def _flush(self, sock: socket.socket) -> None:
        data = self._outgoing.read()
        if data:
            with suppress(BrokenPipeError, ConnectionResetError):  # what is read next says why the peer has closed
                await asyncio.get_running_loop().sock_sendall(sock, data)
