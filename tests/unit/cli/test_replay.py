"""``mcwatch replay``, done by the command itself where no daemon runs."""

import json
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.outbox import StoreSnapshot
from mcwatch.interfaces import Store
from tests.contract.store_kit import SqliteEngine, figures_of, numbers_of
from tests.unit.cli.kept import fill, in_store, lines
from tests.unit.cli.programs import Program

pytestmark = pytest.mark.timeout(10)
_RANGE = ("--from", "2026-01-05T00:00:00Z", "--to", "2026-01-06T00:00:00Z")


@pytest.fixture
def filled(program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """Give the program a store with events."""
    fill(program.store, monkeypatch)
    with capture_logs():
        yield program


def test_events_are_sent_again(filled: Program) -> None:
    """All of the range, told in one line, the figures of the destination as they were."""
    finished = filled.run("replay", "--destination", "archive", *_RANGE)
    assert (0, "10 events sent again to archive; 0 not selected\n") == (finished.code, finished.out)
    assert list(range(10)) == numbers_of(lines(filled.store.with_name("out.ndjson")))

    async def snapshot(store: Store, _: SqliteEngine) -> StoreSnapshot:
        return await store.snapshot()

    figures = figures_of(in_store(filled.store, snapshot), "archive")
    assert (8, {"refused": 2}) == (figures.delivered, figures.dead_lettered)


def test_json(filled: Program) -> None:
    """The same for programs, nothing else on standard output."""
    finished = filled.run("replay", "--destination", "archive", *_RANGE, "--output", "json")
    assert {"destination": "archive", "sent": 10, "not_selected": 0, "refused": {}} == json.loads(finished.out)


def test_nothing_in_the_range(filled: Program) -> None:
    """An empty range is no failure."""
    finished = filled.run("replay", "--destination", "archive", "--from", "2026-02-05", "--to", "2026-02-06")
    assert (0, "0 events sent again to archive; 0 not selected\n") == (finished.code, finished.out)
    assert [] == lines(filled.store.with_name("out.ndjson"))


def test_what_is_refused_is_said(filled: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 and the counts by reason."""

    async def some(*_: object) -> tuple[dict[str, int], dict[str, int]]:
        return {"sent": 8, "not_selected": 1}, {"too_large": 1_000}

    monkeypatch.setattr("mcwatch.cli.replay._replay", some)
    finished = filled.run("replay", "--destination", "archive", *_RANGE)
    assert 1 == finished.code
    assert finished.out.endswith("; refused: 1,000 too_large\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--destination", "archiv", *_RANGE), 1, "did you mean archive?"),
        (("--destination", "archive", "--from", "2026-01-06", "--to", "2026-01-05"), 1, "ends before it begins"),
        (("--destination", "archive", "--from", "soon"), 2, "--from"),
        (("--from", "2026-01-06"), 2, "--destination"),
    ],
)
def test_what_is_wrong_is_said(filled: Program, arguments: tuple[str, ...], code: int, words: str) -> None:
    """With what to do about it, and nothing is sent."""
    finished = filled.run("replay", *arguments)
    assert code == finished.code
    assert words in finished.err
    assert [] == lines(filled.store.with_name("out.ndjson"))


def test_no_store(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a wrong directory that is said, and no store is made."""
    monkeypatch.setattr("mcwatch.app.offline.configure", lambda _: None)
    finished = program.run("replay", "--destination", "archive", *_RANGE)
    assert 1 == finished.code
    assert "there is no store" in finished.err
    assert not program.store.exists()
