"""The program: its commands, and how every failure ends."""

import errno
import io
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
from mcwatch.cli.health import health
from mcwatch.cli.replay import replay
from mcwatch.cli.run import run
from mcwatch.cli.schema import schema
from mcwatch.cli.simulate import simulate
from mcwatch.cli.status import status
from mcwatch.cli.tail import tail
from mcwatch.cli.verify import verify
from mcwatch.domain.errors import ConfigError, McwatchError

EXIT_FAILED = 1
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits(3): starting again with the same configuration is useless."""
_EXIT_INTERRUPTED = 130
EXIT_CODES = {
    0: "done, stopped; `verify`: nothing is missing and all of the range could be judged",
    1: "failed; `check`: something is not well; `verify`: something is missing, also when it was repaired; `health`: "
    "no living daemon; `status --exit-code`: something needs attention, or no daemon runs; `replay`, "
    "`dead-letters retry`: some event was refused again; `tail`: no daemon runs, or it was killed",
    2: "wrong usage",
    3: "`verify`: nothing was found missing, but a part of the range could not be judged",
    78: "the configuration cannot be used (EX_CONFIG): starting again with the same file is useless",
    130: "interrupted with Ctrl-C",
}
"""What ends how, for the page of the commands."""
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})

_SHORT = {
    tail: "Show events as the running daemon records them.",
    health: "Ask the running daemon whether it is alive.",
    backfill: "Read a past range again and record what is new.",
    verify: "Read a past range again and compare it.",
    replay: "Send a past range to a destination again.",
}
"""What the list of commands says where the first sentence of a command is too long for 80 columns."""

program = typer.Typer(
    name="mcwatch",
    help="Watches the mail flow of Mimecast accounts and feeds every message to a SIEM.",
    epilog="Exit codes: 0 done, 78 the configuration cannot be used, 2 wrong usage, 130 interrupted, 1 anything else; "
    "verify adds 3. docs/COMMANDS.md has them all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, check, demo, simulate, status, tail, health, backfill, verify, replay, schema):
    program.command(short_help=_SHORT.get(command))(command)
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
    if sys.stdout is None:
        # Started with a closed descriptor 1, which must not be given to anything else: what is printed goes nowhere.
        sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        try:
            program(prog_name="mcwatch")
        finally:
            sys.stdout.flush()
    except ConfigError as error:
        _complain(error.problems)
        sys.exit(EXIT_CONFIG)
    except McwatchError as error:
        _complain([str(error), *([f"→ {error.remedy}"] if error.remedy else [])])
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(_EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _print_no_more()
        sys.exit(EXIT_FAILED)
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        _print_no_more()
        _complain([f"the output cannot be written: {error.strerror}"])
        sys.exit(EXIT_FAILED)


def _print_no_more() -> None:
    """Let Python not fail again when it flushes standard output at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(lines: list[str]) -> None:
    for line in lines:
        print(f"mcwatch: {line}", file=sys.stderr)
