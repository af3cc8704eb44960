"""What is said about a wrong configuration: everything at once, line by line, in plain words, without secrets."""

import re
from pathlib import Path

import pytest

from mcwatch.domain.errors import ConfigError
from mcwatch.settings import load
from tests.unit.settings.files import MINIMAL, loaded, problems, write

BROKEN = Path(__file__).with_name("broken.yaml").read_text("utf-8")


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Every problem of a file is listed, each on its line with key path, what is wrong, value and remedy."""
    expected = Path(__file__).with_name("broken.txt").read_text("utf-8").splitlines()
    assert problems(tmp_path, BROKEN, {"MCWATCH_STORE__UR": "x"}) == expected


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    """No secret of a wrong file is in any message, nor in the error's causes as they are printed."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, BROKEN)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hush" not in str(error)
        assert "hush" not in repr(error)
        error = error.__cause__


def test_settings_do_not_show_secrets(tmp_path: Path) -> None:
    """Printing, dumping and comparing settings shows no secret."""
    settings = loaded(tmp_path)
    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "hush" not in text


def test_minimal(tmp_path: Path) -> None:
    """A file with one account, source and destination loads, everything else having its default."""
    settings = loaded(tmp_path)
    assert [account.name for account in settings.accounts] == ["acme"]
    assert settings.destinations[0].format.type == "json"
    assert settings.destinations[0].batch.max_bytes == 2**20
    assert settings.log.format == "auto"


def test_missing_sections(tmp_path: Path) -> None:
    """Without accounts and destinations there is nothing to do, which is said of both."""
    assert problems(tmp_path, "log: {level: info}\n") == [
        (
            "mcwatch.yaml:1: accounts: this key is missing; add it: The Mimecast accounts to watch, or the directory "
            "that holds them"
        ),
        "mcwatch.yaml:1: destinations: this key is missing; add it: Where the events go",
    ]


def test_duplicate_names(tmp_path: Path) -> None:
    """Two accounts, or two destinations, of one name are an error on the second one's line."""
    text = MINIMAL + "  - {name: two, sink: {type: stdout}}\n  - {name: out, sink: {type: stdout}}\n"
    assert problems(tmp_path, text) == [
        "mcwatch.yaml:11: destinations[2].name: another entry is named out already; names must differ"
    ]


@pytest.mark.parametrize(
    ("keep", "rescans", "said"),
    [
        ("31d", "[{every: 1d, look_back: 60d}]", None),
        ("7d", "[]", None),
        ("25h", "[{every: 2h, look_back: 1h}]", None),
        ("28d", "[{every: 1d, look_back: 60d}]", "look back 28d, and .*; write 29d or longer"),
        ("24h", "[{every: 2h, look_back: 1h}, {every: 1h, look_back: 10m}]", "look back 1h, and .*; write 25h or"),
    ],
)
def test_fingerprints_outlast_rescans(tmp_path: Path, keep: str, rescans: str, said: str | None) -> None:
    """Mail that rescans read after its fingerprint is gone would come again: a day more is asked for."""
    source = f"{{type: message_finder, rescans: {rescans}}}"
    text = MINIMAL.replace("- type: processing_queue", f"- {source}") + f"store: {{keep_fingerprints: {keep}}}\n"
    if said is None:
        assert loaded(tmp_path, text).accounts
    else:
        (problem,) = problems(tmp_path, text)
        assert re.search(said, problem)


def test_fingerprints_kept_too_briefly_for_the_default(tmp_path: Path) -> None:
    """The problem is told at its key, with both values and what to write."""
    text = MINIMAL.replace("- type: processing_queue", "- type: message_finder") + "store: {keep_fingerprints: 7d}\n"
    (problem,) = problems(tmp_path, text)
    assert problem == (
        "mcwatch.yaml:10: store.keep_fingerprints: too short: rescans of account acme look back 16d, and would bring "
        "mail as new again whose fingerprints are gone; write 17d or longer, or a shorter look_back in those rescans "
        "(value '7d')"
    )


def test_long_values_are_cut(tmp_path: Path) -> None:
    """A long value is shown by its beginning."""
    (problem,) = problems(tmp_path, MINIMAL + f"http: {{listen: {'x' * 500}}}\n")
    assert problem.endswith(f"(value '{'x' * 60}…')")


def test_path_may_be_text(tmp_path: Path) -> None:
    """The path may be text or a Path."""
    assert load(str(write(tmp_path, MINIMAL)), {}) == load(write(tmp_path, MINIMAL), {})


def test_check_that_needs_a_secret_file(tmp_path: Path) -> None:
    """A check that looks into a secret's file is no crash where the file cannot be read: the file is named once."""
    text = MINIMAL.replace("{type: stdout}", "{type: http, url: 'https://hook.example/', proxy: {file: /nope}}")
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("mcwatch.yaml:9: destinations[0].sink.proxy: the secret file /nope cannot be read: ")


def test_wrong_address(tmp_path: Path) -> None:
    """What a component refuses by its own check is told like everything else."""
    text = MINIMAL.replace("{type: stdout}", "{type: syslog, address: siem.example}")
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("mcwatch.yaml:9: destinations[0].sink.address: ")
