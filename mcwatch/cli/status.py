"""``mcwatch status``: what the daemon, or else the store, knows."""

import asyncio
from typing import TYPE_CHECKING

from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption, Output, OutputOption

if TYPE_CHECKING:
    from mcwatch.domain.status import StatusReport


def status(config: ConfigOption = DEFAULT_CONFIG, output: OutputOption = Output.TABLE) -> None:
    """Show how accounts and destinations are.

    Asks the running daemon; without one, says what the store knows.
    """
    from mcwatch import app, settings
    from mcwatch.cli.control import ask
    from mcwatch.cli.tables import print_json
    from mcwatch.domain.status import StatusReport

    loaded = settings.load(config)
    report = asyncio.run(ask(loaded.store.path, "/status", StatusReport)) or app.offline_status(loaded)
    if output is Output.JSON:
        print_json(report)
    else:
        show(report)


def show(report: "StatusReport") -> None:
    """Print the report as tables, what needs attention first."""
    from mcwatch.cli import status_tables
    from mcwatch.cli.tables import console

    out = console()
    for part in status_tables.parts(report):
        out.print(part)
