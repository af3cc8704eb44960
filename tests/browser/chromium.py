"""A real headless Chromium, spoken to by its DevTools protocol over a WebSocket.

The protocol needs nothing that is not here already (aiohttp); a driver of its own would bring 50 MB and a Node.js.
"""

import asyncio
import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

_FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-default-apps --disable-extensions --disable-dev-shm-usage
--hide-scrollbars --font-render-hinting=none --remote-debugging-port=0
""".split()
_START_SECS = 30.0
_CALL_SECS = 30.0
_KEYS = {"Tab": 9, "Enter": 13, " ": 32}

Answer = dict[str, Any]


class Page:
    """One tab. ``problems`` are complaints of the browser's console, ``requests`` the URLs it has asked for."""

    def __init__(self, browser: "Chromium", session: str) -> None:
        self._browser = browser
        self._session = session
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.loaded = asyncio.Event()

    async def call(self, method: str, **params: object) -> Answer:
        """Call a method of the protocol in this tab."""
        return await self._browser.call(method, self._session, **params)

    async def open(self, url: str) -> None:
        """Load a URL and wait until all of it is there."""
        self.loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(_CALL_SECS):
            await self.loaded.wait()

    async def look(self, width: int, height: int = 900, *, dark: bool = False, scale: float = 1.0) -> None:
        """Set the size of the window in CSS pixels, and the colours that are preferred."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def value(self, script: str) -> Any:  # noqa: ANN401 - whatever the script makes
        """Run a script (an expression, awaited when it is a promise) and return its value."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def press(self, key: str) -> None:
        """Press and release a key."""
        code = _KEYS[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                text=text * (kind == "keyDown"),
            )

    async def picture(self, height: int | None = None) -> bytes:
        """Return the page as PNG: all of it, or the part down to ``height``."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        answer = await self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def take(self, method: str, params: Answer) -> None:
        """Take in an event of the tab."""
        if method == "Page.loadEventFired":
            self.loaded.set()
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in {"error", "warning", "assert"}:
            self.problems.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in {"error", "warning"}:
            self.problems.append(params["entry"]["text"])


class Chromium:
    """The browser, with a profile of its own that is thrown away; leaving the context ends it."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._profile = Path(tempfile.mkdtemp(prefix="mcwatch-chromium-"))
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._pages: dict[str, Page] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(asyncio.to_thread, shutil.rmtree, self._profile, ignore_errors=True)
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """Open an empty tab that shares nothing with others, whose complaints are collected from the beginning."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = (await self.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.call(f"{domain}.enable")
        try:
            yield page
        finally:
            await self.call("Target.disposeBrowserContext", browserContextId=context)

    async def call(self, method: str, session: str = "", **params: object) -> Answer:
        """Call a method of the protocol."""
        number = len(self._answers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        await self._socket.send_json(message)
        async with asyncio.timeout(_CALL_SECS):
            answer = await self._answers[number]
        assert "error" not in answer, f"{method}: {answer}"
        result: Answer = answer["result"]
        return result

    async def _start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            self._program,
            *_FLAGS,
            f"--user-data-dir={self._profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self._stack.push_async_callback(process.wait)
        self._stack.callback(process.kill)
        assert process.stderr is not None
        address = await self._address(process.stderr)
        drain = asyncio.create_task(process.stderr.read())  # a full pipe would stop the browser
        self._stack.callback(drain.cancel)
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._socket = await session.ws_connect(address, max_msg_size=0)
        listening = asyncio.create_task(self._listen())
        self._stack.callback(listening.cancel)

    async def _address(self, stderr: asyncio.StreamReader) -> str:
        said = []
        async with asyncio.timeout(_START_SECS):
            async for raw in stderr:
                line = raw.decode(errors="replace").strip()
                said.append(line)
                if line.startswith("DevTools listening on "):
                    return line.rpartition(" ")[2]
        raise AssertionError(f"Chromium did not start: {said}")

    async def _listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                waiting = self._answers[told["id"]]
                if not waiting.done():
                    waiting.set_result(told)
            elif page := self._pages.get(told.get("sessionId", "")):
                page.take(told["method"], told["params"])
