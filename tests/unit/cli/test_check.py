"""``mcwatch check``."""

import json

import pytest

from mcwatch.domain.status import CheckResult
from mcwatch.settings import Settings
from tests.unit.cli.programs import Program

GOOD = CheckResult("account acme", ok=True, detail="reachable")
BAD = CheckResult("destination \x1b[31msplunk", ok=False, detail="refused [bold]", remedy="renew the token")


def _finding(monkeypatch: pytest.MonkeyPatch, *results: CheckResult) -> list[bool]:
    modes: list[bool] = []

    def check(_settings: Settings, *, offline: bool) -> list[CheckResult]:
        modes.append(offline)
        return list(results)

    monkeypatch.setattr("mcwatch.app.check", check)
    return modes


@pytest.mark.parametrize(("results", "code"), [((GOOD,), 0), ((GOOD, BAD), 1), ((), 0)])
def test_exits_with_zero_only_if_all_is_well(
    program: Program, monkeypatch: pytest.MonkeyPatch, results: tuple[CheckResult, ...], code: int
) -> None:
    """One failure is enough."""
    _finding(monkeypatch, *results)

    assert program.run("check").code == code


def test_the_table_shows_findings_and_remedies_as_they_are(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """No markup, no escape of a quoted text takes effect."""
    _finding(monkeypatch, GOOD, BAD)
    out = program.run("check").out

    assert "→ renew the token" in out
    assert "refused [bold]" in out
    assert "\x1b" not in out


def test_json(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same findings for programs, with the same exit code."""
    _finding(monkeypatch, GOOD)
    finished = program.run("check", "--output", "json")

    assert json.loads(finished.out) == [{"subject": "account acme", "ok": True, "detail": "reachable", "remedy": ""}]


@pytest.mark.parametrize(("arguments", "offline"), [((), False), (("--offline",), True)])
def test_offline_is_passed_on(
    program: Program, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], offline: bool
) -> None:
    """Whether anything is tried over the network is the option's matter."""
    modes = _finding(monkeypatch, GOOD)
    program.run("check", *arguments)

    assert modes == [offline]


def test_what_belongs_together_stands_together(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Account by account, remedies on lines of their own, warnings as such, and the sum at the end."""
    _finding(
        monkeypatch,
        CheckResult("configuration", ok=True, detail="read"),
        CheckResult("account acme: requests", ok=True, detail="few"),
        CheckResult("destination hook: names", ok=True, detail="warning: a slip", remedy="write it well"),
        CheckResult("account acme: clock", ok=False, detail="wrong", remedy="set it"),
        CheckResult("destination hook", ok=True, detail="reachable"),
    )
    out = program.run("check").out

    *lines, last = [" ".join(line.split()) for line in out.splitlines()]
    assert lines == [
        "configuration", "ok read",
        "account acme", "ok requests few", "failed clock wrong", "→ set it",
        "destination hook", "warning names a slip", "→ write it well", "ok reachable",
    ]  # fmt: skip
    assert last.startswith("5 checks, 1 failed, 1 warning (")
