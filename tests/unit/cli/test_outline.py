"""What quick commands read of the configuration file."""

from pathlib import Path

import pytest

from mcwatch.cli.outline import Outline, outline, store_file
from mcwatch.domain.errors import ConfigError
from tests.unit.cli.programs import Program


def test_names_and_store(tmp_path: Path) -> None:
    """As they stand in the file; secrets are not looked at, and what has another shape is left out."""
    path = tmp_path / "mcwatch.yaml"
    path.write_text(
        "store: {url: 'sqlite:////var/lib/mcwatch/mcwatch.db'}\n"
        "accounts: [{name: acme, api: {auth: {client_secret: {file: /nowhere}}}}, {name: on},\n"
        "  {title: x}, y, {name: [z]}]\n"
        "destinations: [{name: hook}]\n"
    )
    assert Outline(Path("/var/lib/mcwatch/mcwatch.db"), ("acme", "on"), ("hook",)) == outline(path)


@pytest.mark.parametrize(
    "text", ["", "hello", "[1]", "store: x\naccounts: y", "store: {url: {env: X}}", "a: [", "\x00", "store: {url: x}"]
)
def test_a_file_that_says_nothing(tmp_path: Path, text: str) -> None:
    """Gives nothing, and no error: whoever needs more loads the configuration, which says what is wrong."""
    path = tmp_path / "mcwatch.yaml"
    path.write_text(text)
    assert Outline() == outline(path)
    assert Outline() == outline(tmp_path / "none.yaml")
    assert Outline() == outline(tmp_path)


def test_where_the_store_is(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment beats the file; a URL that is no plain text takes the whole configuration."""
    assert program.store == store_file(program.config, None)
    assert Path("other.db") == store_file(program.config, "sqlite:///other.db")
    text = program.config.read_text()
    program.config.write_text(text.replace(f'"sqlite:///{program.store}"', "{env: STORE}"))
    monkeypatch.setenv("STORE", "sqlite:///named.db")
    assert Path("named.db") == store_file(program.config, None)
    program.config.write_text("accounts: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        store_file(program.config, None)
