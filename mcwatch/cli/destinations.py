"""``mcwatch destinations``: what becomes of destinations that are gone from the configuration."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption, Output, OutputOption

if TYPE_CHECKING:
    from mcwatch.domain.resending import Forgotten
    from mcwatch.settings import Settings

destinations = typer.Typer(help="Destinations that are gone.", no_args_is_help=True)


@destinations.callback()
def _group() -> None:
    """Keep the group a group while it has a single command."""


@destinations.command("forget")
def forget(
    name: Annotated[str, typer.Argument(help="A destination that is no longer in the configuration.")],
    config: ConfigOption = DEFAULT_CONFIG,
    output: OutputOption = Output.TABLE,
) -> None:
    """Release a destination that is gone from the configuration, so that its backlog is no longer kept for it.

    Without this it is released after store.keep_delivered. Its dead letters stay until they expire.
    """
    from mcwatch import settings
    from mcwatch.cli.tables import console, print_json

    released = asyncio.run(_forget(settings.load(config), name))
    if output is Output.JSON:
        print_json(released)
        return
    console().print(
        f"{released.name} is released: {released.waiting:,} events had waited for it, "
        f"{released.dead_letters:,} dead letters stay until they expire"
    )


async def _forget(settings: "Settings", name: str) -> "Forgotten":
    from mcwatch.cli.control import talk
    from mcwatch.domain.resending import ForgetRequest, Forgotten

    async with talk(settings) as other:
        return await other.ask("/destinations/forget", Forgotten, ForgetRequest(name=name))
