"""``mcwatch destinations forget``."""

import json
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.unit.cli.kept import fill
from tests.unit.cli.programs import Program

pytestmark = pytest.mark.timeout(10)


@pytest.fixture
def filled(program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """Give the program a store that knows a destination which is not configured."""
    fill(program.store, monkeypatch)
    with capture_logs():
        yield program


def test_a_destination_that_is_gone(filled: Program) -> None:
    """It is released, with what it had not received; a second time there is nothing to release."""
    finished = filled.run("destinations", "forget", "former")
    assert 0 == finished.code
    assert finished.out.startswith("former is released: 10 events had waited for it, 0 dead letters stay")
    again = filled.run("destinations", "forget", "former")
    assert 1 == again.code
    assert "could be forgotten" in again.err


def test_json(filled: Program) -> None:
    """The same for programs."""
    out = filled.run("destinations", "forget", "former", "--output", "json").out
    assert {"name": "former", "waiting": 10, "dead_letters": 0} == json.loads(out)


@pytest.mark.parametrize(("name", "words"), [("archive", "is configured"), ("formr", "former")])
def test_what_cannot_be_forgotten(filled: Program, name: str, words: str) -> None:
    """One that is configured, or not known, is left alone, with the remedy."""
    finished = filled.run("destinations", "forget", name)
    assert 1 == finished.code
    assert words in finished.err
