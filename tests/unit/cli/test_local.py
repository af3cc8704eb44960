"""Short questions over a real control socket."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from mcwatch.cli import local
from mcwatch.domain.errors import FailureReason, PermanentError, StoreUnavailable, TransientError
from mcwatch.domain.tailing import TailRequest
from mcwatch.httpserver.control import ControlRequest, ControlRoute, ControlServer
from mcwatch.httpserver.socket_path import control_socket_path
from mcwatch.httpserver.streaming import StreamRoute

Answer = dict[str, bool]


async def _yes(_request: ControlRequest) -> object:
    return {"alive": True}


async def _full(_request: ControlRequest) -> object:
    raise StoreUnavailable("the disk is full", remedy="make room")


async def test_an_answer(tmp_path: Path) -> None:
    """Comes decoded; what is refused says why; what is not known is of another version."""
    store = tmp_path / "s.db"
    routes = [ControlRoute("GET", "/health", _yes), ControlRoute("GET", "/full", _full)]
    async with ControlServer(store, routes):
        assert {"alive": True} == await asyncio.to_thread(local.ask, store, "/health", Answer)
        with pytest.raises(PermanentError, match="the running daemon says: the disk is full") as full:
            await asyncio.to_thread(local.ask, store, "/full", Answer)
        with pytest.raises(PermanentError, match="does not know /none: it is of another version"):
            await asyncio.to_thread(local.ask, store, "/none?x=1", Answer)
        with pytest.raises(PermanentError, match="cannot be read"):
            await asyncio.to_thread(local.ask, store, "/health", list[str])
    assert "make room" == full.value.remedy


def test_no_daemon(tmp_path: Path) -> None:
    """No socket, a dead one, another file, no directory: none runs."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(control_socket_path(tmp_path / "stale.db")))
    control_socket_path(tmp_path / "file.db").write_text("")
    for name in ("none.db", "stale.db", "file.db", "none/s.db", "file.db.sock/s.db"):
        assert local.ask(tmp_path / name, "/health", Answer) is None


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[Path]:
    """Give a store beside which somebody listens and says nothing, as a stopped process does."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(control_socket_path(tmp_path / "s.db")))
        listening.listen(1)
        yield tmp_path / "s.db"


def test_a_stopped_daemon(mute: Path) -> None:
    """Is there and does not answer, which is said with how long was waited."""
    with pytest.raises(TransientError, match="did not answer within 0 s") as late:
        local.ask(mute, "/health", Answer, 0.05)
    assert FailureReason.TIMEOUT == late.value.reason


def test_a_stopped_daemon_that_takes_no_more_connections(mute: Path) -> None:
    """Its queue is full: the same."""
    callers = [local.connect(mute, 0.05) for _ in range(2)]
    with pytest.raises(TransientError, match="did not answer"):
        local.connect(mute, 0.05)
    for one in callers:
        assert one is not None
        one.close()


def test_a_daemon_that_hangs_up(mute: Path) -> None:
    """Is none."""
    with socket.socket(socket.AF_UNIX) as listening:
        path = mute.with_name("t.db")
        listening.bind(str(control_socket_path(path)))
        listening.listen(1)
        connected = local.connect(path)
    assert connected is not None
    with connected, pytest.raises(TransientError, match="went away"):
        local.stream(connected, path, "/tail", TailRequest())


def test_the_socket_of_another_user(mute: Path) -> None:
    """The message says whose it is, or at least that it is another's."""
    path = control_socket_path(mute)
    path.chmod(0)
    for folder in (mute.parent, *mute.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        with pytest.raises(PermanentError, match=r"belongs to .*, and no other may use it") as refused:
            local.connect(mute)
    finally:
        if root:
            os.seteuid(0)
    assert "sudo -u" in refused.value.remedy


async def test_a_stream(tmp_path: Path) -> None:
    """Its lines can be read as they come; an error before the first one is raised."""

    async def lines(body: bytes) -> AsyncGenerator[bytes, None]:
        if b"refuse" in body:
            raise PermanentError("no")
        yield body + b"\n"
        await asyncio.Event().wait()

    def first_of(request: TailRequest) -> bytes:
        connected = local.connect(store)
        assert connected is not None
        with connected:
            return local.stream(connected, store, "/tail", request).readline()

    store = tmp_path / "s.db"
    async with ControlServer(store, [], [StreamRoute("/tail", lines, b"")]):
        assert b'"kinds":["x"]' in await asyncio.to_thread(first_of, TailRequest(kinds=["x"]))
        with pytest.raises(PermanentError, match="the running daemon says: no"):
            await asyncio.to_thread(first_of, TailRequest(kinds=["refuse"]))
