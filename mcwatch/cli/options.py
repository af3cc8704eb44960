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
