"""``mcwatch dead-letters list``."""

import json
from datetime import UTC, datetime

import pytest

from mcwatch.cli.dead_letters import masked
from mcwatch.domain.outbox import DeadLetter
from mcwatch.settings import Settings
from tests.unit.cli.programs import Program

LETTERS = [
    DeadLetter(
        8, "acme", "splunk", "ab" * 16, "refused", "no <amy@corp.example>", datetime(2026, 1, 5, tzinfo=UTC), 100
    ),
    DeadLetter(7, "acme", "", "", "undecodable", "a number where text was due", datetime(2026, 1, 4, tzinfo=UTC), 9),
]
Asked = list[tuple[str | None, int]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Keep what the store was asked for; it holds two dead letters."""
    calls: Asked = []

    def offline(_settings: Settings, destination: str | None, limit: int) -> list[DeadLetter]:
        calls.append((destination, limit))
        return LETTERS

    monkeypatch.setattr("mcwatch.app.offline_dead_letters", offline)
    return calls


def test_the_table(program: Program, asked: Asked) -> None:
    """A line each, the rows that could not be read named as such, addresses masked."""
    out = program.run("dead-letters", "list").out

    assert "ab" * 16 in out
    assert "(unreadable)" in out
    assert "no <***>" in out
    assert "amy" not in out


def test_json(program: Program, asked: Asked) -> None:
    """The same for programs, masked as well."""
    letters = json.loads(program.run("dead-letters", "list", "--output", "json").out)

    assert [(one["id"], one["at"], one["detail"]) for one in letters] == [
        (8, "2026-01-05T00:00:00Z", "no <***>"),
        (7, "2026-01-04T00:00:00Z", "a number where text was due"),
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (None, 100)),
        (("--destination", "splunk", "--limit", "5"), ("splunk", 5)),
        (("--destination", ""), ("", 100)),
    ],
)
def test_the_choice_is_passed_on(
    program: Program, asked: Asked, arguments: tuple[str, ...], expected: tuple[str | None, int]
) -> None:
    """Everything, one destination, or (with an empty name) what could not be read."""
    program.run("dead-letters", "list", *arguments)

    assert asked == [expected]


@pytest.mark.parametrize("limit", ["0", "10001", "x"])
def test_a_limit_out_of_range_is_a_usage_error(program: Program, asked: Asked, limit: str) -> None:
    """Nothing is asked."""
    assert program.run("dead-letters", "list", "--limit", limit).code == 2
    assert asked == []


def test_none_is_said_in_words(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty table would leave doubts."""

    def nothing(*_: object) -> list[DeadLetter]:
        return []

    monkeypatch.setattr("mcwatch.app.offline_dead_letters", nothing)

    assert program.run("dead-letters", "list").out == "no dead letters\n"


@pytest.mark.parametrize(
    "detail",
    [
        'failed to parse field [subject] of type [date]: "planted"',
        "value 'planted' is too long",
        "sender planted@corp.example is unknown",
        'unfinished "planted words',
        r'escaped "a \" planted " quote',
        "unfinished 'planted words",
        "value 'it's planted' is odd",
        "value `planted\nplanted` is odd",
        "from 198.51.100.7",
        "from 2001:db8::7",
    ],
)
def test_what_a_receiver_quotes_is_masked(detail: str) -> None:
    """Quotations, addresses and IPs may be mail."""
    assert not [word for word in ("planted", "198.51", "2001:db8") if word in masked(detail)]


@pytest.mark.parametrize("detail", ["the event isn't valid and can't be used", "field subject: too long (4096)"])
def test_words_without_quotations_stay(detail: str) -> None:
    """An apostrophe is no quotation mark."""
    assert masked(detail) == detail


def test_long_words_of_a_receiver_are_cut() -> None:
    """A list is for an overview."""
    assert len(masked("x" * 10_000)) == 160
