"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mcwatch.cli.completing import complete_account, complete_destination, complete_faults

DEFAULT_CONFIG = Path("mcwatch.yaml")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="MCWATCH_CONFIG", metavar="FILE", help="The configuration file.")
]

SeedOption = Annotated[int, typer.Option(help="The same seed invents the same mail.")]


def _known_profile(context: typer.Context, name: str) -> str:
    """Return the name of a fault profile; raises typer.BadParameter with the nearest one."""
    from mcwatch.cli.suggesting import suggestion
    from mcwatch.simulator import PROFILES

    if name not in PROFILES and not context.resilient_parsing:
        raise typer.BadParameter(f"there is no profile {name!r}; {suggestion(name, PROFILES)}")
    return name


FaultsOption = Annotated[
    str,
    typer.Option(
        metavar="PROFILE",
        help="What goes wrong: none, throttled, flaky, tokens, binding, odd, chaos.",
        callback=_known_profile,
        autocompletion=complete_faults,
    ),
]


class Output(StrEnum):
    """Who reads the output: a person or a program."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Write a table for people, or JSON.")]

AccountOption = Annotated[
    str, typer.Option("--account", metavar="NAME", help="The account.", autocompletion=complete_account)
]
AccountsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--account",
        metavar="NAME",
        help="Accounts, * and ? allowed; may be repeated.",
        autocompletion=complete_account,
    ),
]
DestinationOption = Annotated[
    str, typer.Option("--destination", metavar="NAME", help="The destination.", autocompletion=complete_destination)
]
FromOption = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Where the range begins: RFC 3339 such as 2026-01-05T09:30:00Z, a date (midnight UTC), or how long ago, "
        "such as 7d or 12h. Less than 28 days ago: older mail the API does not show.",
    ),
]
ToOption = Annotated[str, typer.Option("--to", metavar="TIME", help="Where it ends, this moment not included.")]

StoreUrlOption = Annotated[
    str | None,
    typer.Option("--store-url", envvar="MCWATCH_STORE__URL", show_envvar=False, hidden=True, help="Beats store.url."),
]
"""The environment's override, for commands that do without the rest of the configuration."""

ListenOption = Annotated[
    str | None,
    typer.Option("--listen", envvar="MCWATCH_HTTP__LISTEN", show_envvar=False, hidden=True, help="Beats http.listen."),
]
