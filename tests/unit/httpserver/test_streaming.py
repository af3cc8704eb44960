"""Streams of the control socket: a real one, read by hand."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import msgspec
import pytest

from mcwatch.domain.errors import PermanentError
from mcwatch.domain.tailing import TailNote, TailRequest, Word
from mcwatch.httpserver import streaming
from mcwatch.httpserver.control import ControlServer
from mcwatch.httpserver.socket_path import control_socket_path
from mcwatch.httpserver.streaming import StreamRoute, tail_route

FAREWELL = b"bye\n"


class _Reader:
    """Asks for a stream and reads it as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def asking(cls, store: Path, path: str = "/lines", body: bytes = b"{}") -> "_Reader":
        """Send the request."""
        reader, writer = await asyncio.open_unix_connection(str(control_socket_path(store)))
        writer.write(b"POST %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body))
        return cls(reader, writer)

    async def head(self) -> int:
        """Read the head and return the status."""
        return int((await self.reader.readuntil(b"\r\n\r\n")).split()[1])


async def _ticking(_body: bytes) -> AsyncGenerator[bytes, None]:
    yield b"first\n"
    yield b"second\n"
    await asyncio.Event().wait()


async def test_lines_come_as_they_are_made_and_the_end_is_said(tmp_path: Path) -> None:
    """To every reader; the server's end is a last line and an orderly close."""
    store = tmp_path / "s.db"
    async with ControlServer(store, [], [StreamRoute("/lines", _ticking, FAREWELL)]):
        readers = [await _Reader.asking(store) for _ in range(3)]
        for one in readers:
            assert 200 == await one.head()
            assert [b"first\n", b"second\n"] == [await one.reader.readline() for _ in range(2)]
    for one in readers:
        assert FAREWELL == await one.reader.read()
        one.writer.close()


async def test_a_stream_ends_with_its_reader(tmp_path: Path) -> None:
    """What made its lines is closed at once, though it has none to give."""
    closed = asyncio.Event()

    async def lines(_body: bytes) -> AsyncGenerator[bytes, None]:
        try:
            yield b"first\n"
            await asyncio.Event().wait()
        finally:
            closed.set()

    store = tmp_path / "s.db"
    async with ControlServer(store, [], [StreamRoute("/lines", lines, FAREWELL)]):
        one = await _Reader.asking(store)
        await one.head()
        one.writer.close()
        await closed.wait()


async def test_a_reader_that_takes_nothing_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines wait for it, not the server's end."""
    made = 0

    async def lines(_body: bytes) -> AsyncGenerator[bytes, None]:
        nonlocal made
        while True:
            made += 1
            yield b"x" * 50_000 + b"\n"

    monkeypatch.setattr(streaming, "_FAREWELL_SECS", 0.05)
    store = tmp_path / "s.db"
    async with ControlServer(store, [], [StreamRoute("/lines", lines, FAREWELL)]) as server:
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(str(control_socket_path(store)))
            silent.sendall(b"POST /lines HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
            await _made_no_more(lambda: made)
            await server.__aexit__(None, None, None)
    assert 1 < made < 40


async def test_a_slow_reader_gets_all_up_to_the_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was on its way when the server closes arrives."""
    monkeypatch.setattr(streaming, "_FAREWELL_SECS", 0.4)
    many = b"x" * 2_000_000 + b"\n"

    async def lines(_body: bytes) -> AsyncGenerator[bytes, None]:
        yield many
        await asyncio.Event().wait()

    store = tmp_path / "s.db"
    async with asyncio.TaskGroup() as group, ControlServer(store, [], [StreamRoute("/lines", lines, FAREWELL)]):
        one = await _Reader.asking(store)
        await one.head()
        reading = group.create_task(one.reader.read())
    assert many + FAREWELL == reading.result()
    one.writer.close()


async def _made_no_more(count: Callable[[], int]) -> None:
    before = 0
    while before != (now := count()) or not now:
        before = now
        await asyncio.sleep(0.05)


async def test_what_fails_before_the_first_line_is_an_error(tmp_path: Path) -> None:
    """As with every other route; so is a question that cannot be read."""

    async def full(request: TailRequest) -> AsyncGenerator[bytes, None]:
        if request.since is None:
            raise PermanentError("too many", remedy="wait")
        yield b""

    store = tmp_path / "s.db"
    async with ControlServer(store, [], [tail_route(full)]):
        answers = []
        for body in (b"{}", b'{"kind":["x"]}', b"", b"\xff"):
            one = await _Reader.asking(store, "/tail", body)
            answers.append((await one.head(), msgspec.json.decode(await one.reader.read())))
            one.writer.close()
    assert [400] * 4 == [status for status, _ in answers]
    assert {"error": "too many", "reason": "refused", "remedy": "wait"} == answers[0][1]
    assert all("of the version that runs" in answer["remedy"] for _, answer in answers[1:])


async def test_tail_says_that_the_daemon_stops(tmp_path: Path) -> None:
    """In its own words."""

    async def quiet(request: TailRequest) -> AsyncGenerator[bytes, None]:
        yield request.kinds[0].encode() + b"\n"
        await asyncio.Event().wait()

    store = tmp_path / "s.db"
    async with ControlServer(store, [], [tail_route(quiet)]):
        one = await _Reader.asking(store, "/tail", b'{"kinds":["queue.*"]}')
        await one.head()
        assert b"queue.*\n" == await one.reader.readline()
    assert TailNote(note=Word.STOPPED) == TailNote.read(await one.reader.read())
    one.writer.close()
