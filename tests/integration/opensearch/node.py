"""One OpenSearch node in a process of its own.

Its jars (about 53 MB) come from Maven's central repository through `mvn`, once, into ``build/opensearch``.
"""

import asyncio
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from tests.acceptance.waiting import eventually
from tests.fakes.http_server import free_port
from tests.integration.jars import require_jars

_HERE: Final = Path(__file__).parent
_START_SECS: Final = 90.0
_JSON: Final = "application/json"


class OpenSearch:
    """A node without security; its directory is thrown away with the test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self._log = directory / "opensearch.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        jars = await asyncio.to_thread(require_jars, _HERE / "pom.xml", "opensearch")
        command = ["java", "-Xmx512m", "-Djava.security.manager=allow", "-cp", f"{jars}/*", str(_HERE / "Node.java")]
        ports = [str(self._port), str(free_port())]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - one call that does not wait
                [*command, str(self._directory / "node"), *ports],
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, cwd=self._directory,
            )  # fmt: skip
        try:
            await eventually(lambda: "READY" in self._text() or not self._alive, _START_SECS)
            assert self._alive, self._text()[-2000:]
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.communicate)

    async def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - whatever JSON it answers
        """Send a request and return the answer; one that is no success fails the test."""
        timeout = aiohttp.ClientTimeout(total=30.0)
        data = None if body is None else msgspec.json.encode(body)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.url + path, data=data, headers={"Content-Type": _JSON}) as response,
        ):
            text = await response.text()
            assert response.status < 300, f"{method} {path}: {text[:1000]}"
            return msgspec.json.decode(text)

    @property
    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _text(self) -> str:
        return self._log.read_text("utf-8", "replace")
