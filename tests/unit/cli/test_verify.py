"""``mcwatch verify`` and ``mcwatch backfill`` as a person reads them; tests/acceptance runs them for real."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mcwatch.cli import backfill as backfill_command
from mcwatch.cli import verify as verify_command
from mcwatch.domain.backfill import BackfillCounts, BackfillReport
from mcwatch.domain.status import RangeStatus
from mcwatch.domain.verification import MissingRow, RowCounts, SearchReport, VerifyReport
from tests.unit.cli.programs import Program

AT = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
RANGE = ("--account", "acme", "--from", "2026-01-05", "--to", "2026-01-06")
OPERATIONS = Path(__file__).parents[3] / "docs" / "OPERATIONS.md"


def _report(missing: int = 0, unread: int = 0) -> VerifyReport:
    ranges = [RangeStatus(AT + at * HOUR, AT + at * HOUR + HOUR / 2) for at in range(unread)]
    counts = RowCounts(rows=12_000 + missing, known=12_000, missing=missing)
    return VerifyReport(
        verdict="the answer in words",
        account="acme",
        start=AT,
        end=AT + 24 * HOUR,
        began_at=AT + 25 * HOUR,
        version="1.2.3",
        repair=False,
        total=counts,
        searches=[SearchReport(search="to [red]corp.example", counts=counts, not_yet_read=ranges, unverifiable=[])],
        missing=[
            MissingRow(received_at=AT if at else None, status="held", event_id=f"{at:032x}", search="to corp.example")
            for at in range(min(missing, 1_000))
        ],
        notes=[],
        complete=not unread,
    )


def _says(monkeypatch: pytest.MonkeyPatch, report: VerifyReport) -> None:
    async def _verify(*_: object, **__: object) -> VerifyReport:
        return report

    monkeypatch.setattr(verify_command, "_verify", _verify)


@pytest.mark.parametrize(("missing", "unread", "code"), [(0, 0, 0), (1, 0, 1), (1, 1, 1), (0, 1, 3)])
def test_exit_codes(program: Program, monkeypatch: pytest.MonkeyPatch, missing: int, unread: int, code: int) -> None:
    """0 only when nothing is missing and all could be judged."""
    _says(monkeypatch, _report(missing, unread))
    assert code == program.run("verify", *RANGE).code


def test_the_answer_can_be_quoted(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands first, then what it is about: account, range, when and by which version it was made."""
    _says(monkeypatch, _report())
    first, second, *rest = program.run("verify", *RANGE).out.splitlines()
    assert "the answer in words" == first
    assert (
        "account acme, received from 2026-01-05T00:00:00Z to 2026-01-06T00:00:00Z; compared 2026-01-06T01:00:00Z by "
        "mcwatch 1.2.3" == second
    )
    assert any(line.startswith("to [red]corp.example") and "12,000" in line for line in rest)
    assert any(line.startswith("total, each row once") for line in rest)


def test_what_is_missing_and_what_was_not_read_is_listed(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """So much of it as a person reads, with the number of all."""
    _says(monkeypatch, _report(missing=2_000, unread=24))
    out = program.run("verify", *RANGE).out
    assert "missing, 50 of them" in out
    assert "(unreadable row)" in out
    assert f"{49:032x}" in out
    assert "to [red]corp.example: not read when the comparison began" in out
    assert "  2026-01-05T03:00:00Z to 2026-01-05T03:30:00Z" in out
    assert "and 4 more, see --output json" in out


def test_json_is_the_report(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all the rows that are listed."""
    _says(monkeypatch, _report(missing=1_500))
    report = msgspec.convert(json.loads(program.run("verify", *RANGE, "-o", "json").out), VerifyReport)
    assert (_report(missing=1_500), 1_000) == (report, len(report.missing))


def test_what_a_backfill_did_is_shown(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words, by search, and what could not be read whole."""
    counts = BackfillCounts(rows=12_000, new=7, known=11_993)
    report = BackfillReport(
        account="acme",
        start=AT,
        end=AT + 24 * HOUR,
        version="1.2.3",
        began_at=AT,
        searches={"to corp.example": counts},
        total=counts,
        incomplete=[RangeStatus(AT, AT + timedelta(seconds=1))],
        notes=[],
    )

    async def _backfill(*_: object) -> BackfillReport:
        return report

    monkeypatch.setattr(backfill_command, "_backfill", _backfill)
    finished = program.run("backfill", *RANGE)
    shown = program.run("backfill", *RANGE, "-o", "json")
    assert 0 == finished.code
    assert finished.out.startswith("done: 12,000 rows read, 7 of them new\naccount acme, from 2026-01-05T00:00:00Z to ")
    assert "  2026-01-05T00:00:00Z to 2026-01-05T00:00:01Z" in finished.out
    assert report == msgspec.convert(json.loads(shown.out), BackfillReport)


@pytest.mark.parametrize("command", ["verify", "backfill"])
def test_an_interrupt_says_how_to_go_on(program: Program, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """And ends as one."""

    async def interrupted(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"mcwatch.cli.{command}._{command}", interrupted)
    finished = program.run(command, *RANGE)
    assert 130 == finished.code
    assert "mcwatch: interrupted; " in finished.err


@pytest.mark.parametrize("command", ["verify", "backfill"])
def test_without_daemon_and_store_that_is_said(program: Program, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """And none is made."""
    monkeypatch.setattr("mcwatch.app.offline.configure", lambda _: None)
    finished = program.run(command, *RANGE)
    assert 1 == finished.code
    assert "no daemon runs and there is no store" in finished.err
    assert not program.store.exists()


def test_the_exit_codes_are_documented() -> None:
    """The table of the operations page has the codes that the commands end with."""
    table = OPERATIONS.read_text("utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    known = {0, verify_command.EXIT_MISSING, verify_command.EXIT_NOT_JUDGED, 2, 78, 130}
    assert known == documented
