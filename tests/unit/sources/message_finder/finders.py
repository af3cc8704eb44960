"""Words for what a finder has asked for, shown and claimed."""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import msgspec

from mcwatch.domain.page import FinderPage
from mcwatch.domain.window.coverage import Cover, Span, windows_of
from mcwatch.domain.window.ranges import Window, merged, whole_second, within, without
from mcwatch.simulator import SimulatorConfig
from mcwatch.sources.message_finder import MessageFinderSource
from mcwatch.sources.message_finder.ledger import Cursor
from tests.fakes.clock import START
from tests.unit.sources.world import World

QUIET = SimulatorConfig.quiet()
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TO = "to=corp.example"


def server_now(simulated: World) -> datetime:
    """Return the API's time."""
    return datetime.fromtimestamp(simulated.simulator.now(), START.tzinfo)


def stopped(simulated: World, ago: timedelta, *, since: timedelta | None = None, name: str = TO) -> None:
    """Let a search have been read up to some time ago, and be owed since as long before that."""
    end = server_now(simulated) - ago
    begin = end - (HOUR if since is None else since)
    simulated.cursors[name] = msgspec.json.encode(Cursor(since=begin))
    simulated.coverage[name] = [Span(begin, end, Cover.READ, end)]


def covered(simulated: World, *covers: Cover, name: str = TO) -> list[Window]:
    """Return what the store claims of a search; all that was read where no kind is named."""
    kinds = covers or (Cover.READ, Cover.AGED)
    return merged(windows_of(simulated.coverage.get(name, ()), *kinds))


def owed(simulated: World, length: timedelta, name: str = TO) -> list[Window]:
    """Return what of so long a time before now has not been read."""
    now = whole_second(server_now(simulated))
    return without([Window(now - length, now)], covered(simulated, name=name))


def subjects(pages: Iterable[FinderPage]) -> list[str | None]:
    """Return the subjects of all rows, in order."""
    return [row.subject for page in pages for row in page.rows]


def ends(pages: Iterable[FinderPage], name: str = TO) -> list[datetime | None]:
    """Return up to where each page with rows, or with coverage, reads a search; None where it does not."""
    found: list[datetime | None] = []
    for page in pages:
        read = [span.end for span in page.covered.get(name, ()) if span.cover is Cover.READ]
        if page.rows or page.covered or not page.cursors:
            found.append(max(read, default=None))
    return found


def add(simulated: World, count: int, **mail: Any) -> set[str]:  # noqa: ANN401 -- a mail's fields
    """Let mails arrive one per second, the last one a second ago; return their subjects."""
    for number in range(count):
        simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=count - number, **mail)
    return {f"mail {number}" for number in range(count)}


async def read_some(simulated: World, source: MessageFinderSource, pages: int) -> list[FinderPage]:
    """Poll, and stop after so many pages, the last of them committed."""
    polling = source.poll(simulated.progress)
    found: list[FinderPage] = []
    async with aclosing(polling) as reading:  # type: ignore[type-var]  # a generator
        async for page in reading:
            simulated.commit(page)
            found.append(page)
            if len(found) == pages:
                break
    return found


def between(windows: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime) -> list[Window]:
    """Return what of the windows asked for lies between two moments, joined."""
    return merged(within([Window(*one) for one in windows], start, end))
