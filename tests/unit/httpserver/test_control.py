"""The control socket: a real one, asked over HTTP."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from mcwatch.domain.errors import ConfigError, StoreUnavailable
from mcwatch.domain.outbox import DeadLetter
from mcwatch.domain.status import StatusReport
from mcwatch.httpclient.client import ClientOptions, HttpClient, Response
from mcwatch.httpserver.control import (
    ControlRequest,
    ControlRoute,
    ControlServer,
    acting_route,
    health_route,
    reading_routes,
)
from mcwatch.httpserver.socket_path import control_socket_path, short_path
from tests.unit.httpserver.reports import troubled_report

LETTER = DeadLetter(
    7, "acme", "splunk", "0" * 32, "refused", "the receiver's words", datetime(2026, 1, 5, tzinfo=UTC), 100
)
Asked = list[tuple[str | None, int]]


@pytest.fixture
def asked() -> Asked:
    """Keep what dead letters were asked for."""
    return []


@pytest.fixture
async def store_file(tmp_path: Path, asked: Asked) -> AsyncIterator[Path]:
    """Give the path of a store beside which a control server runs."""

    async def status() -> StatusReport:
        return troubled_report()

    async def letters(destination: str | None, limit: int) -> list[DeadLetter]:
        asked.append((destination, limit))
        return [LETTER]

    path = tmp_path / "mcwatch.db"
    async with ControlServer(path, reading_routes(status, letters)):
        yield path


async def _ask(store_file: Path, target: str, method: str = "GET") -> Response:
    with short_path(control_socket_path(store_file)) as short:
        async with HttpClient(ClientOptions(unix_socket=short)) as client:
            return await client.request(method, f"http://mcwatch{target}")


async def test_status(store_file: Path) -> None:
    """The report comes through."""
    response = await _ask(store_file, "/status")

    assert msgspec.json.decode(response.body, type=StatusReport) == troubled_report()


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", (None, 100)), ("?destination=splunk&limit=5", ("splunk", 5)), ("?destination=", ("", 100))],
)
async def test_dead_letters(store_file: Path, asked: Asked, query: str, expected: tuple[str | None, int]) -> None:
    """Destination and limit are passed on; an empty destination means the rows that could not be read."""
    response = await _ask(store_file, f"/dead-letters{query}")

    assert msgspec.json.decode(response.body, type=list[DeadLetter]) == [LETTER]
    assert asked == [expected]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3", "10001", "٣", "9" * 5000])
async def test_a_limit_that_is_no_number_is_refused(store_file: Path, asked: Asked, limit: str) -> None:
    """The answer says what would do."""
    response = await _ask(store_file, f"/dead-letters?limit={limit}")

    assert response.status == 400
    assert msgspec.json.decode(response.body)["remedy"] == "give a number from 1 to 10000"
    assert asked == []


@pytest.mark.parametrize(("method", "target", "status"), [("GET", "/nothing", 404), ("POST", "/status", 405)])
async def test_what_is_not_a_route_is_refused(store_file: Path, method: str, target: str, status: int) -> None:
    """As JSON."""
    response = await _ask(store_file, target, method)

    assert response.status == status
    assert "error" in msgspec.json.decode(response.body)


async def test_an_error_of_the_tree_is_passed_on(tmp_path: Path) -> None:
    """With its reason and remedy, and a status that says whether to try again."""

    async def fail(_request: ControlRequest) -> object:
        raise StoreUnavailable("the store is busy", remedy="wait")

    async with ControlServer(tmp_path / "s.db", [ControlRoute("POST", "/act", fail)]):
        response = await _ask(tmp_path / "s.db", "/act", "POST")

    assert response.status == 503
    assert msgspec.json.decode(response.body) == {"error": "the store is busy", "reason": "store", "remedy": "wait"}


async def test_only_the_owner_can_connect(store_file: Path) -> None:
    """The socket's mode is 0600."""
    assert stat.S_IMODE(control_socket_path(store_file).stat().st_mode) == 0o600


async def test_the_socket_is_gone_afterwards(tmp_path: Path) -> None:
    """A stopped daemon leaves nothing behind."""
    async with ControlServer(tmp_path / "s.db", []) as server:
        there = server.path.is_socket()

    assert there
    assert not server.path.exists()


