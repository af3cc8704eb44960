"""``mcwatch status`` without a daemon, and its tables."""

import asyncio
import io
import json
import subprocess
import sys

import msgspec
import pytest
from rich.console import Console

from mcwatch.cli.status_tables import parts
from mcwatch.domain.outbox import DeadLetter
from mcwatch.domain.status import SearchStatus, StatusReport
from mcwatch.httpserver.control import ControlServer, reading_routes
from mcwatch.settings import Settings
from tests.browser import scenes
from tests.unit.cli.programs import Program
from tests.unit.httpserver.reports import NOW, quiet_report, troubled_report


def _store_says(monkeypatch: pytest.MonkeyPatch, report: StatusReport) -> None:
    def offline_status(_settings: Settings) -> StatusReport:
        return report

    monkeypatch.setattr("mcwatch.app.offline_status", offline_status)


def test_the_tables_show_what_matters(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems with remedies first, then figures."""
    _store_says(monkeypatch, troubled_report())
    out = program.run("status").out

    for words in (
        "needs attention", "! store: the disk is full", "→ make room", "message_finder", "3 min ago", "17 messages",
        "12 of 300 left", "2 h 1 min", "splunk, last error 30 s ago: the API answered 503",
        "1 account: 1 down", "2 destinations: 1 down", "backlog 2.9 MiB of 2.0 GiB",
        "splunk skipped 2 events recorded",
    ):  # fmt: skip
        assert words in out


def test_the_store_alone_does_not_know_how_things_are(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that no daemon runs, and claims neither up nor down."""
    report = msgspec.structs.replace(troubled_report(), live=False, uptime_secs=None)
    _store_says(monkeypatch, report)
    out = program.run("status").out

    assert "no daemon is running" in out
    assert "not tried" not in out


def test_nothing_configured_is_shown_too(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty report makes no error."""
    _store_says(monkeypatch, quiet_report())
    finished = program.run("status")

    assert finished.code == 0
    assert "all is well" in finished.out


def test_json_is_the_report(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form of /status."""
    _store_says(monkeypatch, troubled_report())
    out = program.run("status", "-o", "json").out

    assert msgspec.convert(json.loads(out), StatusReport) == troubled_report()


@pytest.mark.parametrize("hostile", ["[red]x[/red]", "[/]", "\x1b[2Jx", "a\nb", "\u202ex"])
def test_hostile_names_are_harmless(program: Program, monkeypatch: pytest.MonkeyPatch, hostile: str) -> None:
    """No markup, escape or line end of a name or an error takes effect."""
    _store_says(monkeypatch, troubled_report(hostile, hostile))
    finished = program.run("status")

    assert finished.code == 0
    assert not {"\x1b", "\u202e"} & set(finished.out)
    if hostile.isprintable():
        assert hostile in finished.out


def test_replicas_are_told_where_there_are_some(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lives, who is lost, who holds what; a single process has neither the table nor the column."""
    _store_says(monkeypatch, scenes.replicas())
    out = program.run("status").out

    for words in ("2 replicas running", "lost 5 min ago", "held by", "nobody for 1 min", "! replica mcwatch-1",
                  "! account acme-asia: no replica holds it"):  # fmt: skip
        assert words in out
    _store_says(monkeypatch, scenes.usual())
    out = program.run("status").out
    assert not [word for word in ("eplica", "held by") if word in out]


def test_what_was_taken_over_is_not_called_untried(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it reading for the first time; what a replica holds besides stands beside what is configured."""
    report = scenes.replicas()
    first = report.accounts[0]
    sources = [msgspec.structs.replace(one, up=None) for one in first.sources]
    taken = msgspec.structs.replace(first, up=None, sources=sources)
    _store_says(monkeypatch, msgspec.structs.replace(report, accounts=[taken, *report.accounts[1:]]))
    out = program.run("status").out

    for words in ("1 taken over, not tried yet", "taken over ", "1 (+1 not configured)"):
        assert words in out
    assert "reading" not in out


@pytest.mark.parametrize(
    ("report", "code"),
    [(quiet_report(), 0), (troubled_report(), 1), (msgspec.structs.replace(quiet_report(), live=False), 1)],
)
def test_the_exit_code_can_tell(
    program: Program, monkeypatch: pytest.MonkeyPatch, report: StatusReport, code: int
) -> None:
    """With --exit-code alone: 0 is a running daemon with which all is well."""
    _store_says(monkeypatch, report)

    assert (program.run("status").code, program.run("status", "--exit-code").code) == (0, code)


@pytest.mark.parametrize("width", [80, 116, 200])
def test_replicas_fit_the_terminal_too(width: int) -> None:
    """With the longest name that a replica may have."""
    name = "r" * 63
    report = scenes.replicas()
    accounts = [msgspec.structs.replace(one, holder=name if one.held else "") for one in report.accounts]
    fleet = [msgspec.structs.replace(one, name=name) for one in report.fleet]
    out = Console(width=width, file=io.StringIO(), highlight=False)
    for part in parts(msgspec.structs.replace(report, accounts=accounts, fleet=fleet), width):
        out.print(part)
    assert isinstance(out.file, io.StringIO)

    assert max(map(len, out.file.getvalue().splitlines())) <= width


@pytest.mark.parametrize("width", [80, 116, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Whatever its width, and every destination and account can be found."""
    search = SearchStatus(
        search="from corp.org.example", since=NOW, covered_until=NOW, lag_secs=3.0, missing_secs=60.0, gap_secs=7200.0
    )
    report = troubled_report()
    account = report.accounts[0]
    finder = msgspec.structs.replace(account.sources[0], searches=[search])
    account = msgspec.structs.replace(account, sources=[finder, *account.sources[1:]])
    out = Console(width=width, file=io.StringIO(), highlight=False)
    for part in parts(msgspec.structs.replace(report, accounts=[account]), width):
        out.print(part)
    assert isinstance(out.file, io.StringIO)
    lines = out.file.getvalue().splitlines()

    assert max(map(len, lines)) <= width
    for words in ("splunk", "archive", "message_finder", "processing_queue", "corp.org.example"):
        assert any(words in line for line in lines)
    if width == 80:
        assert any("missing 1 min, gaps" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("5",), "only for --watch"), (("-w",), "needs a terminal"), (("-w", "-o", "json"), "loop")],
)
def test_watching_is_for_terminals(program: Program, arguments: tuple[str, ...], words: str) -> None:
    """Anything else is wrong usage."""
    finished = program.run("status", *arguments)

    assert finished.code == 2
    assert words in finished.err


@pytest.mark.timeout(20)  # a process takes its time on a machine that is busy
async def test_a_file_that_cannot_be_used_does_not_hide_the_daemon(program: Program) -> None:
    """It runs on with what it has read, and what it says of the new file is what one wants to see."""

    async def report() -> StatusReport:
        return quiet_report()

    async def letters(_destination: str | None, _limit: int) -> list[DeadLetter]:
        return []

    program.config.write_text(f"store: {{url: 'sqlite:///{program.store}'}}\naccounts: nonsense\n")
    command = [sys.executable, "-m", "mcwatch", "status"]
    async with ControlServer(program.store, reading_routes(report, letters)):
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "all is well" in done.stdout
