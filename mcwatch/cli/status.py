"""``mcwatch status``: what the daemon, or else the store, knows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcwatch.cli.options import DEFAULT_CONFIG, AccountsOption, ConfigOption, Output, OutputOption, StoreUrlOption

if TYPE_CHECKING:
    from mcwatch.domain.status import StatusReport

_EVERY_SECS = 2.0


def status(  # noqa: PLR0913, PLR0917 - a parameter is an option of the command
    every: Annotated[
        float | None, typer.Argument(metavar="SECS", min=0.2, max=3600, help="With --watch: how often; 2 by default.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    account: AccountsOption = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 unless a daemon runs and all is well.")
    ] = False,
    output: OutputOption = Output.TABLE,
    store_url: StoreUrlOption = None,
) -> None:
    """Show how accounts and destinations are.

    Asks the running daemon; without one, says what the store knows. Of a store that several replicas share, it says
    what all of them tell. Of more than 50 accounts a terminal shows those that are not well. With --account, all is
    well when nothing is wrong with these and with what all accounts share. Exit codes: 0 shown (with --exit-code: all
    is well), 1 neither could be asked (with --exit-code: or something needs attention), 2 wrong usage, 78 the
    configuration cannot be used, 130 interrupted.
    """
    from mcwatch.cli.picking import only_accounts
    from mcwatch.cli.tables import console, print_json

    if every is not None and not watch:
        raise typer.BadParameter("is only for --watch", param_hint="SECS")
    patterns = account or []

    def ask() -> "StatusReport":
        return only_accounts(current(config, store_url), patterns)

    if watch:
        from mcwatch.cli.watching import watch_status

        if output is Output.JSON:
            raise typer.BadParameter(
                "is for people; for programs, ask for --output json in a loop", param_hint="--watch"
            )
        watch_status(ask, every or _EVERY_SECS, whole=bool(patterns))
        return
    report = ask()
    if output is Output.JSON:
        print_json(report)
    else:
        show(report, whole=bool(patterns) or not console().is_terminal)
    if exit_code and not (report.live and report.healthy):
        raise typer.Exit(1)


def current(config: Path, store_url: str | None) -> "StatusReport":
    """Return the daemon's report, else the store's; raises errors of the tree."""
    from mcwatch.cli import local
    from mcwatch.cli.outline import store_file
    from mcwatch.domain.status import StatusReport

    file = store_file(config, store_url)
    if file is not None and (report := local.ask(file, "/status", StatusReport)) is not None:
        return report
    from mcwatch import app, settings

    return app.offline_status(settings.load(config))


def show(report: "StatusReport", *, whole: bool) -> None:
    """Print the report as tables, what needs attention first; unless ``whole``, few of many accounts."""
    from mcwatch.cli import status_tables
    from mcwatch.cli.tables import console

    out = console()
    for part in status_tables.parts(report, out.width, whole=whole):
        out.print(part)
