"""``mcwatch dead-letters show``, ``retry`` and ``discard``, where no daemon runs."""

import io
import json
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.outbox import DeadLetter
from mcwatch.interfaces import Store
from tests.contract.store_kit import SqliteEngine, numbers_of
from tests.unit.cli.kept import fill, in_store, lines
from tests.unit.cli.programs import Program

pytestmark = pytest.mark.timeout(10)


@pytest.fixture
def filled(program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """Give the program a store with dead letters 1 and 2 of archive, and an unreadable row 3."""
    fill(program.store, monkeypatch)
    with capture_logs():
        yield program


def _left(program: Program) -> list[int]:
    async def letters(store: Store, _: SqliteEngine) -> list[DeadLetter]:
        return await store.dead_letters(None, 100)

    return sorted(one.id for one in in_store(program.store, letters))


def test_showing_masks_the_mail(filled: Program) -> None:
    """Who wrote what to whom stays hidden; what is needed to find the cause does not."""
    out = filled.run("dead-letters", "show", "1").out
    assert f"{4:032x}" in out
    assert "refused" in out
    assert "id-4" not in out
    document = json.loads(filled.run("dead-letters", "show", "1", "--output", "json").out)
    message = json.loads(document["body"])["message"]
    assert ("***", "***", f"{4:032x}") == (message["id"], message["subject"], message["key"])


def test_showing_an_unreadable_row(filled: Program) -> None:
    """Its bytes are shown only when asked for, escaped where they are no text."""
    out = filled.run("dead-letters", "show", "3").out
    assert "amy" not in out
    assert "--content" in out
    assert "\\xff amy@corp.example" in filled.run("dead-letters", "show", "3", "--content").out


def test_showing_with_content(filled: Program) -> None:
    """Everything, because somebody asked for it."""
    assert "id-4" in filled.run("dead-letters", "show", "1", "--content").out


def test_showing_none(filled: Program) -> None:
    """A number there is not is said."""
    finished = filled.run("dead-letters", "show", "99")
    assert 1 == finished.code
    assert "no dead letter 99" in finished.err


def test_retrying_a_destination(filled: Program) -> None:
    """Its letters are delivered with the identities they had, and are none any more."""
    finished = filled.run("dead-letters", "retry", "--destination", "archive")
    assert (0, "2 dead letters delivered\n") == (finished.code, finished.out)
    assert [4, 5] == numbers_of(lines(filled.store.with_name("out.ndjson")))
    assert [3] == _left(filled)


def test_retrying_what_cannot_be_sent(filled: Program) -> None:
    """An unreadable row stays, with what to do instead, and the exit code says that not all were delivered."""
    finished = filled.run("dead-letters", "retry", "--all")
    assert 1 == finished.code
    assert "2 dead letters delivered" in finished.out
    assert "mcwatch backfill" in finished.out
    assert [3] == _left(filled)
    document = json.loads(filled.run("dead-letters", "retry", "3", "--output", "json").out)
    assert (0, [1]) == (document["delivered"], list(document["left"].values()))


@pytest.mark.parametrize(
    ("arguments", "left"),
    [(("2",), [1, 3]), (("--destination", "archive"), [3]), (("--destination", ""), [1, 2]), (("--all",), [])],
)
def test_discarding(filled: Program, arguments: tuple[str, ...], left: list[int]) -> None:
    """Exactly the chosen ones are deleted."""
    finished = filled.run("dead-letters", "discard", *arguments, "--yes")
    assert (0, f"{3 - len(left):,} dead letters discarded\n") == (finished.code, finished.out)
    assert left == _left(filled)


@pytest.mark.parametrize(("answer", "left"), [("n", [1, 2, 3]), ("", [1, 2, 3]), ("y", [])])
def test_discarding_is_asked_about(
    filled: Program, monkeypatch: pytest.MonkeyPatch, answer: str, left: list[int]
) -> None:
    """Without --yes only somebody who says so has them deleted."""
    monkeypatch.setattr("sys.stdin", io.StringIO(answer and f"{answer}\n"))
    finished = filled.run("dead-letters", "discard", "--all")
    assert (finished.code == 0) == (answer == "y")
    assert "for good?" in finished.err
    assert left == _left(filled)


@pytest.mark.parametrize("verb", ["retry", "discard"])
@pytest.mark.parametrize("arguments", [(), ("1", "--all"), ("--all", "--destination", "archive"), ("0",)])
def test_it_has_to_be_said_which(filled: Program, verb: str, arguments: tuple[str, ...]) -> None:
    """In exactly one way; anything else is wrong usage and changes nothing."""
    assert 2 == filled.run("dead-letters", verb, *arguments).code
    assert [1, 2, 3] == _left(filled)


@pytest.mark.parametrize("verb", [("retry",), ("discard", "--yes")])
def test_numbers_that_are_not_there_are_said(filled: Program, verb: tuple[str, ...]) -> None:
    """None of them is an error; some are a remark."""
    none = filled.run("dead-letters", *verb, "98", "99")
    assert (1, "") == (none.code, none.out)
    assert "there is no dead letter 98, 99" in none.err
    some = filled.run("dead-letters", *verb, "1", "99")
    assert 0 == some.code
    assert "1 of the 2 numbers are not those of dead letters" in some.err


@pytest.mark.parametrize("arguments", [("list",), ("retry",), ("discard", "--yes")])
def test_a_mistyped_destination_is_remarked_on(filled: Program, arguments: tuple[str, ...]) -> None:
    """It may be one that is gone from the configuration, so it is no error."""
    finished = filled.run("dead-letters", *arguments, "--destination", "archiv")
    assert 0 == finished.code
    assert "no destination 'archiv' is configured; did you mean archive?" in finished.err
    assert [1, 2, 3] == _left(filled)
