"""The address of a syslog receiver, and the addresses behind its name."""

import asyncio
import re
import socket
from dataclasses import dataclass
from typing import Self

from mcwatch.domain.errors import FailureReason, TransientError

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[\w.]+)?)\]|(?P<host>[^\s:\[\]/@]+)):(?P<port>\d{1,5})")

SockAddress = tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""An address family and what ``connect`` takes."""


@dataclass(frozen=True, slots=True)
class Address:
    """Host name or IP address, and port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``host:port`` or ``[ipv6]:port``; raises ValueError that says how to write it."""
        match = _ADDRESS.fullmatch(text.strip())
        if not match or not 0 < int(match["port"]) < 65536:
            raise ValueError("write the address as host:port, an IPv6 address as [::1]:514")
        return cls(match["ipv6"] or match["host"], int(match["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def resolve(self, kind: socket.SocketKind) -> list[SockAddress]:
        """Return the addresses to try, best first; raises TransientError."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=kind)
        except OSError as error:
            raise TransientError(
                f"the host name of {self} cannot be resolved: {error.strerror}",
                reason=FailureReason.CONNECTION,
                remedy="check the name in sink.address and the name server",
            ) from error
        return [(family, address) for family, _, _, _, address in found]
