"""Syslog over TCP and TLS: accepted once the peer's kernel has acknowledged every byte of the batch."""

import asyncio
from collections.abc import Mapping

from mcwatch.domain.delivery import ALL_ACCEPTED, Verdicts
from mcwatch.sinks.syslog.address import SockAddress
from mcwatch.sinks.syslog.connection import Connection, LostError
from mcwatch.sinks.syslog.dialling import ClientTls, Dialler
from mcwatch.sinks.syslog.encoder import Encoder
from mcwatch.sinks.syslog.sink import SyslogSink
from mcwatch.sinks.syslog.translate import translated, turned_away


class StreamSink(SyslogSink):
    """Keeps one connection, and opens another when it is lost."""

    def __init__(self, dialler: Dialler, encoder: Encoder, *, send_timeout_secs: float) -> None:
        super().__init__(dialler.address, encoder)
        self._dialler = dialler
        self._send_timeout_secs = send_timeout_secs
        self._connection: Connection | None = None

    async def check(self) -> str:
        """Connect, shake hands, see whether the receiver lets us in, and close again."""
        connection = await self._dialler.reach(self._open)
        try:
            await connection.prove()
        except LostError as error:
            raise turned_away(error, str(self._address)) from error
        finally:
            connection.close()
        return f"{self._address} accepts {'TLS' if self._dialler.tls else 'TCP'} connections"

    async def _transmit(self, messages: Mapping[int, bytes]) -> Verdicts:
        data = b"".join(messages.values())
        if self._connection and self._connection.lost:  # while nothing was under way: no batch failed
            self._close()
        if not self._connection:
            self._connection = await self._dialler.reach(self._open)
        try:
            async with asyncio.timeout(self._send_timeout_secs):
                await self._connection.send(data)
        except (LostError, OSError) as error:
            meaning = translated if self._connection.proved else turned_away
            self._close()
            raise meaning(error, str(self._address)) from error
        except BaseException:  # cancelled in the middle of a frame, perhaps: nothing may follow it
            self._close()
            raise
        return ALL_ACCEPTED

    async def _open(self, address: SockAddress, tls: ClientTls) -> Connection:
        return await Connection.open(address, tls, user_timeout_secs=self._send_timeout_secs)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()
