"""``mcwatch tail``: the events of a running daemon, as they are committed."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from mcwatch.cli.completing import complete_kind
from mcwatch.cli.options import DEFAULT_CONFIG, AccountsOption, ConfigOption, StoreUrlOption


class TailOutput(StrEnum):
    """How events are written: a line for a person, or as they are."""

    LINE = "line"
    JSON = "json"


class Source(StrEnum):
    """The feeds."""

    QUEUE = "processing_queue"
    FINDER = "message_finder"


class Route(StrEnum):
    """The ways of mail."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"
    EXTERNAL = "external"


_KindOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN", help="Kinds, such as message.* or queue.left; may be repeated.", autocompletion=complete_kind
    ),
]
_SourceOption = Annotated[
    list[Source] | None, typer.Option(metavar="SOURCE", help=f"{' or '.join(Source)}; may be repeated.")
]
_RouteOption = Annotated[
    list[Route] | None, typer.Option(metavar="ROUTE", help=f"{', '.join(Route)}; may be repeated.")
]
_StatusOption = Annotated[
    list[str] | None, typer.Option(metavar="STATUS", help="Statuses, such as held; may be repeated.")
]


def tail(  # noqa: PLR0913, PLR0917 - a parameter is an option of the command
    config: ConfigOption = DEFAULT_CONFIG,
    kind: _KindOption = None,
    account: AccountsOption = None,
    source: _SourceOption = None,
    route: _RouteOption = None,
    status: _StatusOption = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin with events recorded from here on: 5m ago, or RFC 3339. Else: now."),
    ] = None,
    output: Annotated[
        TailOutput | None,
        typer.Option(
            "--output",
            "-o",
            metavar="line|json",
            help="line for people, the default on a terminal, or json: events as they are.",
        ),
    ] = None,
    store_url: StoreUrlOption = None,
) -> None:
    """Show the events of the running daemon as they are recorded, one line each, until Ctrl-C.

    Watching costs the daemon nothing: what a slow terminal does not take is left out, and said so. With a store that
    several replicas share, the events of all of them are read from it, as fast as the terminal takes them. An event
    must fit every filter that is given. With --since, what is kept of the past comes first, account by account. Exit
    codes: 0 the daemon, or the last replica, has stopped, 1 no daemon runs or it went away, 2 wrong usage, 78 the
    configuration cannot be used, 130 interrupted.
    """
    from mcwatch.cli.following import follow, follow_fleet
    from mcwatch.cli.outline import outline, store_file
    from mcwatch.cli.picking import known_accounts
    from mcwatch.cli.tables import console
    from mcwatch.domain.tailing import TailRequest

    request = TailRequest(
        kinds=_known_kinds(kind or []),
        accounts=known_accounts(outline(config).accounts if account else (), account or []),
        sources=list(source or ()),
        routes=list(route or ()),
        statuses=_known_statuses(status or []),
        since=None if since is None else _moment(since),
    )
    terminal = console()
    as_lines = output is TailOutput.LINE or (output is None and terminal.is_terminal)
    coloured = terminal.is_terminal and not terminal.no_color
    file = store_file(config, store_url)
    if file is None:
        from mcwatch import settings

        follow_fleet(settings.load(config), request, as_lines=as_lines, coloured=coloured)
    else:
        follow(file, request, as_lines=as_lines, coloured=coloured)


def _known_kinds(patterns: list[str]) -> list[str]:
    from fnmatch import fnmatchcase

    from mcwatch.cli.suggesting import suggestion
    from mcwatch.domain.event import EventKind

    for pattern in patterns:
        if not any(fnmatchcase(kind, pattern) for kind in EventKind):
            raise typer.BadParameter(
                f"{pattern!r} fits no kind of event; {suggestion(pattern, EventKind)}", param_hint="--kind"
            )
    return patterns


def _known_statuses(statuses: list[str]) -> list[str]:
    """Return the statuses; one that nobody has heard of is said, but the API may know more than its documentation."""
    if not statuses:
        return []
    from mcwatch.cli.progress import note
    from mcwatch.cli.suggesting import suggestion
    from mcwatch.sources import STATUSES

    given = [status.lower() for status in statuses]
    note([f"{one!r} is no status known here; {suggestion(one, STATUSES)}" for one in given if one not in STATUSES])
    return given


def _moment(text: str) -> datetime:
    from mcwatch.app.clock import SystemClock
    from mcwatch.cli.moments import parse_exact_moment

    return parse_exact_moment("--since", text, SystemClock().now())
