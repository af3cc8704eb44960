"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("mcwatch.yaml")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="MCWATCH_CONFIG", metavar="FILE", help="The configuration file.")
]

SeedOption = Annotated[int, typer.Option(help="The same seed invents the same mail.")]
FaultsOption = Annotated[
    str, typer.Option(metavar="PROFILE", help="What goes wrong: none, throttled, flaky, tokens, binding, odd, chaos.")
]


class Output(StrEnum):
    """Who reads the output: a person or a program."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Write a table for people, or JSON.")]

AccountOption = Annotated[str, typer.Option("--account", metavar="NAME", help="The account.")]
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
