"""docs/COMMANDS.md out of the program itself: a section per command, a row per argument and option."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from typer.main import get_command

from mcwatch.cli.program import EXIT_CODES, program

_INTRODUCTION = """# Commands

<!-- Written by `make docs` from the program; changes go there. -->

Every command takes `--help`. `-c`, `--config FILE` names the configuration file; without it the environment variable
`MCWATCH_CONFIG` does, else it is `mcwatch.yaml` in the working directory. `--output json` writes JSON for programs,
where a table is written for people. Progress, remarks and errors go to standard error.

Commands that change something (`backfill`, `verify --repair`, `replay`, `dead-letters`, `destinations`) have the
running daemon do it, over its control socket beside the store; without a daemon they take the store's lock and do it
themselves. Run them as the user that the daemon runs as: the socket is open to that user alone. `status`, `tail` and
`health` ask the daemon too. They need nothing of the configuration but `store.url`, and work while the file is being
changed.
"""
_COMPLETION = """## Shell completion

    mcwatch --install-completion      # for the shell it is called from: bash, zsh or fish
    mcwatch --show-completion         # prints it, to be put elsewhere

It completes commands, options and their values; names of accounts and destinations come from the configuration file
that the line names. No secret is read for it.
"""


def render() -> str:
    """Return the page."""
    root: Any = get_command(program)  # typer's own classes have no public names
    parts = [_INTRODUCTION, _exit_codes()]
    for words, command in _commands(root, ["mcwatch"]):
        parts.append(_section(words, command))
    return "\n".join([*parts, _COMPLETION])


def _exit_codes() -> str:
    rows = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["## Exit codes", "", "| code | meaning |", "|---|---|", *rows, ""])


def _commands(group: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:  # noqa: ANN401 - see render
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, [*words, name])
        else:
            yield [*words, name], command


def _section(words: list[str], command: Any) -> str:  # noqa: ANN401 - see render
    lines = [f"## {' '.join(words)}", "", *_paragraphs(command.help), ""]
    rows = [row for parameter in command.params if (row := _row(parameter))]
    if rows:
        lines += ["| | default | |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _paragraphs(text: str) -> list[str]:
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    return "\n\n".join(paragraphs).split("\n")


def _row(parameter: Any) -> str:  # noqa: ANN401 - see render
    if getattr(parameter, "hidden", False) or "--help" in parameter.opts:
        return ""
    if parameter.param_type_name == "argument":
        shown = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len, reverse=True))
        shown = names if parameter.is_flag else f"{names} `{_value(parameter)}`"
    default = "" if _is_plain(parameter) else f"`{_text(parameter.default)}`"
    cells = [shown, "required" if parameter.required else default, parameter.help or ""]
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _is_plain(parameter: Any) -> bool:  # noqa: ANN401 - see render
    """Tell whether a default says nothing: none, off, or an empty list."""
    return parameter.required or not parameter.default or callable(parameter.default)


def _text(default: object) -> str:
    return str(getattr(default, "value", default))


def _value(parameter: Any) -> str:  # noqa: ANN401 - see render
    """Say what an option takes; where the program leaves it to typer, the default tells."""
    if parameter.metavar:
        return str(parameter.metavar)
    if isinstance(parameter.default, StrEnum):
        return "|".join(type(parameter.default))
    return "N" if isinstance(parameter.default, int) else "TEXT"
