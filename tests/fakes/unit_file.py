"""The systemd unit that is shipped, as its options say."""

import shlex
from pathlib import Path

DIRECTORY = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = DIRECTORY / "mcwatch.service"
DOCUMENT = DIRECTORY.parents[1] / "docs" / "INSTALL-SYSTEMD.md"
PROGRAM = "/opt/mcwatch/bin/mcwatch"
CONFIG = "/etc/mcwatch/mcwatch.yaml"


def options(name: str) -> list[str]:
    """Return the values an option is given, in order."""
    lines = [line.strip() for line in UNIT.read_text("utf-8").splitlines()]
    return [line.removeprefix(f"{name}=") for line in lines if line.startswith(f"{name}=")]


def option(name: str) -> str:
    """Return the value of an option that is given once."""
    (value,) = options(name)
    return value


def arguments(config: str) -> list[str]:
    """Return the arguments of ExecStart, for another configuration file."""
    program, *rest = shlex.split(option("ExecStart"))
    assert (PROGRAM, True) == (program, CONFIG in rest)
    return [config if one == CONFIG else one for one in rest]
