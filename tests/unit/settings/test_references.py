"""Values from the environment and from files."""

from pathlib import Path

import pytest

from tests.unit.settings.files import MINIMAL, loaded, problems


def test_env_anywhere(tmp_path: Path) -> None:
    """Any single value, in lists too, may come from a variable, text being read as the key needs it."""
    text = MINIMAL.replace("name: acme", "name: {env: NAME}").replace(
        "- type: processing_queue",
        "- {type: processing_queue, interval: {env: INTERVAL}, gone_after: {env: N}, queues: [{env: Q}]}",
    )
    settings = loaded(tmp_path, text, {"NAME": "globex", "INTERVAL": "2m", "N": "5", "Q": "processing"})
    (account,) = settings.accounts
    (source,) = account.sources
    assert (account.name, source.interval) == ("globex", 120)
    assert source.model_dump()["gone_after"] == 5
    assert source.model_dump()["queues"] == ["processing"]


def test_default(tmp_path: Path) -> None:
    """The default counts where the variable is not set, and only there."""
    text = MINIMAL + "log: {level: {env: LEVEL, default: debug}}\n"
    assert loaded(tmp_path, text).log.level == "debug"
    assert loaded(tmp_path, text, {"LEVEL": "error"}).log.level == "error"


def test_unset_variable(tmp_path: Path) -> None:
    """A variable that is not set is one problem, whatever else the key would need."""
    text = MINIMAL.replace("hush-hush", "{env: ACME}") + "log: {level: {env: LEVEL}}\n"
    what = "the environment variable {0} is not set; set it, or write {{env: {0}, default: VALUE}}"
    assert problems(tmp_path, text) == [
        f"mcwatch.yaml:4: accounts[0].api.auth.client_secret: {what.format('ACME')}",
        f"mcwatch.yaml:10: log.level: {what.format('LEVEL')}",
    ]


def test_wrong_value_of_a_variable(tmp_path: Path) -> None:
    """A wrong value names the variable it came from."""
    (problem,) = problems(tmp_path, MINIMAL + "log: {level: {env: LEVEL}}\n", {"LEVEL": "loud"})
    assert problem.endswith(" or error (value 'loud'), from the environment variable LEVEL")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{env: 5}", "write {env: NAME} with the name of an environment variable"),
        ("{env: ''}", "write {env: NAME} with the name of an environment variable"),
        ("{env: A, default: [1]}", "the default of {env: NAME, default: VALUE} must be a single value"),
        (
            "{env: A, defualt: b}",
            "a value from the environment is written {env: NAME} or {env: NAME, default: VALUE}, without other keys",
        ),
        ("{file: /x}", "only secrets can come from a file; write the value itself or {env: NAME}"),
    ],
)
def test_malformed_references(tmp_path: Path, value: str, text: str) -> None:
    """A reference of the wrong form says how it is written."""
    found = problems(tmp_path, MINIMAL + f"http: {{listen: {value}}}\n")
    assert f"mcwatch.yaml:10: http.listen: {text}" in found


def test_secret_file(tmp_path: Path) -> None:
    """A secret may come from its file, and `store.url` is one."""
    secret = tmp_path / "secret"
    secret.write_text("sqlite:////srv/mcwatch.db\n", "utf-8")
    settings = loaded(tmp_path, MINIMAL + f"store: {{url: {{file: {secret}}}}}\n")
    assert settings.store.path == Path("/srv/mcwatch.db")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            None,
            "cannot be read: No such file or directory; check the path, and that the user mcwatch runs as may read it",
        ),
        (
            b"\xff\xfehush",
            "cannot be read: it is not UTF-8 text; check the path, and that the user mcwatch runs as may read it",
        ),
        (b"\n", "is empty; write the secret into it"),
    ],
)
def test_unusable_secret_file(tmp_path: Path, content: bytes | None, text: str) -> None:
    """A secret file is tried at load: missing, unreadable as text or empty, it is named and never quoted."""
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    for name in (
        MINIMAL.replace("hush-hush", f"{{file: {secret}}}"),
        MINIMAL + f"store: {{url: {{file: {secret}}}}}\n",
    ):
        (problem,) = problems(tmp_path, name)
        assert problem.endswith(f": the secret file secret {text}")
        assert "hush" not in problem
