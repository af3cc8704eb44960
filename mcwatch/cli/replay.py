"""``mcwatch replay``: kept events sent to one destination again."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption, DestinationOption, Output, OutputOption

if TYPE_CHECKING:
    from mcwatch.domain.resending import ReplayRequest
    from mcwatch.settings import Settings

_FromOption = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Events recorded (observed_at) from here on: RFC 3339, a date (midnight UTC), or how long ago, such as "
        "2h. Delivered events are kept for store.keep_delivered.",
    ),
]
_ToOption = Annotated[str, typer.Option("--to", metavar="TIME", help="Up to here, this moment not included.")]


def replay(
    destination: DestinationOption,
    from_: _FromOption,
    to: _ToOption = "now",
    config: ConfigOption = DEFAULT_CONFIG,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send events that were recorded in a range of time to one destination again, with the same event ids.

    The running daemon does it beside its own deliveries; without one the command does it by itself. Only what the
    destination has passed is sent: what still waits for it comes anyway. Its position, its counts of delivered events
    and its dead letters stay as they are. Exit codes: 0 all accepted, 1 failed or some refused, 2 wrong usage, 78 the
    configuration cannot be used, 130 interrupted.
    """
    from mcwatch import settings
    from mcwatch.app.clock import SystemClock
    from mcwatch.cli.moments import parse_exact_moment
    from mcwatch.cli.progress import kept_if_stopped
    from mcwatch.cli.tables import console, print_json
    from mcwatch.domain.resending import ReplayRequest

    now = SystemClock().now()
    request = ReplayRequest(
        destination=destination,
        start=parse_exact_moment("--from", from_, now),
        end=parse_exact_moment("--to", to, now),
    )
    loaded = settings.load(config)
    with kept_if_stopped("what was sent stays sent; the same command, run again, sends it once more"):
        counts, refused = asyncio.run(_replay(loaded, request))
    if output is Output.JSON:
        print_json({"destination": destination, **counts, "refused": dict(refused)})
    else:
        words = ", ".join(f"{count:,} {reason}" for reason, count in refused.items())
        console().print(
            f"{counts['sent']:,} events sent again to {destination}; {counts['not_selected']:,} not selected"
            + (f"; refused: {words}" if refused else "")
        )
    if refused:
        raise typer.Exit(1)


async def _replay(settings: "Settings", request: "ReplayRequest") -> tuple[dict[str, int], Counter[str]]:
    from mcwatch.cli.control import talk
    from mcwatch.cli.progress import metered, note
    from mcwatch.domain.resending import ReplayedStep, ReplayPlan

    counts = {"sent": 0, "not_selected": 0}
    refused: Counter[str] = Counter()
    async with talk(settings) as other:
        plan = await other.ask("/replay/plan", ReplayPlan, request)
        note(plan.notes)
        with metered(f"replay to {plan.destination}", len(plan.steps), "parts") as meter:
            for step in plan.steps:
                left = [step]
                while left:
                    done = await other.ask("/replay", ReplayedStep, left.pop())
                    counts["sent"] += done.sent
                    counts["not_selected"] += done.not_selected
                    refused.update(done.refused)
                    left = done.rest
                meter.done(f"{counts['sent']:,} events sent")
    return counts, refused
