"""``mcwatch check``: does everything work, before it matters."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption, Output, OutputOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from mcwatch.domain.status import CheckResult
    from mcwatch.settings import Settings

_WARNING = "warning: "


def check(
    config: ConfigOption = DEFAULT_CONFIG,
    offline: Annotated[bool, typer.Option("--offline", help="Read the file and the secrets, try nothing.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Try configuration, accounts, destinations.

    Sends no events. Exit codes: 0 all is well, perhaps with warnings, 1 something is not, 2 wrong usage, 78 the
    configuration cannot be used, 130 interrupted.
    """
    from mcwatch import app, settings
    from mcwatch.app.clock import SystemClock
    from mcwatch.cli.progress import busy
    from mcwatch.cli.tables import print_json

    loaded, clock = settings.load(config), SystemClock()
    began = clock.monotonic()
    with busy(_what(loaded, offline=offline)):
        results = app.check(loaded, offline=offline)
    if output is Output.JSON:
        print_json(results)
    else:
        show(results, clock.monotonic() - began)
    raise typer.Exit(0 if all(one.ok for one in results) else 1)


def _what(settings: "Settings", *, offline: bool) -> str:
    if offline:
        return "reading the configuration"
    return f"trying {_count(len(settings.accounts), 'account')} and {_count(len(settings.destinations), 'destination')}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def show(results: "Sequence[CheckResult]", secs: float) -> None:
    """Print the findings, those of an account or a destination together, and how many there are of which kind."""
    from mcwatch.cli.tables import console, text

    out = console()
    groups: dict[str, list[tuple[str, CheckResult]]] = {}
    for one in results:
        group, _, what = one.subject.partition(": ")
        groups.setdefault(group, []).append((what, one))
    widest = max((len(what) for found in groups.values() for what, _ in found), default=0)
    for group, found in groups.items():
        out.print(text(group, "bold"))
        out.print(_table(found, widest))
    failed = sum(not one.ok for one in results)
    warnings = sum(one.detail.startswith(_WARNING) for one in results)
    words = [_count(len(results), "check"), f"{failed:,} failed" if failed else "all is well"]
    if warnings:
        words.append(_count(warnings, "warning"))
    out.print(text(f"{', '.join(words)} ({secs:.1f} s)", "bold red" if failed else "green"))


def _table(found: "Sequence[tuple[str, CheckResult]]", widest: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from mcwatch.cli.tables import text

    grid = Table.grid(padding=(0, 1))
    for width in (1, len("warning"), widest):
        grid.add_column(min_width=width)
    grid.add_column(overflow="fold")
    for what, one in found:
        warned = one.detail.startswith(_WARNING)
        word, style = ("ok", "green") if one.ok else ("failed", "bold red")
        if warned:
            word, style = "warning", "yellow"
        grid.add_row("", Text(word, style), text(what), text(one.detail.removeprefix(_WARNING)))
        if one.remedy:
            grid.add_row("", "", "", text(f"→ {one.remedy}"))
    return grid
