"""How far long work has come."""

import sys

import pytest

from mcwatch.cli.progress import metered


def test_lines_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """One whenever a tenth is done, on stderr."""
    with metered("backfill acme", 40) as meter:
        for number in range(40):
            meter.done(f"{number} rows")
    captured = capsys.readouterr()
    assert ("", 10) == (captured.out, len(captured.err.splitlines()))
    assert "backfill acme: 4 of 40 windows, 3 rows" == captured.err.splitlines()[0]


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes to stderr too."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with metered("backfill acme", 2) as meter:
        meter.done("5 rows")
        meter.done("9 rows")
    captured = capsys.readouterr()
    assert "" == captured.out
    assert "9 rows" in captured.err
