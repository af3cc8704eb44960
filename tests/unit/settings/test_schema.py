"""The JSON Schema agrees with what the loader accepts."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from mcwatch.settings import schema
from tests.unit.settings.files import MINIMAL, loaded, problems

VALIDATOR = jsonschema.Draft202012Validator


def test_schema_is_valid() -> None:
    """The schema is itself valid by draft 2020-12."""
    VALIDATOR.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    "addition",
    [
        "log: {level: {env: LEVEL, default: info}}",
        "http: {listen: {env: LISTEN, default: '127.0.0.1:9640'}}",
        "store: {url: {env: URL, default: 'sqlite:///x.db'}, max_backlog: {env: MAX, default: 1GiB}}",
        "store: {keep_delivered: 0}",
        "store: {max_backlog: 1048576, reserve: 33.5 MiB, keep_delivered: 1d12h}",
        "log: {}",
    ],
)
def test_accepts_what_loads(tmp_path: Path, addition: str) -> None:
    """What loads is valid by the schema, references included."""
    text = MINIMAL + addition
    loaded(tmp_path, text)
    VALIDATOR(schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "addition",
    [
        "log: {level: loud}",
        "log: {levl: info}",
        "log: {level: {env: LEVEL, otherwise: info}}",
        "http: {listen: {file: /x}}",
        "store: {max_backlog: much}",
        "store: {keep_delivered: 5}",
        "other: 1",
    ],
)
def test_refuses_what_does_not_load(tmp_path: Path, addition: str) -> None:
    """What the loader refuses for its form is not valid by the schema either."""
    text = MINIMAL + addition
    assert problems(tmp_path, text)
    assert not VALIDATOR(schema()).is_valid(yaml.safe_load(text))


def test_defaults_are_written_as_in_the_file() -> None:
    """Defaults in the schema stand in the notation of the file, and none shows a secret object."""
    store = schema()["$defs"]["StoreConfig"]["properties"]
    assert {name: value["default"] for name, value in store.items()} == {
        "url": "sqlite:///var/mcwatch.db",
        "max_backlog": "2GiB",
        "keep_delivered": "24h",
        "keep_fingerprints": "31d",
        "keep_dead_letters": "90d",
        "max_dead_letters": 10000,
        "reserve": "64MiB",
    }
    assert "Secret(" not in str(schema())


def test_every_option_is_described() -> None:
    """Every option has a description, which the documentation and editors show."""
    bare = [
        f"{name}.{key}"
        for name, model in schema()["$defs"].items()
        for key, value in model.get("properties", {}).items()
        if "description" not in value and name != "EnvironmentReference" and key != "type"
    ]
    assert bare == []
