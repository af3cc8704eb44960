"""Tables and states for people; plain text when the output is no terminal."""

import json
import sys
from collections.abc import Collection, Iterable, Sequence

import msgspec
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from mcwatch.telemetry.redaction import neutral

_STYLES = {True: "green", False: "bold red", None: "dim"}
_WIDE = 200


def console() -> Console:
    """Return a console on stdout. Lines are not cut to 80 columns when nobody looks."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, soft_wrap=False)


def text(value: str, style: str = "") -> Text:
    """Return a cell that is shown as it is: no markup, no control characters."""
    return Text(neutral(value), style)


def state(up: bool | None) -> Text:
    """Return a cell that says whether something works."""
    return Text({True: "up", False: "down", None: "not tried"}[up], _STYLES[up])


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Text | str]], right: Collection[str] = ()
) -> Table:
    """Build a table; text given as such is neutralised. The columns ``right`` hold figures."""
    built = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        built.add_column(column, header_style="dim", overflow="fold", justify=justify)
    for row in rows:
        built.add_row(*(cell if isinstance(cell, Text) else text(cell) for cell in row))
    return built


def hanging(mark: Text, words: Text) -> Table:
    """Return words whose further lines begin below the first one's first word, not below the mark."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_row(mark, words)
    return grid


def print_json(value: object) -> None:
    """Print a value as JSON, indented for the eye."""
    print(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))
