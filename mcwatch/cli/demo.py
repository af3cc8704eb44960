"""``mcwatch demo``: everything at once, without any configuration."""

from typing import Annotated

import typer

from mcwatch.cli.options import FaultsOption, SeedOption


def demo(
    seed: SeedOption = 1,
    faults: FaultsOption = "none",
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the status page listens.")] = "127.0.0.1:9640",
) -> None:
    """Run against the built-in simulator.

    The store is thrown away at the end; events go to stdout, the status page is on.
    """
    from mcwatch import app
    from mcwatch.domain.errors import ConfigError
    from mcwatch.httpserver.listen import parse

    try:
        parse(listen)
    except ConfigError as error:
        raise typer.BadParameter(
            f"{listen!r} is not HOST:PORT, such as 127.0.0.1:9640", param_hint="--listen"
        ) from error
    raise typer.Exit(app.demo(seed=seed, faults=faults, listen=listen))
