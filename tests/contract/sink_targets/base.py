"""What a target of the contract suite is."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest
import trustme
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

    async def stall(self) -> None:
        """Let it take deliveries and never answer; where nothing stalls a write, skip the test."""
        pytest.skip("a write to it cannot stall")

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


def server_tls(directory: Path) -> ssl.SSLContext:
    """Return the context of a server on localhost; its authority is left as ``ca.pem``."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context
