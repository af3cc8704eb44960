"""What a target of the contract suite is."""

import asyncio
import socket
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mcwatch.interfaces import Sink
from mcwatch.option_types import Config
from mcwatch.sinks import SinkConfig

SECRETS = ("s3cret-userinfo", "s3cret-header", "s3cret-from-file")
STALL_SECS = 0.3
_CONFIGS: TypeAdapter[Config] = TypeAdapter(SinkConfig)


class Target(ABC):
    """One target. ``engaged`` is set once a delivery has reached it."""

    type: str
    can_stall = True

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.engaged = asyncio.Event()
        self.arrived = asyncio.Event()

    @abstractmethod
    async def start(self) -> None:
        """Make it reachable, at the same place as before."""

    @abstractmethod
    async def stop(self) -> None:
        """Make it unreachable and break what is under way."""

    @abstractmethod
    async def stall(self) -> None:
        """Let it take deliveries and never answer."""

    @abstractmethod
    async def unstall(self) -> None:
        """Let it answer again."""

    @abstractmethod
    def build(self) -> Sink:
        """Return a sink for it."""

    @abstractmethod
    def payloads(self) -> list[bytes]:
        """Return the payloads received so far, unframed, broken rests left out."""

    def config(self) -> Config | None:
        """Return the configuration, where the sink is built from one."""
        return None

    async def received(self, count: int) -> list[bytes]:
        """Wait until at least ``count`` payloads have arrived."""
        while len(found := self.payloads()) < count:
            self.arrived.clear()
            await self.arrived.wait()
        return found

    def heard(self) -> None:
        """Note that something has come in."""
        self.engaged.set()
        self.arrived.set()


class ConfiguredTarget(Target):
    """A target whose sink comes out of a configuration."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return the sink's options as a configuration file has them."""

    def config(self) -> Config:
        """Return the configuration."""
        return _CONFIGS.validate_python({"type": self.type, **self.options()})

    def build(self) -> Sink:
        """Return the sink the configuration builds."""
        sink: Sink = self.config().build()  # type: ignore[attr-defined]  # every member of the union has it
        return sink


def free_port(kind: socket.SocketKind) -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
