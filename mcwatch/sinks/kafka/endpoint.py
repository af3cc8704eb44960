"""Where a broker listens, as the configuration and the cluster write it."""

import re
from dataclasses import dataclass
from typing import Self

_ENDPOINT = re.compile(r"(?P<host>[^\s:\[\]/]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Host and port of a broker's listener."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``host:port`` or ``[IPv6]:port``; raises ValueError that says what is expected."""
        found = _ENDPOINT.fullmatch(text)
        if not found or not 1 <= int(found["port"]) <= 65_535:
            raise ValueError(f"{text!r} is no address of a broker: write host:port, an IPv6 address as [::1]:9093")
        return cls(found["host"].strip("[]"), int(found["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
