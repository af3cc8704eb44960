"""The options of the kafka sink."""

import sys
from importlib.abc import MetaPathFinder
from typing import Any

import pytest
from pydantic import ValidationError

from mcwatch.domain.errors import ConfigError
from mcwatch.sinks.kafka import KafkaSinkConfig

_LEAST = {"type": "kafka", "brokers": ["kafka.example:9093"], "topic": "mail"}


def _config(**options: object) -> KafkaSinkConfig:
    return KafkaSinkConfig.model_validate({**_LEAST, **options})


class _Without(MetaPathFinder):
    """Finds everything but one package."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, *_rest: object) -> None:
        if fullname.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def test_least_that_is_needed() -> None:
    """Brokers and topic are enough, and mean TLS."""
    assert "tls" == _config().security.protocol


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"brokers": []}, "at least 1"),
        ({"brokers": ["kafka.example"]}, "write host:port"),
        ({"topic": "a topic"}, "pattern"),
        ({"topic": ".."}, "no name of a topic"),
        ({"max_batch": "1KB"}, "1024"),
        ({"compression": "zstd"}, "'none' or 'gzip'"),
        ({"security": {"protocol": "plaintext", "tls": {"verify": False}}}, "nothing would be encrypted"),
        ({"security": {"sasl": {"username": "alice"}}}, "password"),
        ({"security": {"sasl": {"mechanism": "GSSAPI", "username": "alice", "password": "x"}}}, "SCRAM-SHA-512"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], words: str) -> None:
    """Each option that makes no sense is refused in words that name the fault."""
    with pytest.raises(ValidationError, match=words):
        _config(**options)


def test_a_missing_library_names_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without aiokafka the options can be read, and building the sink says what to install."""
    for name in [name for name in sys.modules if name.startswith(("aiokafka", "mcwatch.sinks.kafka."))]:
        if name not in {"mcwatch.sinks.kafka.config", "mcwatch.sinks.kafka.endpoint"}:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Without("aiokafka"), *sys.meta_path])
    config = _config()
    with pytest.raises(ConfigError, match=r'pip install "mcwatch\[kafka\]"'):
        config.build()


def test_another_missing_library_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the library of the extra is explained by the extra."""
    monkeypatch.setitem(sys.modules, "mcwatch.sinks.kafka.cluster", None)
    with pytest.raises(ModuleNotFoundError, match="cluster"):
        _config().build()
