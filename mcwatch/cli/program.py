"""The program: its commands, and how every failure ends."""

import os
import sys
from typing import Annotated

import typer

from mcwatch import __version__
from mcwatch.cli.backfill import backfill
from mcwatch.cli.check import check
from mcwatch.cli.dead_letters import dead_letters
from mcwatch.cli.demo import demo
from mcwatch.cli.destinations import destinations
from mcwatch.cli.replay import replay
from mcwatch.cli.run import run
from mcwatch.cli.schema import schema
from mcwatch.cli.simulate import simulate
from mcwatch.cli.status import status
from mcwatch.cli.verify import verify
from mcwatch.domain.errors import ConfigError, McwatchError

EXIT_FAILED = 1
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits(3): starting again with the same configuration is useless."""
_EXIT_INTERRUPTED = 130

program = typer.Typer(
    name="mcwatch",
    help="Watches the mail flow of Mimecast accounts and feeds every message to a SIEM.",
    epilog="Exit codes: 0 done, 78 the configuration cannot be used, 2 wrong usage, 1 anything else.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, check, demo, simulate, status, backfill, verify, replay, schema):
    program.command()(command)
program.add_typer(dead_letters, name="dead-letters")
program.add_typer(destinations, name="destinations")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mcwatch {__version__}")
        raise typer.Exit


@program.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that come before a command."""


def main() -> None:
    """Run the program with the arguments of the process and exit."""
    try:
        program(prog_name="mcwatch")
    except ConfigError as error:
        _complain(error.problems)
        sys.exit(EXIT_CONFIG)
    except McwatchError as error:
        _complain([str(error), *([f"→ {error.remedy}"] if error.remedy else [])])
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(_EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)


def _complain(lines: list[str]) -> None:
    for line in lines:
        print(f"mcwatch: {line}", file=sys.stderr)
