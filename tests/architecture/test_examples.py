"""The example configurations load, and the full one leaves nothing out."""

from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from mcwatch.option_types import Config
from mcwatch.settings import load, schema
from mcwatch.settings.places import key_names
from tests.architecture.examples import EXAMPLES, with_fake_secrets

FULL = EXAMPLES[0]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    """Give a validator of the configuration's schema, itself checked."""
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_load(example: Path, tmp_path: Path) -> None:
    """Every example is accepted once its secrets exist."""
    path, environ = with_fake_secrets(example, tmp_path)
    assert load(path, environ).accounts


def test_accounts_of_a_directory(tmp_path: Path) -> None:
    """The example of a directory has an account for each file, one by the file's name, one by its own."""
    (example,) = (one for one in EXAMPLES if one.parent.name == "accounts-directory")
    path, environ = with_fake_secrets(example, tmp_path)
    assert [one.name for one in load(path, environ).accounts] == ["acme", "globex-eu"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_fit_the_schema(example: Path, validator: jsonschema.Draft202012Validator) -> None:
    """Every example is valid by the JSON Schema, with its references as written."""
    validator.validate(yaml.safe_load(example.read_text("utf-8")))


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return the configuration models there are; the command line has one of its own, for its arguments."""
    found: set[type[BaseModel]] = set()
    for child in model.__subclasses__():
        ours = child.__module__.startswith("mcwatch.") and not child.__module__.startswith("mcwatch.cli.")
        found |= _models(child) | ({child} if ours else set())
    return found


def _written(value: object) -> Iterator[tuple[type[BaseModel], str]]:
    """Yield each key that a loaded configuration was given, with the model it belongs to."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if name in value.model_fields_set:
                yield type(value), field.alias or name
                yield from _written(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _written(item)


def test_full_example_shows_every_option(tmp_path: Path) -> None:
    """mcwatch.example.yaml holds every key of every configuration model."""
    path, environ = with_fake_secrets(FULL, tmp_path)
    # By name: a test that imports a module afresh leaves a second class of the same name behind.
    written = {f"{model.__name__}.{name}" for model, name in _written(load(path, environ))}
    written.add("AccountsDirectory.directory")  # one file cannot have both the list and the directory
    concrete = {model for model in _models(Config) if model.__subclasses__() == []}
    options = {f"{model.__name__}.{name}" for model in concrete for name in key_names(model)}
    assert sorted(options - written) == []
