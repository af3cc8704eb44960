"""A strict receiver of bulk requests."""

import re
from pathlib import Path
from typing import Any, Literal

from typing_extensions import override

from tests.contract.sink_targets.base import SECRETS, STALL_SECS, ConfiguredTarget, server_tls
from tests.fakes.elasticsearch import BulkReceiver, Options
from tests.fakes.http_server import free_port

_PUT_IN_FRONT = re.compile(rb'\{"@timestamp":"[^"]*",')
Way = Literal["plain", "gzip", "tls"]


class ElasticsearchTarget(ConfiguredTarget):
    """An Elasticsearch with security, written to as a data stream; as an index where nothing is packed."""

    type = "elasticsearch"

    def __init__(self, directory: Path, way: Way = "gzip") -> None:
        super().__init__(directory)
        self._way = way
        self._receiver = BulkReceiver(
            Options(authorization=f"ApiKey {SECRETS[2]}"),
            free_port(),
            server_tls(directory) if way == "tls" else None,
        )
        self._receiver.engaged, self._receiver.arrived = self.engaged, self.arrived
        (directory / "key").write_text(SECRETS[2])

    @override
    async def start(self) -> None:
        await self._receiver.start()

    @override
    async def stop(self) -> None:
        await self._receiver.stop()

    @override
    async def stall(self) -> None:
        self._receiver.answers.clear()

    @override
    async def unstall(self) -> None:
        self._receiver.answers.set()

    @override
    def options(self) -> dict[str, Any]:
        target = {"index": "mail"} if self._way == "plain" else {"data_stream": "logs-mimecast-default"}
        return {
            "url": self._receiver.url,
            "api_key": {"file": str(self.directory / "key")},
            "compression": "none" if self._way == "plain" else "gzip",
            "timeout": f"{STALL_SECS}s",
            **({"tls": {"ca_file": str(self.directory / "ca.pem")}} if self._way == "tls" else {}),
            **target,
        }

    @override
    def payloads(self) -> list[bytes]:
        return [_PUT_IN_FRONT.sub(b"{", source, count=1) for source in self._receiver.written]
