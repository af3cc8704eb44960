"""Asking the daemon over its control socket, a real one."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from mcwatch.cli import local
from mcwatch.cli.control import DaemonTalk, OwnTalk, ask, ask_on
from mcwatch.domain.errors import FailureReason, PermanentError, StoreUnavailable, TransientError
from mcwatch.domain.outbox import DeadLetter
from mcwatch.domain.status import RangeStatus, StatusReport
from mcwatch.domain.verification import VerifiedStep, VerifyStep
from mcwatch.httpserver.control import ControlRequest, ControlRoute, ControlServer, acting_route, reading_routes
from mcwatch.httpserver.socket_path import control_socket_path
from tests.unit.httpserver.reports import troubled_report

T = TypeVar("T")
AT = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def _status() -> StatusReport:
    return troubled_report()


async def _busy(_destination: str | None, _limit: int) -> list[DeadLetter]:
    raise StoreUnavailable("the store is busy", remedy="wait a moment")


@pytest.mark.parametrize("folder", ["here", "d" * 150])
async def test_the_answer_comes_decoded(tmp_path: Path, folder: str) -> None:
    """Wherever the store lies."""
    (tmp_path / folder).mkdir()
    store = tmp_path / folder / "s.db"
    async with ControlServer(store, reading_routes(_status, _busy)):
        assert await ask(store, "/status", StatusReport) == troubled_report()


async def test_no_daemon_is_no_error(tmp_path: Path) -> None:
    """No socket, the socket of a killed daemon, and something else of that name all mean that none runs."""
    for name in ("none.db", "stale.db", "file.db"):
        path = control_socket_path(tmp_path / name)
        if name == "stale.db":
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(path))
        elif name == "file.db":
            path.write_text("")

        assert await ask(tmp_path / name, "/status", StatusReport) is None


async def test_a_refusal_says_what_the_daemon_said(tmp_path: Path) -> None:
    """With its remedy."""
    async with ControlServer(tmp_path / "s.db", reading_routes(_status, _busy)):
        with pytest.raises(PermanentError, match="the running daemon says: the store is busy") as caught:
            await ask(tmp_path / "s.db", "/dead-letters", list[DeadLetter])

    assert caught.value.remedy == "wait a moment"


async def test_an_answer_of_another_version_is_told_as_such(tmp_path: Path) -> None:
    """What cannot be decoded asks for the matching command."""

    async def odd(_request: ControlRequest) -> object:
        return ["something", "else"]

    async with ControlServer(tmp_path / "s.db", [ControlRoute("GET", "/status", odd)]):
        with pytest.raises(PermanentError, match="cannot be read") as caught:
            await ask(tmp_path / "s.db", "/status", StatusReport)

    assert "another version" in caught.value.remedy


async def test_a_daemon_that_does_not_answer_is_not_taken_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the store behind its back would be wrong."""
    released = asyncio.Event()

    async def hang(_request: ControlRequest) -> object:
        await released.wait()
        return None

    monkeypatch.setattr(local, "TIMEOUT_SECS", 0.05)
    async with ControlServer(tmp_path / "s.db", [ControlRoute("GET", "/status", hang)]):
        with pytest.raises(TransientError, match="did not answer") as caught:
            await ask(tmp_path / "s.db", "/status", StatusReport)
        released.set()

    assert caught.value.reason is FailureReason.TIMEOUT


class _Number(msgspec.Struct):
    number: int


async def test_daemon_and_own_process_answer_alike(tmp_path: Path) -> None:
    """Whoever does it, the question and the answer are the same."""

    async def double(question: _Number) -> object:
        return _Number(question.number * 2)

    routes = [acting_route("/double", _Number, double)]
    async with ControlServer(tmp_path / "s.db", routes):
        answers = [
            await talk.ask("/double", _Number, _Number(4)) for talk in (DaemonTalk(tmp_path / "s.db"), OwnTalk(routes))
        ]

    assert answers == [_Number(8), _Number(8)]


async def test_a_daemon_that_goes_away_is_said(tmp_path: Path) -> None:
    """With the remedy: nothing is done in its place, for its successor may be starting."""
    with pytest.raises(TransientError, match="the daemon went away") as caught:
        await DaemonTalk(tmp_path / "s.db").ask("/double", _Number, _Number(4))

    assert "run the same command again" in caught.value.remedy


class _Worker:
    """Does an hour of each step that it is asked for, or nothing."""

    def __init__(self, *, works: bool = True) -> None:
        self._works = works
        self.asked: list[VerifyStep] = []

    async def ask(self, path: str, kind: type[T], question: msgspec.Struct) -> T:
        """Do a part."""
        assert isinstance(question, VerifyStep)
        self.asked.append(question)
        start = min(question.start + HOUR, question.end) if self._works else question.start
        rest = [RangeStatus(start, question.end)] if start < question.end else []
        return msgspec.convert({"marks": {}, "rest": msgspec.to_builtins(rest)}, kind)


def _step(hours: float) -> VerifyStep:
    end = AT + hours * HOUR
    return VerifyStep(account="acme", search="a", start=AT, end=end, whole=RangeStatus(AT, end), covered=[])


async def test_what_a_step_leaves_is_asked_for() -> None:
    """Until nothing is left."""
    worker, step = _Worker(), _step(2.5)
    done = [(part.start, found.rest == []) async for part, found in ask_on(worker, "/verify", VerifiedStep, step)]
    assert [(AT, False), (AT + HOUR, False), (AT + 2 * HOUR, True)] == done
    assert {step.end} == {part.end for part in worker.asked}


async def test_a_step_that_comes_no_farther_is_given_up() -> None:
    """After hours, with where to look."""
    worker, step = _Worker(works=False), _step(1)
    with pytest.raises(TransientError, match="nothing could be read or recorded") as caught:
        async for _ in ask_on(worker, "/verify", VerifiedStep, step):
            pass
    assert 120 == len(worker.asked)
    assert "mcwatch status" in caught.value.remedy
