"""A web hook."""

import asyncio
import gzip
import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from aiohttp import web
from typing_extensions import override

from tests.contract.sink_targets.base import SECRETS, STALL_SECS, ConfiguredTarget, server_tls
from tests.fakes.http_server import HttpServer, free_port


@dataclass(frozen=True)
class Wire:
    """How a web hook wants its requests."""

    body: str = "ndjson"
    compression: str = "gzip"
    tls: bool = False
    signed: bool = False


class HttpTarget(ConfiguredTarget):
    """A web hook."""

    type = "http"

    def __init__(self, directory: Path, wire: Wire | None = None) -> None:
        super().__init__(directory)
        self._wire = wire or Wire()
        self._tls = server_tls(directory) if self._wire.tls else None
        self._server = HttpServer(self._take, free_port(), self._tls, unpacks=False, patience_secs=0)
        self._answers = asyncio.Event()
        self._answers.set()
        self._got: list[bytes] = []
        (directory / "token").write_text(SECRETS[2])

    @override
    async def start(self) -> None:
        await self._server.start()

    @override
    async def stop(self) -> None:
        self._answers.set()
        await self._server.stop()

    @override
    async def stall(self) -> None:
        self._answers.clear()

    @override
    async def unstall(self) -> None:
        self._answers.set()

    @override
    def options(self) -> dict[str, Any]:
        scheme, _, where = self._server.url.partition("://")
        options: dict[str, Any] = {
            "url": f"{scheme}://user:{SECRETS[0]}@{where}/in?token={SECRETS[0]}",
            "headers": {"X-Key": SECRETS[1], "X-Token": {"file": str(self.directory / "token")}},
            "body": self._wire.body,
            "compression": self._wire.compression,
            "timeout": f"{STALL_SECS}s",
        }
        if self._tls:
            options["tls"] = {"ca_file": str(self.directory / "ca.pem")}
        if self._wire.signed:
            options["signature"] = {"secret": {"file": str(self.directory / "token")}}
        return options

    @override
    def payloads(self) -> list[bytes]:
        return self._got

    async def _take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.engaged.set()
        await self._answers.wait()
        assert request.path == "/in"
        assert request.headers["X-Key"] == SECRETS[1]
        assert request.headers["X-Token"] == SECRETS[2]
        if self._wire.signed:
            assert request.headers["X-Mcwatch-Signature"] == _signature(request.headers["X-Mcwatch-Timestamp"], raw)
        if request.method == "POST":
            self._got += self._events(_unpacked(raw, request.headers.get("Content-Encoding")))
        self.heard()
        return web.Response(status=204)

    def _events(self, body: bytes) -> list[bytes]:
        if self._wire.body == "array":
            return [bytes(one) for one in msgspec.json.decode(body, type=list[msgspec.Raw])]
        return [body] if self._wire.body == "single" else body.split(b"\n")[:-1]


def _signature(timestamp: str, body: bytes) -> str:
    """Sign as the description of the option says."""
    return "sha256=" + hmac.new(SECRETS[2].encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _unpacked(body: bytes, encoding: str | None) -> bytes:
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompress(body)
    return gzip.decompress(body) if encoding == "gzip" else body
