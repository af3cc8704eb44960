"""``mcwatch verify``: what was recorded, compared with what the API shows."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mcwatch.cli.options import (
    DEFAULT_CONFIG,
    AccountOption,
    ConfigOption,
    FromOption,
    Output,
    OutputOption,
    ToOption,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from mcwatch.domain.backfill import RangeRequest
    from mcwatch.domain.status import RangeStatus
    from mcwatch.domain.verification import RowCounts, VerifyReport
    from mcwatch.settings import Settings

EXIT_MISSING = 1
EXIT_NOT_JUDGED = 3
_MOST_SHOWN = 50
_MOST_RANGES = 20


def verify(
    account: AccountOption,
    from_: FromOption,
    to: ToOption = "now",
    config: ConfigOption = DEFAULT_CONFIG,
    repair: Annotated[bool, typer.Option("--repair", help="Record what is missing, and nothing else.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Read a past range again and compare it, row by row, with what was recorded.

    Known: recorded as it is. Changed: recorded in an earlier status, which the rescans bring up to date. Missing: not
    recorded, although its time had been read. Not yet read: its time had not been read when the command began. Without
    --repair nothing is written. Exit codes: 0 nothing is missing, 1 something is (also when it was repaired) or the
    command failed, 3 nothing is missing but a part of the range could not be judged, 2 wrong usage, 78 the
    configuration cannot be used, 130 interrupted.
    """
    from mcwatch import settings
    from mcwatch.cli.moments import parse_range
    from mcwatch.cli.progress import kept_if_stopped
    from mcwatch.cli.tables import print_json

    request = parse_range(account, from_, to)
    loaded = settings.load(config)
    stopped = "what has been repaired stays; " if repair else ""
    with kept_if_stopped(f"{stopped}there is no answer yet: run the same command again"):
        report = asyncio.run(_verify(loaded, request, repair=repair))
    if output is Output.JSON:
        print_json(report)
    else:
        show(report)
    raise typer.Exit(exit_code(report))


def exit_code(report: "VerifyReport") -> int:
    """Return how the command ends: 0 only when nothing is missing and all could be judged."""
    if report.total.missing:
        return EXIT_MISSING
    return 0 if report.complete else EXIT_NOT_JUDGED


async def _verify(settings: "Settings", request: "RangeRequest", *, repair: bool) -> "VerifyReport":
    from mcwatch.cli.control import ask_on, talk
    from mcwatch.cli.progress import metered, note
    from mcwatch.domain.tally import Tally
    from mcwatch.domain.verification import VerifiedStep, VerifyPlan

    async with talk(settings) as other:
        plan = await other.ask("/verify/plan", VerifyPlan, request)
        note(plan.notes)
        tally = Tally(plan, repair=repair)
        steps = list(tally.steps())
        with metered(f"verify {plan.account}", len(steps)) as meter:
            for step in steps:
                async for part, found in ask_on(other, "/verify", VerifiedStep, step):
                    tally.add(part, found)
                meter.done(tally.words)
        return tally.report()


def show(report: "VerifyReport") -> None:
    """Print the report: the answer in words, what it is about, one line per search, then what is missing."""
    from mcwatch.cli.tables import console, table, text
    from mcwatch.domain.backfill import utc_text

    out = console()
    out.print(report.verdict)
    out.print(
        f"account {report.account}, received from {utc_text(report.start)} to {utc_text(report.end)}; compared "
        f"{utc_text(report.began_at)} by mcwatch {report.version}{', with --repair' if report.repair else ''}"
    )
    lines = [(one.search, *_figures(one.counts)) for one in report.searches]
    figures = ("read", "known", "changed", "missing", "not yet read")
    total = ("total, each row once", *_figures(report.total))
    out.print(table("", ("search", *figures), [*lines, total], right=figures))
    for one in report.searches:
        _show_ranges(out, f"{one.search}: not read when the comparison began", one.not_yet_read)
        _show_ranges(out, f"{one.search}: cannot be verified, for not all of it is shown", one.unverifiable)
    _show_missing(out, report)
    # On a terminal the notes stand above already, from before the work.
    for line in () if out.is_terminal and sys.stderr.isatty() else report.notes:
        out.print(text(f"note: {line}"))


def _figures(counts: "RowCounts") -> tuple[str, ...]:
    figures = (counts.rows, counts.known, counts.changed, counts.missing, counts.not_yet_read)
    return tuple(f"{figure:,}" for figure in figures)


def _show_ranges(out: "Console", title: str, ranges: "Sequence[RangeStatus]") -> None:
    from mcwatch.cli.tables import text
    from mcwatch.domain.backfill import utc_text

    if not ranges:
        return
    out.print(text(title))
    for one in ranges[:_MOST_RANGES]:
        out.print(f"  {utc_text(one.start)} to {utc_text(one.end)}")
    if len(ranges) > _MOST_RANGES:
        out.print(f"  and {len(ranges) - _MOST_RANGES} more, see --output json")


def _show_missing(out: "Console", report: "VerifyReport") -> None:
    from mcwatch.cli.tables import table
    from mcwatch.domain.backfill import utc_text

    if not report.missing:
        return
    rows = [
        (
            "(unreadable row)" if row.received_at is None else utc_text(row.received_at),
            row.status or "",
            row.event_id,
            row.search,
        )
        for row in report.missing[:_MOST_SHOWN]
    ]
    shown = f", {len(rows)} of them" if len(rows) < report.total.missing else ""
    out.print(table(f"missing{shown}", ("received (UTC)", "status", "event", "search"), rows))
