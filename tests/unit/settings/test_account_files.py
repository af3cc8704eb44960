"""A directory of accounts: what loads, and what is said about each file that does not."""

import os
import shutil
import time
from pathlib import Path

import jsonschema
import pytest
import yaml

from mcwatch.settings import Settings, load, schema
from mcwatch.settings import account_files as module
from mcwatch.settings.account_files import read_accounts
from mcwatch.settings.document import Document, Wanted
from mcwatch.settings.document import read as read_document
from tests.unit.settings.files import loaded, problems

MAIN = "accounts: {directory: accounts.d}\ndestinations: [{name: out, sink: {type: stdout}}]\n"
ACCOUNT = """\
api: {auth: {type: oauth2, client_id: id, client_secret: hush-hush}}
sources:
  - type: processing_queue
    interval: 30s
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Give a directory with one account."""
    path = tmp_path / "accounts.d"
    path.mkdir()
    (path / "acme.yaml").write_text(ACCOUNT)
    return path


def _names(settings: Settings) -> list[str]:
    return [account.name for account in settings.accounts]


def test_accounts_of_a_directory(tmp_path: Path, directory: Path) -> None:
    """Each file is one account, in the order of the files' names, called as its file or as it says itself."""
    (directory / "b.yml").write_text(ACCOUNT)
    (directory / "a.yaml").write_text(f"name: zebra\n{ACCOUNT}")
    assert _names(loaded(tmp_path, MAIN)) == ["zebra", "acme", "b"]


