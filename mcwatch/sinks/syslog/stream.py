"""Syslog over TCP and TLS: accepted once the peer's kernel has acknowledged every byte of the batch."""

import asyncio
import socket
import ssl
from collections.abc import Mapping

from mcwatch.domain.delivery import Refusal
from mcwatch.sinks.syslog.address import Address
from mcwatch.sinks.syslog.connection import Connection, LostError
from mcwatch.sinks.syslog.encoder import Encoder
from mcwatch.sinks.syslog.sink import SyslogSink
from mcwatch.sinks.syslog.translate import translated
from mcwatch.tls import TlsOptions


class StreamSink(SyslogSink):
    """Keeps one connection, and opens another when it is lost."""

    def __init__(
        self,
        address: Address,
        encoder: Encoder,
        tls: TlsOptions | None,
        *,
        connect_timeout_secs: float,
        send_timeout_secs: float,
    ) -> None:
        super().__init__(address, encoder)
        self._tls = tls
        self._connect_timeout_secs = connect_timeout_secs
        self._send_timeout_secs = send_timeout_secs
        self._connection: Connection | None = None

    async def check(self) -> str:
        """Connect, shake hands and close again."""
        connection = await self._connect()
        connection.close()
        return f"{self._address} accepts {'TLS' if self._tls else 'TCP'} connections"

    async def _transmit(self, messages: Mapping[int, bytes]) -> dict[int, Refusal]:
        data = b"".join(messages.values())
        if self._connection and self._connection.lost:  # while nothing was under way: no batch failed
            self._close()
        if not self._connection:
            self._connection = await self._connect()
        try:
            async with asyncio.timeout(self._send_timeout_secs):
                await self._connection.send(data)
        except LostError as error:
            self._close()
            why = error.__cause__ if isinstance(error.__cause__, OSError) else ConnectionResetError()
            raise translated(why, str(self._address)) from error
        except OSError as error:
            self._close()
            raise translated(error, str(self._address)) from error
        except BaseException:  # cancelled in the middle of a frame, perhaps: nothing may follow it
            self._close()
            raise
        return {}

    async def _connect(self) -> Connection:
        tls = await self._tls_for_host()
        addresses = await self._address.resolve(socket.SOCK_STREAM)
        last: OSError = ConnectionRefusedError()
        for address in addresses:
            try:
                async with asyncio.timeout(self._connect_timeout_secs / len(addresses)):
                    return await Connection.open(address, tls, user_timeout_secs=self._send_timeout_secs)
            except OSError as error:
                last = error
        raise translated(last, str(self._address)) from last

    async def _tls_for_host(self) -> tuple[ssl.SSLContext, str] | None:
        """Read the TLS files anew, so that exchanged ones count; in a thread, for that takes 25 ms."""
        if not self._tls:
            return None
        return await asyncio.to_thread(self._tls.context), self._address.host

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()
