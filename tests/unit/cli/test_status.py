"""``mcwatch status`` without a daemon, and its tables."""

import json

import msgspec
import pytest

from mcwatch.domain.status import StatusReport
from mcwatch.settings import Settings
from tests.unit.cli.programs import Program
from tests.unit.httpserver.reports import quiet_report, troubled_report


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
        "12 of 300 left", "2 h 1 min", "30 s ago: the API answered 503", "backlog 2.9 MiB of 2.0 GiB",
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
