"""Reaching a receiver over TCP or TLS: resolve its name, try its addresses, all within one time."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from mcwatch.sinks.syslog.address import Address, SockAddress
from mcwatch.sinks.syslog.connection import LostError
from mcwatch.sinks.syslog.translate import turned_away
from mcwatch.tls import TlsOptions

T = TypeVar("T")
ClientTls = tuple[ssl.SSLContext, str] | None
"""The context, and the name that the receiver's certificate must show."""


@dataclass(frozen=True, slots=True)
class Dialler:
    """Where the receiver is and how to talk to it; ``timeout_secs`` is for all its addresses together."""

    address: Address
    tls: TlsOptions | None
    timeout_secs: float

    async def reach(self, attempt: Callable[[SockAddress, ClientTls], Awaitable[T]]) -> T:
        """Return what ``attempt`` makes of the first address that answers; raises what the last failure means."""
        tls = await self._tls_for_host()
        addresses = await self.address.resolve(socket.SOCK_STREAM)
        last: OSError | LostError = ConnectionRefusedError()
        for address in addresses:
            try:
                async with asyncio.timeout(self.timeout_secs / len(addresses)):
                    return await attempt(address, tls)
            except (OSError, LostError) as error:
                last = error
        raise turned_away(last, str(self.address)) from last

    async def _tls_for_host(self) -> ClientTls:
        """Read the TLS files anew, so that exchanged ones count; in a thread, for that takes 25 ms."""
        if not self.tls:
            return None
        return await asyncio.to_thread(self.tls.context), self.address.host
