"""Which accounts a status shows."""

import io
import json
from itertools import pairwise

import msgspec
import pytest
import typer
from rich.console import Console

from mcwatch.cli.picking import only_accounts, worth_a_look
from mcwatch.cli.status_tables import parts
from mcwatch.domain.status import StatusReport
from mcwatch.httpserver.account_cards import rank
from mcwatch.settings import Settings
from tests.browser import scenes
from tests.unit.cli.programs import Program
from tests.unit.httpserver.reports import troubled_report


@pytest.fixture
def of_a_fleet(program: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return a program whose store tells of 60 accounts, one of them down, none of them in the configuration."""
    report = scenes.fleet(60)

    def offline_status(_settings: Settings) -> StatusReport:
        return report

    monkeypatch.setattr("mcwatch.app.offline_status", offline_status)
    return program


def _printed(report: StatusReport, *, whole: bool) -> str:
    out = Console(width=120, file=io.StringIO(), highlight=False)
    for part in parts(report, 120, whole=whole):
        out.print(part)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_of_many_accounts_those_that_are_not_well_are_listed() -> None:
    """The worst first, and how many are not listed; few are listed all."""
    accounts = scenes.fleet(1000).accounts
    listed, left_out = worth_a_look(accounts)

    assert (30, 970) == (len(listed), left_out)
    assert {"tenant-0003", "tenant-0007"} <= {one.name for one in listed}
    assert all(rank(one) <= rank(after) for one, after in pairwise(listed))
    assert (accounts[:50], 0) == worth_a_look(accounts[:50])


def test_no_more_are_listed_than_anybody_reads() -> None:
    """When all of a thousand are in trouble too."""
    [one] = troubled_report().accounts
    listed, left_out = worth_a_look([one] * 1000)

    assert (50, 950) == (len(listed), left_out)


def test_a_terminal_says_how_to_see_the_others() -> None:
    """The tables have the accounts that are not well, the end says how many more there are; a pipe gets all."""
    report = scenes.fleet(100)
    short, whole = _printed(report, whole=False), _printed(report, whole=True)

    assert "97 more accounts: --account NAME shows one, --account '*' all" in short
    assert "tenant-0003" in short
    assert "tenant-0001" not in short
    assert "tenant-0001" in whole
    assert "more accounts" not in whole
    assert "splunk" in short


def test_one_reason_of_many_accounts_is_told_once() -> None:
    """With the first of them by name, and how many there are."""
    short = _printed(scenes.fleet(1000), whole=False)

    assert 1 == short.count("(403)")
    assert "account tenant-0303, account tenant-0403 and 5 more: " in short


def test_accounts_can_be_picked(of_a_fleet: Program) -> None:
    """By name or pattern, in tables and JSON; all is well when all is with these."""
    few = json.loads(of_a_fleet.run("status", "-o", "json", "--account", "tenant-001?").out)
    assert [f"tenant-{number:04}" for number in range(10, 20)] == [one["name"] for one in few["accounts"]]
    two = of_a_fleet.run("status", "--account", "tenant-0003", "--account", "tenant-0004").out
    assert "2 accounts: 1 down" in two
    assert "tenant-0005" not in two


def test_the_verdict_is_that_of_the_accounts_picked() -> None:
    """And of what all share: the store, the configuration, the destinations."""
    report = scenes.fleet(60)

    assert not report.healthy
    assert only_accounts(report, ["tenant-0004"]).healthy
    assert not only_accounts(report, ["tenant-000?"]).healthy
    assert only_accounts(report, []) is report
    with pytest.raises(typer.BadParameter, match="tenant-0061"):
        only_accounts(report, ["tenant-0004", "tenant-0061"])
    stopped = msgspec.structs.replace(report, live=False)
    assert not only_accounts(stopped, ["tenant-0004"]).healthy


def test_an_account_that_is_not_there_is_named(of_a_fleet: Program) -> None:
    """With the nearest, or with a number of names that can be read."""
    near, far = (of_a_fleet.run("status", "--account", name) for name in ("tenat-0003", "acme"))

    assert (2, 2) == (near.code, far.code)
    assert "did you mean tenant-0003?" in near.err
    assert "and 40 more" in far.err
