"""Durations on the command line, written as in the configuration."""

from mcwatch.domain.errors import ConfigError
from mcwatch.option_types import Config, Duration


class _Given(Config):
    secs: Duration


def parse_duration(option: str, text: str) -> float:
    """Return the seconds of ``30s`` or ``1m30s``; raises ConfigError that names the option."""
    try:
        return _Given.model_validate({"secs": text}).secs
    except ValueError as error:
        raise ConfigError([f"{option}: {text!r} is not a duration such as 30s, 5m or 1h30m"]) from error
