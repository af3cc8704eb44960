"""``mcwatch check``: does everything work, before it matters."""

from typing import Annotated

import typer

from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption, Output, OutputOption


def check(
    config: ConfigOption = DEFAULT_CONFIG,
    offline: Annotated[bool, typer.Option("--offline", help="Read the file and the secrets, try nothing.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Try configuration, accounts, destinations.

    Sends no events. Exits with 0 only if all is well.
    """
    from mcwatch import app, settings
    from mcwatch.cli.tables import console, print_json, table, text

    results = app.check(settings.load(config), offline=offline)
    if output is Output.JSON:
        print_json(results)
    else:
        rows = [
            (
                text(one.subject),
                text("ok", "green") if one.ok else text("failed", "bold red"),
                text(f"{one.detail}\n→ {one.remedy}" if one.remedy else one.detail),
            )
            for one in results
        ]
        console().print(table("", ("what", "result", "detail"), rows))
    raise typer.Exit(0 if all(one.ok for one in results) else 1)
