"""The program as a whole: help, exit codes, and how failures are told."""

import os
import resource
import subprocess
import sys

import pytest

from mcwatch import __version__
from mcwatch.domain.errors import ConfigError, StoreCorrupt, StoreUnavailable
from mcwatch.simulator import PROFILES
from tests.unit.cli.programs import Program

pytestmark = pytest.mark.timeout(20)  # processes take their time on a machine that is busy

COMMANDS = (
    "run", "check", "demo", "simulate", "status", "tail", "health", "backfill", "verify", "replay", "schema",
    "dead-letters", "destinations",
)  # fmt: skip
HEAVY = ("aiohttp", "pydantic", "prometheus_client", "structlog", "rich", "sqlite3", "uvloop", "yaml")


def test_help_names_every_command(program: Program) -> None:
    """And the exit codes."""
    help_text = program.run("--help").out

    assert [command for command in COMMANDS if f"  {command} " not in help_text] == []
    assert "78 the configuration cannot be used" in help_text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(program: Program, command: str) -> None:
    """Its own help works without a configuration."""
    finished = program.run(command, "--help")

    assert (finished.code, f"Usage: mcwatch {command}" in finished.out) == (0, True)


def test_help_names_every_fault_profile(program: Program) -> None:
    """The list is written by hand, for reading it from the simulator would make help slow."""
    help_text = program.run("simulate", "--help").out

    assert [profile for profile in PROFILES if profile not in help_text] == []


def test_version(program: Program) -> None:
    """It is the package's."""
    finished = program.run("--version")

    assert (finished.code, finished.out) == (0, f"mcwatch {__version__}\n")


def test_a_mistyped_command_brings_a_suggestion(program: Program) -> None:
    """And is a usage error."""
    finished = program.run("statux")

    assert finished.code == 2
    assert "Did you mean 'status'?" in finished.err


def test_a_mistyped_option_brings_a_suggestion(program: Program) -> None:
    """And is a usage error."""
    finished = program.run("run", "--confg", "x")

    assert finished.code == 2
    assert "--config" in finished.err


def test_help_is_quick() -> None:
    """Nothing heavy is imported, and the processor time stays under 0.3 s."""
    code = (
        "import sys\nfrom mcwatch.cli import main\ntry:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert "Usage: mcwatch" in result.stdout
    assert sorted(set(HEAVY) & set(result.stderr.split())) == []
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 0.3


def test_every_problem_of_a_configuration_is_told(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each on stderr, exit 78, no traceback."""

    def fail(*_: object) -> int:
        raise ConfigError(["first problem", "second problem"])

    monkeypatch.setattr("mcwatch.app.run", fail)
    finished = program.run("run")

    assert (finished.code, finished.out) == (78, "")
    assert finished.err == "mcwatch: first problem\nmcwatch: second problem\n"


@pytest.mark.parametrize("kind", [StoreUnavailable, StoreCorrupt])
def test_other_errors_exit_with_one(
    program: Program, monkeypatch: pytest.MonkeyPatch, kind: type[StoreUnavailable | StoreCorrupt]
) -> None:
    """With what failed and what to do."""

    def fail(*_: object) -> int:
        raise kind("the store is locked", remedy="stop the other mcwatch")

    monkeypatch.setattr("mcwatch.app.run", fail)
    finished = program.run("run")

    assert finished.code == 1
    assert finished.err == "mcwatch: the store is locked\nmcwatch: → stop the other mcwatch\n"


def test_an_interrupt_ends_quietly(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before or beside a command's own handling brings no traceback."""

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("mcwatch.app.run", interrupt)
    finished = program.run("run")

    assert (finished.code, finished.err.strip()) == (130, "")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`mcwatch schema | head` prints no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "mcwatch", "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)

    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [("schema",), ("--help",)])
def test_a_full_disk_is_said(arguments: tuple[str, ...]) -> None:
    """Where the output cannot be written, one line says so and the exit code is 1."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        command = [sys.executable, "-m", "mcwatch", *arguments]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert (result.returncode, result.stderr) == (
        1, "mcwatch: the output cannot be written: No space left on device\n",
    )  # fmt: skip


def test_a_closed_output_is_none() -> None:
    """What is printed goes nowhere then, and into no other file either."""
    command = [sys.executable, "-m", "mcwatch", "schema"]
    result = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
