"""The Dockerfiles keep to hadolint's rules and to what deploy/ relies on."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcwatch import __version__

_ROOT = Path(__file__).parents[2]
_DOCKERFILE = _ROOT / "Dockerfile"
_DOCKERFILES = [_DOCKERFILE, _ROOT / "deploy" / "compose" / "syslog" / "Dockerfile"]


def _instructions(path: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, continuation lines joined and comments left out."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined) if name]


@pytest.mark.parametrize("path", _DOCKERFILES, ids=lambda path: str(path.relative_to(_ROOT)))
def test_hadolint_is_content(path: Path) -> None:
    """Hadolint finds nothing; what it is told to pass over stands beside its reason."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint is not installed; run `make setup`"
    done = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_last_stage_starts_from_the_base() -> None:
    """Two stages on the same base, so that what one Python has installed is what the other runs."""
    stages = [rest for name, rest in _instructions(_DOCKERFILE) if name == "FROM"]
    assert stages == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]
    [base] = [rest for name, rest in _instructions(_DOCKERFILE) if name == "ARG" and rest.startswith("BASE_IMAGE")]
    assert re.fullmatch(r"BASE_IMAGE=python:3\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)


def test_commands_are_started_without_a_shell() -> None:
    """The program is PID 1 itself, so that it gets the signals."""
    instructions = dict(_instructions(_DOCKERFILE))
    assert instructions["ENTRYPOINT"] == '["mcwatch"]'
    assert instructions["CMD"].startswith("[")
    assert instructions["HEALTHCHECK"].endswith('["mcwatch", "health", "-c", "/etc/mcwatch/mcwatch.yaml"]')


def test_what_is_copied_is_sent() -> None:
    """The build context holds what the Dockerfile copies, and nothing else."""
    ignore = (_ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copies = [rest.split()[:-1] for name, rest in _instructions(_DOCKERFILE) if name == "COPY" and "--from" not in rest]
    assert {source.split("/")[0] for sources in copies for source in sources} == allowed
    assert "*" in ignore


def test_documentation_names_this_version() -> None:
    """The commands of docs/INSTALL.md build and run the version that the code has."""
    text = (_ROOT / "docs" / "INSTALL.md").read_text("utf-8")
    assert set(re.findall(r"(?:mcwatch:|VERSION=)(\d[\w.]*)", text)) == {__version__}
