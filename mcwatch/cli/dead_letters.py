"""``mcwatch dead-letters``: what was refused or could not be read."""

import asyncio
import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from mcwatch.cli.completing import complete_destination
from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption, Output, OutputOption

if TYPE_CHECKING:
    from mcwatch.domain.outbox import DeadLetter
    from mcwatch.domain.resending import LetterRequest, ShownLetter
    from mcwatch.settings import Settings

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
_WIDE = 140
"""Columns of a terminal that has room for the event ids, which ``show`` and the JSON have too."""

_IdsArgument = Annotated[list[int] | None, typer.Argument(min=1, help="Numbers of dead letters, as list shows them.")]
_DestinationOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="All of this destination.", autocompletion=complete_destination),
]
_AllOption = Annotated[bool, typer.Option("--all", help="All dead letters there are.")]


@dead_letters.command("list")
def list_letters(
    config: ConfigOption = DEFAULT_CONFIG,
    destination: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only those of this destination.", autocompletion=complete_destination),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many of the newest.")] = 100,
    output: OutputOption = Output.TABLE,
) -> None:
    """List dead letters, newest first.

    What a receiver quoted of the mail is masked.
    """
    from dataclasses import replace

    from mcwatch import app, settings
    from mcwatch.cli.control import asked
    from mcwatch.cli.tables import print_json
    from mcwatch.domain.outbox import DeadLetter

    loaded = settings.load(config)
    query = {"limit": str(limit)} | ({} if destination is None else {"destination": destination})
    letters = asyncio.run(asked(loaded, f"/dead-letters?{urlencode(query)}", list[DeadLetter]))
    if letters is None:
        letters = app.offline_dead_letters(loaded, destination, limit)
    letters = [replace(letter, detail=masked(letter.detail)) for letter in letters]
    if not letters:
        _note_unknown(loaded, destination)
    if output is Output.JSON:
        print_json(letters)
    else:
        _show(letters)