def test_relative_to_the_configuration_file(tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is found wherever the program was started; an absolute path is taken as it is."""
    monkeypatch.chdir("/")
    assert _names(loaded(tmp_path, MAIN)) == ["acme"]
    assert _names(loaded(tmp_path, MAIN.replace("accounts.d", str(directory)))) == ["acme"]


def test_references(tmp_path: Path, directory: Path) -> None:
    """`{env:}` and `{file:}` stand for values in an account's file, and `{env:}` for the directory itself."""
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    (directory / "acme.yaml").write_text(
        ACCOUNT.replace("id,", "{env: MCWATCH_MY_ID},").replace("hush-hush", f"{{file: {secret}}}")
    )
    text = MAIN.replace("accounts.d", "{env: MCWATCH_MY_DIRECTORY}")
    environ = {"MCWATCH_MY_DIRECTORY": "accounts.d", "MCWATCH_MY_ID": "app"}
    (account,) = loaded(tmp_path, text, environ).accounts
    assert account.api.auth.type == "oauth2"
    assert (account.api.auth.client_id.reveal(), account.api.auth.client_secret.reveal()) == ("app", "hush")


def test_environment_names_the_directory(tmp_path: Path, directory: Path) -> None:
    """The environment beats the file, a list in it too; what is wrong is said of the variable."""
    shutil.copytree(directory, tmp_path / "other")
    (tmp_path / "other" / "beta.yaml").write_text(ACCOUNT)
    assert _names(loaded(tmp_path, MAIN, {"MCWATCH_ACCOUNTS__DIRECTORY": "other"})) == ["acme", "beta"]
    listed = MAIN.replace("{directory: accounts.d}", "[]")
    assert _names(loaded(tmp_path, listed, {"MCWATCH_ACCOUNTS__DIRECTORY": "other"})) == ["acme", "beta"]
    assert problems(tmp_path, MAIN, {"MCWATCH_ACCOUNTS__DIRECTORY": "nope"}) == [
        "environment: MCWATCH_ACCOUNTS__DIRECTORY: there is no directory nope; make it, or name the right one"
    ]


@pytest.mark.parametrize(
    ("accounts", "said"),
    [
        ("{directory: nope}", "accounts.directory: there is no directory nope; make it, or name the right one"),
        ("{directory: mcwatch.yaml}", ("accounts.directory: mcwatch.yaml is no directory; name the one that holds the "
                                      "accounts' files")),
        ("{directory: empty}", "accounts.directory: empty holds no file *.yaml or *.yml; write one for each account"),
        ("{directory: 5}", "accounts.directory: a file's path is expected here; put it in quotes (value '5')"),
        ("{directory: {env: X}}", ("accounts.directory: the environment variable X is not set; set it, or write "
                                  "{env: X, default: VALUE}")),
        ("{directory: accounts.d, x: 1}", "accounts.x: unknown key; the keys here are directory"),
        ("{dir: x}", "accounts: a list of accounts is expected here, or {directory: PATH}"),
        ("{}", "accounts: a list of accounts is expected here, or {directory: PATH}"),
    ],
)  # fmt: skip
def test_a_directory_that_cannot_be_used(tmp_path: Path, directory: Path, accounts: str, said: str) -> None:
    """One problem, at its key in the configuration file, with value and remedy."""
    (tmp_path / "empty" / "below").mkdir(parents=True)
    text = MAIN.replace("{directory: accounts.d}", accounts)
    assert problems(tmp_path, text) == [f"mcwatch.yaml:1: {said}"]


def test_every_problem_of_every_file(tmp_path: Path, directory: Path) -> None:
    """Each is told with its file, line, key, value and remedy, after those of the configuration file itself."""
    (directory / "acme.yaml").write_text(ACCOUNT.replace("30s", "5").replace("hush-hush", "{file: /nowhere}"))
    (directory / "bad.yaml").write_text("api: {}\na: [\n")
    (directory / "double.yaml").write_text(f"name: good\n{ACCOUNT}")
    (directory / "empty.yaml").touch()
    (directory / "good.yaml").write_text(ACCOUNT)
    (directory / "link.yaml").symlink_to("nowhere")
    (directory / "list.yaml").write_text("- {name: x}\n")
    (directory / "my tenant.yaml").write_text(ACCOUNT)
    (directory / "twice.yaml").write_text(f"{ACCOUNT}sources: []\n")
    (directory / "whole.yaml").write_text(f"{ACCOUNT}accounts: []\n")
    assert problems(tmp_path, f"{MAIN}log: {{level: loud}}\n") == [
        "mcwatch.yaml:3: log.level: not one of the choices; choose debug, info, warning or error (value 'loud')",
        (
            "accounts.d/acme.yaml:1: api.auth.client_secret: the secret file /nowhere cannot be read: No such file or "
            "directory; check the path, and that the user mcwatch runs as may read it"
        ),
        (
            "accounts.d/acme.yaml:4: sources[0].interval: write a duration with its unit, such as 30s, 5m, 1h30m or 7d "
            "(value '5')"
        ),
        (
            "accounts.d/bad.yaml:3:1: not valid YAML: while parsing a flow node; expected the node content, but found "
            "'<stream end>'; check indentation, quotes and brackets here and on the line before"
        ),
        "accounts.d/empty.yaml: the file is empty; write the account's api and sources into it, or remove it",
        (
            "accounts.d/good.yaml:1: name: accounts.d/double.yaml is an account of this name already; names must "
            "differ (value 'good'), the file's name; rename the file, or write name: into it"
        ),
        "accounts.d/link.yaml: a link to a file that is not there; mend it, or remove it",
        (
            "accounts.d/list.yaml:1: the file must be one account, a mapping with the keys api and sources, not a list "
            "or a value"
        ),
        (
            "accounts.d/my tenant.yaml:1: name: a name has 1 to 63 letters, digits, dots, dashes and underscores, the "
            "first a letter or digit (value 'my tenant'), the file's name; rename the file, or write name: into it"
        ),
        "accounts.d/twice.yaml:5: sources: this key is on line 2 already; remove one of the two",
        "accounts.d/whole.yaml:5: accounts: unknown key; the keys here are name, api, sources",
    ]


def test_one_bad_file_alone(tmp_path: Path, directory: Path) -> None:
    """A directory in which no file can be read says so of the file, and not that there are no accounts."""
    (directory / "acme.yaml").write_text("")
    assert problems(tmp_path, MAIN) == [
        "accounts.d/acme.yaml: the file is empty; write the account's api and sources into it, or remove it"
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path, directory: Path) -> None:
    """The remedy is its owner and mode."""
    (directory / "acme.yaml").chmod(0)
    (problem,) = problems(tmp_path, MAIN)
    assert problem == "accounts.d/acme.yaml: cannot be read: Permission denied; check its owner and mode"


def test_what_is_no_file(tmp_path: Path, directory: Path) -> None:
    """A sub-directory is left alone whatever its name; a pipe, and what is far too large, are refused unread."""
    (directory / "below.yaml").mkdir()
    assert _names(loaded(tmp_path, MAIN)) == ["acme"]
    os.mkfifo(directory / "pipe.yaml")
    (directory / "vast.yaml").write_bytes(b"#" * (2**20 + 1))
    assert problems(tmp_path, MAIN) == [
        "accounts.d/pipe.yaml: not a regular file; write the account into one",
        "accounts.d/vast.yaml: larger than 1 MiB, too large to be one account; check it",
    ]


def test_a_mount_of_kubernetes(tmp_path: Path, directory: Path) -> None:
    """Files that are links into a hidden directory are read once each."""
    hidden = directory / "..2026_01_05"
    hidden.mkdir()
    (directory / "acme.yaml").rename(hidden / "acme.yaml")
    (directory / "..data").symlink_to("..2026_01_05")
    (directory / "acme.yaml").symlink_to("..data/acme.yaml")
    assert _names(loaded(tmp_path, MAIN)) == ["acme"]


def test_a_file_that_goes_away_while_it_is_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts as gone, before its kind was looked at or after."""
    (directory / "other.yaml").write_text(ACCOUNT)

    def read(path: Path, wanted: Wanted) -> Document:
        (directory / "other.yaml").unlink(missing_ok=True)
        (directory / "acme.yaml").unlink()
        return read_document(path, wanted)

    monkeypatch.setattr(module, "read", read)
    found = read_accounts(directory)
    assert (found.documents, found.problems) == ([], [])


def test_fits_the_schema(tmp_path: Path, directory: Path) -> None:
    """What loads is valid by the JSON Schema, and a mapping without the directory is not."""
    validator = jsonschema.Draft202012Validator(schema())
    validator.validate(yaml.safe_load(MAIN))
    validator.validate(yaml.safe_load(MAIN.replace("accounts.d", "{env: X, default: y}")))
    for accounts in ("{directory: 5}", "{}", "{directory: x, y: z}", "[]"):
        assert not validator.is_valid(yaml.safe_load(MAIN.replace("{directory: accounts.d}", accounts)))


def test_many_files_load_soon(tmp_path: Path, directory: Path) -> None:
    """A thousand take less than three seconds; here are a tenth of them."""
    for number in range(100):
        (directory / f"tenant-{number}.yaml").write_text(ACCOUNT)
    (tmp_path / "mcwatch.yaml").write_text(MAIN)
    began = time.process_time()
    assert len(load(tmp_path / "mcwatch.yaml", {}).accounts) == 101
    assert time.process_time() - began < 0.3
