"""Splunk's HTTP Event Collector."""

from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.contract.sink_targets.base import SECRETS, STALL_SECS, ConfiguredTarget, server_tls
from tests.fakes.hec import Hec, Token
from tests.fakes.http_server import free_port


class HecTarget(ConfiguredTarget):
    """A HEC that indexes at once, with or without acknowledgement."""

    type = "splunk_hec"

    def __init__(self, directory: Path, *, ack: bool = True, tls: bool = False, compression: str = "gzip") -> None:
        super().__init__(directory)
        self._ack = ack
        self._compression = compression
        self._hec = Hec(port=free_port(), tls=server_tls(directory) if tls else None)
        self._hec.tokens = {SECRETS[2]: Token(has_ack=ack)}
        self._hec.engaged = self.engaged
        self._hec.on_index = lambda _events: self.heard()
        (directory / "token").write_text(SECRETS[2] + "\n")

    @override
    async def start(self) -> None:
        await self._hec.start()

    @override
    async def stop(self) -> None:
        self._hec.answering.set()
        await self._hec.stop()

    @override
    async def stall(self) -> None:
        self._hec.answering.clear()

    @override
    async def unstall(self) -> None:
        self._hec.answering.set()

    @override
    def options(self) -> dict[str, Any]:
        return {
            "url": self._hec.url,
            "token": {"file": str(self.directory / "token")},
            "ack": self._ack,
            "compression": self._compression,
            "timeout": f"{STALL_SECS}s",
            "tls": {"ca_file": str(self.directory / "ca.pem")} if self._hec.url.startswith("https") else {},
        }

    @override
    def payloads(self) -> list[bytes]:
        return [bytes(envelope["event"]) for envelope in self._hec.indexed]
