"""Configuration files for the tests of this directory."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from mcwatch.domain.errors import ConfigError
from mcwatch.settings import Settings, load

MINIMAL = """\
accounts:
  - name: acme
    api:
      auth: {type: oauth2, client_id: id, client_secret: hush-hush}
    sources:
      - type: processing_queue
destinations:
  - name: out
    sink: {type: stdout}
"""


def write(directory: Path, text: str) -> Path:
    """Write a configuration file."""
    path = directory / "mcwatch.yaml"
    path.write_text(dedent(text), "utf-8")
    return path


def loaded(directory: Path, text: str = MINIMAL, environ: Mapping[str, str] | None = None) -> Settings:
    """Load a configuration with the given environment alone."""
    return load(write(directory, text), environ or {})


def problems(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return what is said about a configuration that does not load, without the directory in front."""
    with pytest.raises(ConfigError) as caught:
        loaded(directory, text, environ)
    return [problem.replace(f"{directory}/", "") for problem in caught.value.problems]
