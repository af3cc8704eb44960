"""The configuration of what a destination does not get to see."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from mcwatch.domain.errors import ConfigError
from mcwatch.domain.redaction import Redaction
from mcwatch.domain.redaction_rules import Action
from mcwatch.option_types import Secret
from mcwatch.settings.redact import RedactConfig


def test_builds_what_is_written(tmp_path: Path) -> None:
    """Key and fields make the same redaction as by hand."""
    (tmp_path / "key").write_text("k" * 32 + "\n")
    fields = {"subject": "drop", "from_header.address": "hash", "to.address": "domain", "info": "keep"}
    config = RedactConfig.model_validate({"key": {"file": str(tmp_path / "key")}, "fields": fields})
    rules = {"subject": Action.DROP, "from_header.address": Action.HASH, "to.address": Action.DOMAIN}
    assert Redaction(b"k" * 32, rules, ["info"]).name == config.build().name


def test_a_key_is_all_it_needs() -> None:
    """Without fields ids are hashed and free text is dropped."""
    assert Redaction(b"k", {}).name == RedactConfig(key=Secret("k")).build().name


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"fields": {"subject": "drop"}}, "Field required"),
        ({"key": ""}, "the secret is empty"),
        ({"key": "k", "fields": {"subjct": "drop"}}, "did you mean subject?"),
        ({"key": "k", "fields": {"subject": "domain"}}, "domain is for addresses alone"),
        ({"key": "k", "fields": {"subjct": "drop", "sender_ip": "domain"}}, "subject?; sender_ip cannot have domain"),
        ({"key": "k", "fields": {"subject": "mask"}}, "'drop', 'hash', 'domain' or 'keep'"),
        ({"key": "k", "field": {}}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused(document: dict[str, object], told: str) -> None:
    """Every fault is named, with what to write instead."""
    with pytest.raises(ValidationError) as failure:
        RedactConfig.model_validate(document)
    assert told in str(failure.value)


def test_a_key_that_cannot_be_had_is_a_configuration_error(tmp_path: Path) -> None:
    """A missing and an empty file stop the start, named as what they are."""
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        RedactConfig(key=Secret(path=tmp_path / "missing")).build()
    with pytest.raises(ConfigError, match="empty"):
        RedactConfig(key=Secret(path=tmp_path / "empty")).build()


def test_the_key_does_not_show() -> None:
    """Neither the configuration nor the redaction gives it away."""
    config = RedactConfig(key=Secret("hush-hush"))
    assert "hush" not in f"{config!r} {config} {config.build()!r} {config.build().name}"
