"""``mcwatch dead-letters``: what was refused or could not be read."""

import asyncio
import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption, Output, OutputOption

if TYPE_CHECKING:
    from mcwatch.domain.outbox import DeadLetter

dead_letters = typer.Typer(help="What was refused or unreadable.", no_args_is_help=True)

# A receiver quotes what it refuses: its quotations, and whatever looks like an address or an IP, may be mail. Masking a
# time or half a sentence too much is the better mistake.
_MAIL = re.compile(
    r"""
      "(?:\\.|[^"\\])*(?:"|$)              # double quotes, escaped ones inside, or cut off
    | `[^`]*(?:`|$)
    | (?<!\w)'.*?(?:'(?!\w)|$)             # single quotes, but no apostrophe within a word
    | [^\s<>,;:]+@[^\s<>,;:]+
    | \b\d{1,3}(?:\.\d{1,3}){3}\b
    | (?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_MAX_DETAIL = 160


@dead_letters.callback()
def _group() -> None:
    """Keep the group a group while it has a single command."""


@dead_letters.command("list")
def list_letters(
    config: ConfigOption = DEFAULT_CONFIG,
    destination: Annotated[str | None, typer.Option(help="Only those of this destination.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many of the newest.")] = 100,
    output: OutputOption = Output.TABLE,
) -> None:
    """List dead letters, newest first.

    What a receiver quoted of the mail is masked.
    """
    from dataclasses import replace

    from mcwatch import app, settings
    from mcwatch.cli.control import ask
    from mcwatch.cli.tables import print_json
    from mcwatch.domain.outbox import DeadLetter

    loaded = settings.load(config)
    query = {"limit": str(limit)} | ({} if destination is None else {"destination": destination})
    letters = asyncio.run(ask(loaded.store.path, f"/dead-letters?{urlencode(query)}", list[DeadLetter]))
    if letters is None:
        letters = app.offline_dead_letters(loaded, destination, limit)
    letters = [replace(letter, detail=masked(letter.detail)) for letter in letters]
    if output is Output.JSON:
        print_json(letters)
    else:
        _show(letters)


def masked(detail: str) -> str:
    """Return a receiver's words without what they may quote of the mail."""
    return _MAIL.sub("***", detail)[:_MAX_DETAIL]


def _show(letters: "list[DeadLetter]") -> None:
    from mcwatch.cli.tables import console, table

    if not letters:
        console().print("no dead letters")
        return
    rows = [
        (
            str(letter.id),
            letter.at.strftime("%Y-%m-%d %H:%M:%S"),
            letter.account,
            letter.destination or "(unreadable)",
            letter.event_id,
            letter.reason,
            str(letter.size),
            letter.detail,
        )
        for letter in letters
    ]
    columns = ("id", "at (UTC)", "account", "destination", "event", "reason", "bytes", "detail")
    console().print(table("", columns, rows))
