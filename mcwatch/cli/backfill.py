"""``mcwatch backfill``: a past range read again."""

import asyncio
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
    from mcwatch.cli.control import Talk
    from mcwatch.domain.backfill import BackfillReport, RangeRequest
    from mcwatch.settings import Settings

_ROUNDS = 5
"""A cap of the API that is found late makes windows to be read again; when it never ends, it is something else."""


def backfill(
    account: AccountOption,
    from_: FromOption,
    to: ToOption = "now",
    config: ConfigOption = DEFAULT_CONFIG,
    anew: Annotated[
        bool, typer.Option("--anew", help="Read again also what an interrupted run of the last day has read.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Read a past range of the message finder again: what is new becomes events, what is known does not.

    The running daemon does it, after everything else in the quota; without one the command does it by itself. An
    interrupted run goes on where it stopped when the command is run again. Exit codes: 0 done, 1 failed, 2 wrong usage,
    78 the configuration cannot be used, 130 interrupted.
    """
    from mcwatch import settings
    from mcwatch.cli.moments import parse_range
    from mcwatch.cli.progress import kept_if_stopped
    from mcwatch.cli.tables import print_json

    request = parse_range(account, from_, to, anew=anew)
    loaded = settings.load(config)
    with kept_if_stopped("what has been read is kept: the same command, run again, goes on from there"):
        report = asyncio.run(_backfill(loaded, request))
    if output is Output.JSON:
        print_json(report)
    else:
        show(report)


async def _backfill(settings: "Settings", request: "RangeRequest") -> "BackfillReport":
    from mcwatch.cli.control import talk
    from mcwatch.domain.errors import TransientError

    async with talk(settings) as other:
        report, finished = await _round(other, request, None)
        for _ in range(_ROUNDS):
            if finished:
                return report
            rest = type(request)(account=report.account, start=report.start, end=report.end)
            report, finished = await _round(other, rest, report)
    raise TransientError(
        "the API cuts its answers short in ever new ways: the range could not be read to its end",
        remedy="run the same command again; narrower searches (domains, searches) help",
    )


async def _round(
    other: "Talk", request: "RangeRequest", before: "BackfillReport | None"
) -> "tuple[BackfillReport, bool]":
    """Do all steps of one plan; return the report, added to that of the round before, and whether all is read."""
    from mcwatch.cli.control import ask_on
    from mcwatch.cli.progress import metered, note
    from mcwatch.domain.backfill import BackfilledStep, BackfillPlan, begin_report

    plan = await other.ask("/backfill/plan", BackfillPlan, request)
    report = before or begin_report(plan)
    if before is None:
        note(plan.notes)
    finished = not plan.steps
    with metered(f"backfill {plan.account}", len(plan.steps)) as meter:
        for step in plan.steps:
            async for _, done in ask_on(other, "/backfill", BackfilledStep, step):
                report.add(plan.labels[step.search], done)
                finished = done.finished
            meter.done(f"{report.total.rows:,} rows read, {report.total.new:,} new")
    return report, finished


def show(report: "BackfillReport") -> None:
    """Print what was done: the answer in words, then one line per search."""
    from mcwatch.cli.tables import console, table
    from mcwatch.domain.backfill import utc_text

    out = console()
    total = report.total
    out.print(f"done: {total.rows:,} rows read, {total.new:,} of them new")
    out.print(f"account {report.account}, from {utc_text(report.start)} to {utc_text(report.end)}")
    rows = [
        (label, f"{counts.rows:,}", f"{counts.new:,}", f"{counts.known:,}", f"{counts.undecodable:,}")
        for label, counts in [*report.searches.items(), ("total", total)]
    ]
    figures = ("rows", "new", "known", "unreadable")
    out.print(table("", ("search", *figures), rows, right=figures))
    if report.incomplete:
        out.print(f"{len(report.incomplete)} ranges hold more mail than an answer shows:")
    for one in report.incomplete:
        out.print(f"  {utc_text(one.start)} to {utc_text(one.end)}")