@dead_letters.command("show")
def show_letter(
    number: Annotated[int, typer.Argument(min=1, metavar="ID", help="The number that list shows.")],
    config: ConfigOption = DEFAULT_CONFIG,
    content: Annotated[
        bool, typer.Option("--content", help="Show the mail's own words too: addresses, subject, the receiver's reply.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one dead letter. What the event says of the mail is masked unless --content is given."""
    from mcwatch import settings
    from mcwatch.cli.tables import console, print_json, text
    from mcwatch.domain.errors import PermanentError
    from mcwatch.domain.resending import LetterRequest

    letters = asyncio.run(_shown(settings.load(config), LetterRequest(ids=[number])))
    if not letters:
        raise PermanentError(f"there is no dead letter {number}", remedy="see mcwatch dead-letters list")
    letter = letters[0] if content else _masked_letter(letters[0])
    if output is Output.JSON:
        print_json(letter)
        return
    for name in ("id", "at", "account", "destination", "event_id", "reason", "detail", "size"):
        console().print(text(f"{name}: {getattr(letter, name)}"))
    for line in _pretty(letter.body).splitlines():
        console().print(text(line))


@dead_letters.command("retry")
def retry(
    ids: _IdsArgument = None,
    destination: _DestinationOption = None,
    every: _AllOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send dead letters to their destinations again; those that are accepted are dead letters no more.

    Exit codes: 0 all chosen were accepted, 1 failed or some were not, 2 wrong usage.
    """
    from mcwatch import settings
    from mcwatch.cli.tables import console, print_json

    request = _chosen(ids, destination, every=every)
    loaded = settings.load(config)
    delivered, left = asyncio.run(_retry(loaded, request))
    _note_absent(loaded, request, delivered + sum(left.values()))
    if output is Output.JSON:
        print_json({"delivered": delivered, "left": left})
    else:
        console().print(f"{delivered:,} dead letters delivered")
        for why, count in left.items():
            console().print(f"{count:,} {'stays' if count == 1 else 'stay'}: {why}")
    if left:
        raise typer.Exit(1)


@dead_letters.command("discard")
def discard(
    ids: _IdsArgument = None,
    destination: _DestinationOption = None,
    every: _AllOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete dead letters for good. Their events are then nowhere but at the other destinations."""
    from mcwatch import settings
    from mcwatch.cli.tables import console, print_json

    request = _chosen(ids, destination, every=every)
    loaded = settings.load(config)
    if not yes:
        typer.confirm("Delete the chosen dead letters for good?", abort=True, err=True)
    count = asyncio.run(_discard(loaded, request))
    _note_absent(loaded, request, count)
    if output is Output.JSON:
        print_json({"discarded": count})
    else:
        console().print(f"{count:,} dead letters discarded")


def _chosen(ids: list[int] | None, destination: str | None, *, every: bool) -> "LetterRequest":
    """Return what is meant; raises typer.BadParameter unless it is said in exactly one way."""
    from mcwatch.domain.resending import LetterRequest

    if sum((bool(ids), destination is not None, every)) != 1:
        raise typer.BadParameter("say which: numbers, --destination NAME, or --all", param_hint="ids")
    return LetterRequest(ids=ids or [], destination=destination)


def _note_absent(settings: "Settings", request: "LetterRequest", met: int) -> None:
    """Say what of the choice there was not; raises PermanentError when numbers were given and none of them is there."""
    from mcwatch.cli.progress import note
    from mcwatch.domain.errors import PermanentError

    wanted = set(request.ids)
    if wanted and not met:
        raise PermanentError(
            f"there is no dead letter {', '.join(map(str, sorted(wanted)))}", remedy="see mcwatch dead-letters list"
        )
    if met < len(wanted):
        note([f"{len(wanted) - met:,} of the {len(wanted):,} numbers are not those of dead letters"])
    if not met:
        _note_unknown(settings, request.destination)


def _note_unknown(settings: "Settings", destination: str | None) -> None:
    """Say of a destination without dead letters that it may be a slip of the keyboard."""
    from mcwatch.cli.progress import note
    from mcwatch.cli.suggesting import suggestion

    names = [one.name for one in settings.destinations]
    if destination and destination not in names:
        note([f"no destination {destination!r} is configured; {suggestion(destination, names)}"])


async def _shown(settings: "Settings", request: "LetterRequest") -> "list[ShownLetter]":
    from mcwatch import app
    from mcwatch.cli.control import posted
    from mcwatch.domain.resending import ShownLetter

    letters = await posted(settings, "/dead-letters/show", list[ShownLetter], request)
    return app.offline_letters(settings, request) if letters is None else letters


async def _retry(settings: "Settings", request: "LetterRequest") -> tuple[int, dict[str, int]]:
    from collections import Counter

    from mcwatch.cli.control import talk
    from mcwatch.domain.resending import RetriedStep

    delivered, left = 0, Counter[str]()
    step: LetterRequest | None = request
    async with talk(settings) as other:
        while step is not None:
            done = await other.ask("/dead-letters/retry", RetriedStep, step)
            delivered += done.delivered
            left.update({f"refused again ({reason})": count for reason, count in done.refused.items()})
            left.update(done.kept)
            step = done.rest
    return delivered, dict(left)


async def _discard(settings: "Settings", request: "LetterRequest") -> int:
    from mcwatch.cli.control import talk
    from mcwatch.domain.resending import Discarded

    count = 0
    async with talk(settings) as other:
        while True:
            done = await other.ask("/dead-letters/discard", Discarded, request)
            count += done.count
            if not done.more:
                return count


_PLAIN = frozenset({"key", "status", "route", "received_at", "created_at", "attachments", "size", "attempts"})
"""What of a mail says nothing of who wrote what to whom."""


def _masked_letter(letter: "ShownLetter") -> "ShownLetter":
    """Return a dead letter without what it says of the mail."""
    import json

    import msgspec

    try:
        event = msgspec.json.decode(letter.body, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        event = {}
    message = event.get("message")
    if isinstance(message, dict) and "event_id" in event:
        event["message"] = {name: value if name in _PLAIN else "***" for name, value in message.items()}
        event["previous"] = "***" if event.get("previous") else None
        body = json.dumps(event)
    else:
        body = "(bytes that are no event; --content shows them)"
    return msgspec.structs.replace(letter, detail=masked(letter.detail), body=body)


def _pretty(body: str) -> str:
    import json

    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body


def masked(detail: str) -> str:
    """Return a receiver's words without what they may quote of the mail."""
    return _MAIL.sub("***", detail)[:_MAX_DETAIL]


def _show(letters: "list[DeadLetter]") -> None:
    from mcwatch.cli.tables import console, table

    if not letters:
        console().print("no dead letters")
        return
    out = console()
    wide = out.width >= _WIDE
    rows = [
        (
            str(letter.id),
            letter.at.strftime("%Y-%m-%d %H:%M:%S"),
            letter.account,
            letter.destination or "(unreadable)",
            *((letter.event_id, str(letter.size)) if wide else ()),
            letter.reason,
            letter.detail,
        )
        for letter in letters
    ]
    columns = ("id", "at (UTC)", "account", "destination", *(("event", "bytes") if wide else ()), "reason", "detail")
    out.print(table("", columns, rows, right=("id", "bytes")))
