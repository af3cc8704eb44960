"""A web hook."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from typing_extensions import override

from tests.contract.sink_targets.base import SECRETS, STALL_SECS, ConfiguredTarget, free_port


class HttpTarget(ConfiguredTarget):
    """A web hook."""

    type = "http"

    def __init__(self, directory: Path, body: str = "ndjson", compression: str = "gzip") -> None:
        super().__init__(directory)
        self._body = body
        self._compression = compression
        self._port = free_port(socket.SOCK_STREAM)
        self._runner: web.AppRunner | None = None
        self._answers = asyncio.Event()
        self._answers.set()
        self._got: list[bytes] = []
        (directory / "token").write_text(SECRETS[2])

    @override
    async def start(self) -> None:
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/in", self._take)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()

    @override
    async def stop(self) -> None:
        self._answers.set()
        if self._runner:
            await self._runner.cleanup()
        self._runner = None

    @override
    async def stall(self) -> None:
        self._answers.clear()

    @override
    async def unstall(self) -> None:
        self._answers.set()

    @override
    def options(self) -> dict[str, Any]:
        return {
            "url": f"http://user:{SECRETS[0]}@127.0.0.1:{self._port}/in?token={SECRETS[0]}",
            "headers": {"X-Key": SECRETS[1], "X-Token": {"file": str(self.directory / "token")}},
            "body": self._body,
            "compression": self._compression,
            "timeout": f"{STALL_SECS}s",
        }

    @override
    def payloads(self) -> list[bytes]:
        return self._got

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.engaged.set()
        await self._answers.wait()
        if request.method == "POST":
            assert request.headers["X-Key"] == SECRETS[1]
            assert request.headers["X-Token"] == SECRETS[2]
            if self._body == "array":
                self._got += [bytes(one) for one in msgspec.json.decode(body, type=list[msgspec.Raw])]
            else:
                self._got += body.split(b"\n")[:-1]
        self.heard()
        return web.Response(status=204)
