"""``mcwatch tail``: what it asks for, and what it makes of the answer. A real daemon is in tests/acceptance."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from mcwatch.domain.tailing import TailNote, TailRequest, Word
from mcwatch.httpserver.control import ControlServer
from mcwatch.httpserver.streaming import tail_route
from mcwatch.settings import Settings
from tests.contract.sink_events import event_document
from tests.unit.cli.programs import Program

pytestmark = pytest.mark.timeout(20)  # processes take their time on a machine that is busy

EVENT = msgspec.json.encode(event_document(1)) + b"\n"
Asked = list[TailRequest]


def _following(asked: Asked, said: asyncio.Event) -> Callable[[TailRequest], AsyncGenerator[bytes, None]]:
    async def follow(request: TailRequest) -> AsyncGenerator[bytes, None]:
        asked.append(request)
        yield TailNote(note=Word.LISTENING).line()
        yield EVENT
        yield TailNote(note=Word.LEFT_OUT, events=1200).line() + EVENT
        said.set()
        await asyncio.Event().wait()

    return follow


async def _tail(store: Path, *arguments: str) -> tuple["subprocess.CompletedProcess[str]", TailRequest]:
    """Run the command against a daemon that shows two events and stops."""
    asked: Asked = []
    said = asyncio.Event()
    command = [sys.executable, "-m", "mcwatch", "tail", *arguments]
    async with asyncio.TaskGroup() as group, ControlServer(store, [], [tail_route(_following(asked, said))]):
        running = group.create_task(
            asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        )
        await said.wait()
    return running.result(), asked[0]


async def test_events_as_they_are(program: Program) -> None:
    """Where nobody looks: JSON lines, what was left out as a line of its own; the daemon's end is exit 0."""
    finished, asked = await _tail(program.store)
    left_out = TailNote(note=Word.LEFT_OUT, events=1200).line()
    assert (EVENT + left_out + EVENT).decode() == finished.stdout
    assert (0, "mcwatch: the daemon has stopped\n") == (finished.returncode, finished.stderr)
    assert TailRequest() == asked


async def test_events_as_lines(program: Program) -> None:
    """With the filters of the command line."""
    arguments = ["-o", "line", "--kind", "message.*", "--kind", "queue.left", "--account", "ac*", "--route", "inbound"]
    finished, asked = await _tail(program.store, *arguments, "--source", "message_finder", "--status", "HELD")
    first, left_out, _ = finished.stdout.splitlines()
    assert "acme inbound held" in first
    assert "… 1,200 events left out, this terminal is too slow" == left_out
    assert asked == TailRequest(
        kinds=["message.*", "queue.left"],
        accounts=["ac*"],
        sources=["message_finder"],
        routes=["inbound"],
        statuses=["held"],
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kind", "message.sen"), "did you mean message.seen?"),
        (("--account", "acm"), "did you mean acme?"),
        (("--route", "inbond"), "'inbound'"),
        (("--since", "soon"), "'soon' is no moment"),
    ],
)
def test_what_cannot_be_meant(program: Program, arguments: tuple[str, ...], words: str) -> None:
    """Is wrong usage, with what would do."""
    finished = program.run("tail", *arguments)
    assert 2 == finished.code
    assert words in " ".join(finished.err.split())


def test_an_unknown_status_is_only_remarked_on(program: Program) -> None:
    """The API may have more of them than its documentation."""
    finished = program.run("tail", "--status", "hld")
    assert "'hld' is no status known here; did you mean held?" in finished.err


def test_no_daemon(program: Program) -> None:
    """There is nothing to show then."""
    finished = program.run("tail")
    assert 1 == finished.code
    assert "tail shows the events of a running one" in finished.err


class _FleetTail:
    """The log of a shared store: what each look shows; its replicas live until nothing more comes."""

    def __init__(self, *looks: list[bytes]) -> None:
        self.looks = list(looks)
        self.asked: TailRequest | None = None

    def lives(self) -> bool:
        """Tell whether there is more."""
        return bool(self.looks)

    def news(self) -> Iterator[bytes]:
        """Show a look."""
        yield from self.looks.pop(0)


@pytest.fixture
def shared(program: Program, monkeypatch: pytest.MonkeyPatch) -> Callable[[_FleetTail], None]:
    """Give what has the program find this log in its store."""
    text = program.config.read_text()
    program.config.write_text(text.replace(f"sqlite:///{program.store}", "postgresql://mcwatch@db.example/mcwatch"))
    monkeypatch.setattr("mcwatch.cli.following._LOOK_MS", 0)
    monkeypatch.setattr("mcwatch.cli.following._LOOKS_PER_FLEET", 1)

    def found(tail: _FleetTail) -> None:
        @contextmanager
        def fleet_tail(_settings: Settings, request: TailRequest) -> Iterator[_FleetTail]:
            tail.asked = request
            yield tail

        monkeypatch.setattr("mcwatch.app.offline.fleet_tail", fleet_tail)

    return found


def test_the_log_of_replicas_is_shown_until_none_runs(program: Program, shared: Callable[[_FleetTail], None]) -> None:
    """As that of a daemon, with the same filters; what expired before it was shown is said as what it is."""
    tail = _FleetTail([EVENT + EVENT], [], [TailNote(note=Word.LEFT_OUT, events=7, at_most=True).line(), EVENT])
    shared(tail)
    finished = program.run("tail", "-o", "line", "--account", "acme")
    assert (0, "mcwatch: no replica runs any more\n") == (finished.code, finished.err)
    lines = finished.out.splitlines()
    assert ["… up to 7 events left out, expired before they were shown"] == [line for line in lines if "…" in line]
    assert 3 == sum("acme inbound held" in line for line in lines)
    assert TailRequest(accounts=["acme"]) == tail.asked


def test_without_a_replica_there_is_nothing_to_follow(program: Program, shared: Callable[[_FleetTail], None]) -> None:
    """Exit 1, as without a daemon."""
    shared(_FleetTail())
    finished = program.run("tail")
    assert (1, True) == (finished.code, "no replica runs" in finished.err)
