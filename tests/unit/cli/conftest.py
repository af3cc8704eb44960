"""Fixtures of the command line's tests."""

from pathlib import Path

import pytest

from tests.unit.cli.programs import Program


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """Give the program, in a directory with a configuration that needs no network."""
    return Program(tmp_path, monkeypatch, capsys)
