"""What is said about a wrong configuration: everything at once, line by line, in plain words, without secrets."""

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
        "mcwatch.yaml:1: accounts: this key is missing; add it: The Mimecast accounts to watch",
        "mcwatch.yaml:1: destinations: this key is missing; add it: Where the events go",
    ]


def test_duplicate_names(tmp_path: Path) -> None:
    """Two accounts, or two destinations, of one name are an error on the second one's line."""
    text = MINIMAL + "  - {name: two, sink: {type: stdout}}\n  - {name: out, sink: {type: stdout}}\n"
    assert problems(tmp_path, text) == [
        "mcwatch.yaml:11: destinations[2].name: another entry is named out already; names must differ"
    ]


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
