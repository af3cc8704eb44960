"""What quick commands read of the configuration file."""

from pathlib import Path

import pytest

from mcwatch.cli.outline import Outline, Place, outline, place, store_file
from mcwatch.domain.errors import ConfigError
from mcwatch.settings.http import HttpConfig
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


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_store_that_several_share_has_no_file(tmp_path: Path, scheme: str) -> None:
    """Neither in the file nor in the environment; the rest of the configuration is not looked at."""
    path = tmp_path / "mcwatch.yaml"
    path.write_text(f"store: {{url: '{scheme}://u:p@db.example/mcwatch'}}\naccounts: nonsense\n")
    assert store_file(path, None) is None
    assert store_file(tmp_path / "none.yaml", f"{scheme}://db.example/mcwatch") is None
    assert Path("other.db") == store_file(path, "sqlite:///other.db")


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        ("", Place(None, knows_store=True)),
        ("http: {listen: ':80'}", Place(None, knows_store=True, listen=":80")),
        ("http: {listen: {env: X}}", Place(None, knows_store=True, listen=None)),
        ("http: {tls: {cert_file: x.pem}}", Place(None, knows_store=True, speaks_tls=True)),
        ("http: nonsense", Place(None, knows_store=True)),
    ],
)
def test_where_the_daemon_listens(tmp_path: Path, http: str, expected: Place) -> None:
    """As the file says in plain words, else as the configuration has it by default."""
    path = tmp_path / "mcwatch.yaml"
    path.write_text(f"store: {{url: 'postgresql://db.example/mcwatch'}}\n{http}\n")
    assert expected == place(path)
    assert HttpConfig().listen == Place().listen


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


def test_accounts_of_a_directory(tmp_path: Path) -> None:
    """Names are those of the files, or what stands in them; what cannot be read has its file's name."""
    path = tmp_path / "mcwatch.yaml"
    path.write_text("accounts: {directory: accounts.d}")
    assert Outline() == outline(path)
    directory = tmp_path / "accounts.d"
    directory.mkdir()
    for file, text in {"a.yaml": "api: {}", "b.yml": "name: beta", "c.yaml": "a: [", "d.yaml~": "name: d"}.items():
        (directory / file).write_text(text)
    assert Outline(accounts=("a", "beta", "c")) == outline(path)
    path.write_text("accounts: {directory: {env: X}}")
    assert Outline() == outline(path)
