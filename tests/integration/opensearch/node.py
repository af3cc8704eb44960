"""One OpenSearch node in a process of its own.

Its jars (about 53 MB) come from Maven's central repository through `mvn`, once, into ``build/opensearch``.
"""

import asyncio
import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec
import pytest

from tests.acceptance.waiting import eventually
from tests.fakes.http_server import free_port

_HERE: Final = Path(__file__).parent
_JARS: Final = Path(__file__).parents[3] / "build" / "opensearch"
_DONE: Final = _JARS / "complete"
_START_SECS: Final = 90.0
_FETCH_SECS: Final = 540.0
_JSON: Final = "application/json"


def require_jars() -> Path:
    """Return the directory of the server's jars, fetched if it must be.

    Without Java (17 or newer, with its compiler) or Maven the test is skipped. Where they are there and the jars cannot
    be had it is skipped too, or fails where components are required.
    """
    missing = [program for program in ("java", "javac", "mvn") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed (Debian: default-jdk-headless, maven)")
    _JARS.mkdir(parents=True, exist_ok=True)
    with (_JARS / "lock").open("w") as lock:
        # Another worker of pytest-xdist may be fetching them.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _DONE.exists():
            _fetch()
    return _JARS


def _fetch() -> None:
    command = ["mvn", "-q", "-B", "-f", str(_HERE / "pom.xml"), "dependency:copy-dependencies"]
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={_JARS}"], capture_output=True, text=True, timeout=_FETCH_SECS, check=False
        )
        problem = done.stdout[-500:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"mvn took longer than {_FETCH_SECS:.0f} s"
    if not problem:
        _DONE.touch()
        return
    text = f"the jars of OpenSearch could not be fetched: {problem}"
    if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
        pytest.fail(text)
    pytest.skip(text)


class OpenSearch:
    """A node without security; its directory is thrown away with the test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self._log = directory / "opensearch.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        jars = await asyncio.to_thread(require_jars)
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
