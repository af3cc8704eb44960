"""POST /-/reload."""

import asyncio

import msgspec
import pytest

from mcwatch.domain.errors import ConfigError
from mcwatch.httpserver.access import Credentials
from mcwatch.httpserver.reloading import ReloadAnswer
from mcwatch.httpserver.server import Listener
from mcwatch.option_types import Secret
from tests.unit.httpserver.answering import answering, ask

LOOPBACK = Listener("127.0.0.1:0")


class _Reload:
    """Counts its calls and answers as told."""

    def __init__(self, answer: ReloadAnswer | ConfigError) -> None:
        self.calls = 0
        self._answer = answer

    async def __call__(self) -> ReloadAnswer:
        self.calls += 1
        if isinstance(self._answer, ConfigError):
            raise self._answer
        return self._answer


async def test_what_was_changed_is_the_answer() -> None:
    """200 names it."""
    reload = _Reload(ReloadAnswer(changed=["account acme"]))
    async with answering(LOOPBACK, reload) as server:
        response = await ask(server, "/-/reload", "POST")

    assert (response.status, reload.calls) == (200, 1)
    assert msgspec.json.decode(response.body) == {"changed": ["account acme"], "problems": []}


@pytest.mark.parametrize("answer", [ReloadAnswer(problems=["a: wrong"]), ConfigError(["a: wrong"])])
async def test_problems_are_a_400(answer: ReloadAnswer | ConfigError) -> None:
    """They are named, whether returned or raised."""
    async with answering(LOOPBACK, _Reload(answer)) as server:
        response = await ask(server, "/-/reload", "POST")

    assert response.status == 400
    assert msgspec.json.decode(response.body) == {"changed": [], "problems": ["a: wrong"]}


async def test_unless_enabled_there_is_no_such_path() -> None:
    """404 for every method."""
    async with answering(LOOPBACK) as server:
        assert [(await ask(server, "/-/reload", method)).status for method in ("GET", "POST")] == [404, 404]


async def test_reading_methods_reload_nothing() -> None:
    """A link or an image cannot cause it."""
    reload = _Reload(ReloadAnswer())
    async with answering(LOOPBACK, reload) as server:
        response = await ask(server, "/-/reload")

    assert (response.status, response.headers["Allow"], reload.calls) == (405, "POST", 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"},
    ],
)  # fmt: skip
async def test_no_browser_may_do_it(headers: dict[str, str]) -> None:
    """No page of ours asks for it, and a stranger's page can have the same origin once its name leads here."""
    reload = _Reload(ReloadAnswer())
    async with answering(LOOPBACK, reload) as server:
        response = await ask(server, "/-/reload", "POST", **headers)

    assert (response.status, reload.calls) == (403, 0)


async def test_the_password_is_needed_where_one_is_set() -> None:
    """Without it nothing is reloaded."""
    reload = _Reload(ReloadAnswer())
    listener = Listener("127.0.0.1:0", credentials=Credentials("ops", Secret("password")))
    async with answering(listener, reload) as server:
        refused = await ask(server, "/-/reload", "POST")
        done = await ask(server, "/-/reload", "POST", Authorization="Basic b3BzOnBhc3N3b3Jk")

    assert (refused.status, done.status, reload.calls) == (401, 200, 1)


async def test_hanging_up_stops_no_reload() -> None:
    """A half of it is never left done."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def reload() -> ReloadAnswer:
        begun.set()
        await may_end.wait()
        ended.set()
        return ReloadAnswer()

    async with answering(LOOPBACK, reload) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        await begun.wait()
        writer.transport.abort()
        # Another request is answered only after the server has seen the end of the first.
        assert (await ask(server, "/healthz")).status == 200
        may_end.set()
        await ended.wait()
