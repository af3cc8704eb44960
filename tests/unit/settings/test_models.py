"""The sections of the configuration and what they refuse."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from mcwatch.settings import BatchConfig, HttpConfig, SelectConfig, StoreConfig
from tests.unit.settings.files import MINIMAL, loaded, problems


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///mcwatch.db", "mcwatch.db"),
        ("sqlite:///var/mcwatch.db", "var/mcwatch.db"),
        ("sqlite:////var/lib/mcwatch.db", "/var/lib/mcwatch.db"),
    ],
)
def test_store_path(url: str, path: str) -> None:
    """Three slashes are a path from the working directory, four one from the root."""
    assert StoreConfig.model_validate({"url": url}).path == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:db/x",
        "mysql://db/x",
        "mcwatch.db",
        "sqlite://mcwatch.db",
        "sqlite:///",
        "sqlite:////",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "sqlite:///a.db#x",
    ],
)
def test_store_url_refused(url: str) -> None:
    """What is no path of a SQLite file is refused."""
    with pytest.raises(ValidationError):
        StoreConfig.model_validate({"url": url})


def test_a_password_that_falls_apart(tmp_path: Path) -> None:
    """The problem names the file's line and the key, and nothing of the URL."""
    text = f'store: {{url: "postgresql://mcwatch:Xk9/a@db.example/mcwatch"}}\n{MINIMAL}'
    (said,) = problems(tmp_path, text)
    assert "mcwatch.yaml:1: store.url: write postgresql://user:password@host:5432/database;" in said
    assert "Xk9" not in said


@pytest.mark.parametrize("listen", ["127.0.0.1:9640", "[::1]:80", "localhost:0", ":9640", "0.0.0.0:65535"])
def test_listen(listen: str) -> None:
    """A host, an address, or nothing, and a port."""
    assert HttpConfig(listen=listen).listen == listen


@pytest.mark.parametrize(
    "listen", ["", "9640", "127.0.0.1", "host:65536", "host:", "::1:80", "http://host:80", "a b:80"]
)
def test_listen_refused(listen: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValidationError):
        HttpConfig(listen=listen)


@pytest.mark.parametrize("glob", ["*", "message.*", "queue.left", "*.changed", "queue.?e*"])
def test_kinds(glob: str) -> None:
    """Kinds are named or matched by a pattern."""
    assert SelectConfig(kinds=[glob]).kinds == [glob]


def test_kinds_refused() -> None:
    """A pattern that matches no kind is a mistake, not an empty selection."""
    with pytest.raises(ValidationError, match=r"queue\.gone matches no kind of event"):
        SelectConfig(kinds=["message.*", "queue.gone"])


def test_sections_are_frozen() -> None:
    """Settings do not change once they are loaded."""
    with pytest.raises(ValidationError):
        BatchConfig().max_events = 3  # type: ignore[misc]  # that it cannot be assigned is the point


_TEXT_FOR_JSON = """\
destinations:
  - name: hook
    sink: {type: http, url: "https://hook.example", body: array}
    format: {type: cef}
"""


def test_a_sink_that_takes_json_alone_refuses_text(tmp_path: Path) -> None:
    """A destination that can deliver nothing does not start: the problem names file, line, key and what to write."""
    accounts = MINIMAL.partition("destinations:")[0]
    [problem] = problems(tmp_path, accounts + _TEXT_FOR_JSON)
    assert problem.startswith("mcwatch.yaml:10: destinations[0].format: the sink http does not take cef")
    assert "body: single" in problem
    elastic = _TEXT_FOR_JSON.replace("http,", "elasticsearch, data_stream: logs-x-y,").replace(", body: array", "")
    [problem] = problems(tmp_path, accounts + elastic)
    assert problem.startswith("mcwatch.yaml:10: destinations[0].format: the sink elasticsearch does not take cef")
    for change in (("array", "ndjson"), ("cef", "ecs")):
        loaded(tmp_path, accounts + _TEXT_FOR_JSON.replace(*change))