async def test_the_socket_of_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    """Nobody answers there, so it is stale."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s.db.sock"))
    async with ControlServer(tmp_path / "s.db", []):
        assert (await _ask(tmp_path / "s.db", "/")).status == 404


async def test_the_socket_of_a_living_daemon_is_left_alone(store_file: Path) -> None:
    """The second one says who is in the way, and the first goes on answering."""
    with pytest.raises(ConfigError, match="another mcwatch answers"):
        await ControlServer(store_file, []).__aenter__()

    assert (await _ask(store_file, "/status")).status == 200


async def test_a_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    """What is no socket is somebody's data."""
    path = tmp_path / "s.db.sock"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="in the way"):
        await ControlServer(tmp_path / "s.db", []).__aenter__()

    assert path.read_text() == "precious"


async def test_a_missing_directory_is_a_configuration_error(tmp_path: Path) -> None:
    """The error names the socket and what it needs."""
    with pytest.raises(ConfigError, match="must be writable"):
        await ControlServer(tmp_path / "none" / "s.db", []).__aenter__()


async def test_a_successors_socket_survives_the_end(tmp_path: Path) -> None:
    """Only the own socket is removed, known by its inode."""
    async with ControlServer(tmp_path / "s.db", []) as server:
        server.path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(server.path))

    assert server.path.is_socket()


async def test_a_store_deep_down_has_a_socket_too(tmp_path: Path) -> None:
    """A path longer than the kernel takes works for server and client."""
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    async with ControlServer(folder / "s.db", []) as server:
        there = server.path.is_socket()
        status = (await _ask(folder / "s.db", "/")).status

    assert (there, status, server.path.exists()) == (True, 404, False)


class _Question(msgspec.Struct, forbid_unknown_fields=True):
    number: int


async def test_an_acting_route_takes_what_it_was_made_for(tmp_path: Path) -> None:
    """The body is decoded; one that does not fit is refused with the remedy of using the version that runs."""

    async def double(question: _Question) -> object:
        return {"twice": question.number * 2}

    async with ControlServer(tmp_path / "s.db", [acting_route("/double", _Question, double)]):
        with short_path(control_socket_path(tmp_path / "s.db")) as short:
            async with HttpClient(ClientOptions(unix_socket=short)) as client:
                answer = await client.request("POST", "http://mcwatch/double", body=b'{"number":4}')
                odd = await client.request("POST", "http://mcwatch/double", body=b'{"number":"4"}')

    assert msgspec.json.decode(answer.body) == {"twice": 8}
    assert odd.status == 400
    assert "use the command of the version that runs" in odd.body.decode()


async def test_what_a_command_asked_for_ends_with_it(tmp_path: Path) -> None:
    """A handler whose asker has hung up is cancelled."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang(_question: _Question) -> object:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return None

    async with ControlServer(tmp_path / "s.db", [acting_route("/hang", _Question, hang)]):
        reader, writer = await asyncio.open_unix_connection(str(control_socket_path(tmp_path / "s.db")))
        body = b'{"number":4}'
        writer.write(b"POST /hang HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await begun.wait()
        writer.close()
        await ended.wait()
    assert b"" == await reader.read()


@pytest.mark.parametrize("ails", [False, True])
async def test_alive_is_who_answers(tmp_path: Path, ails: bool) -> None:
    """Also while the store takes no writes: its thread has answered."""

    async def probe() -> None:
        if ails:
            raise StoreUnavailable("the disk is full")

    async with ControlServer(tmp_path / "s.db", [health_route(probe)]):
        response = await _ask(tmp_path / "s.db", "/health")
    assert (200, {"alive": True}) == (response.status, msgspec.json.decode(response.body))


async def test_a_writer_thread_that_hangs_is_said(tmp_path: Path) -> None:
    """In time, with what to look at."""

    async def probe() -> None:
        await asyncio.Event().wait()

    async with ControlServer(tmp_path / "s.db", [health_route(probe, timeout_secs=0.02)]):
        response = await _ask(tmp_path / "s.db", "/health")
    assert 503 == response.status
    assert "writer thread does not answer" in response.body.decode()
