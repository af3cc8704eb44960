"""The poll of the message finder: every search brought up to now, window by window."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import msgspec

from mcwatch.domain.errors import FailureReason, McwatchError
from mcwatch.domain.event import FINDER, identity
from mcwatch.domain.page import FinderPage
from mcwatch.domain.record import Record
from mcwatch.domain.status import SourceReading
from mcwatch.domain.window import ONE_SECOND, Endings, Reach, Window, plan, whole_second
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.errors import HistoryExceeded
from mcwatch.sources.base import Listing, Rounds, RowReader, SourceContext, ends_poll
from mcwatch.sources.message_finder.coverage import Coverage
from mcwatch.sources.message_finder.rows import FinderItem, FinderRow
from mcwatch.sources.message_finder.searches import Cursor, Search, read_cursor, request_of

_DOUBT = timedelta(minutes=1)
"""Two estimates of the server's time differ by less: a cursor farther in the future was made by a wrong clock."""

_HISTORY_PRECISION = timedelta(hours=1)

_Reached = dict[str, datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to read: what to search for, how far to look, what to ask for; ``routes`` is None where all are kept."""

    interval_secs: float
    searches: list[Search]
    routes: frozenset[str] | None
    page_size: int
    search_reason: str
    reach: Reach


class MessageFinderSource:
    """``interfaces.Source`` for the message finder."""

    name = FINDER

    def __init__(self, manner: Manner, context: SourceContext) -> None:
        self.interval_secs = manner.interval_secs
        self._manner = manner
        self._client = context.client
        self._reach = manner.reach
        self._rounds = Rounds(manner.searches)
        self._endings = {search.name: Endings() for search in manner.searches}
        self._coverage = Coverage(context, min(manner.reach.first, manner.reach.history))
        self._listing = Listing(
            Endpoint.MESSAGE_FINDER,
            RowReader(FinderItem, FinderRow, "trackedEmails"),
            manner.page_size,
        )
        self._has_asked_time = False

    def reading(self) -> SourceReading:
        """Return up to when every search has been read; None before the first poll."""
        return SourceReading(covered_until=self._coverage.until)

    async def poll(self, cursors: Mapping[str, bytes]) -> AsyncIterator[FinderPage]:
        """Bring every search up to now. One that fails does not keep the others from being read.

        The error of the last search that failed is raised at the end; one that all would meet ends the poll at once.
        """
        reached = {search.name: read_cursor(cursors.get(search.name)) for search in self._manner.searches}
        self._coverage.measure(reached)
        try:
            await self._learn_time()
            async for page in self._rounds.read(partial(self._read_search, reached)):
                yield page
        except McwatchError:
            self._coverage.measure(reached)
            raise
        self._coverage.measure(reached)

    async def _learn_time(self) -> None:
        """Get to know the API's clock, by which windows are planned: this machine's may be off by years."""
        if self._client.skew_secs is not None or self._has_asked_time:
            return
        await self._client.prepare()
        if self._client.skew_secs is None:
            # API 1.0 has no token to fetch, so a search must tell; whether it finds anything does not matter.
            await self._ask_for(self._manner.searches[0], self._client.server_now() - ONE_SECOND)
        self._has_asked_time = True

    async def _ask_for(self, search: Search, at: datetime) -> None:
        """Make a search of one second that is only to be answered, be it by a refusal of its time."""
        try:
            await self._probe(search, at)
        except McwatchError as error:
            if ends_poll(error) or self._client.skew_secs is None:
                raise

    async def _probe(self, search: Search, at: datetime) -> None:
        request = request_of(search, Window(at, at + ONE_SECOND), self._manner.search_reason)
        await self._client.call(Endpoint.MESSAGE_FINDER, request, self._listing.reader.decoder, page_size=1)

    async def _read_search(self, reached: _Reached, search: Search) -> AsyncIterator[FinderPage]:
        windows = self._planned(search, reached)
        try:
            async for page in self._read_windows(search, windows, reached):
                yield page
        except HistoryExceeded as error:
            await self._learn_history(search, windows[0].start, error)
            async for page in self._read_windows(search, self._planned(search, reached), reached):
                yield page
        async for page in self._read_owed(search, reached):
            yield page

    async def _read_owed(self, search: Search, reached: _Reached) -> AsyncIterator[FinderPage]:
        """Read again what should not have been believed; what fails is still owed at the next poll."""
        owed = self._endings[search.name].owed
        while owed:
            oldest = whole_second(self._client.server_now()) - self._reach.history
            window = Window(max(owed[0].start, oldest), owed[0].end)
            if window.start < window.end:
                async for page in self._read_windows(search, [window], reached):
                    yield page
            del owed[0]

    def _planned(self, search: Search, reached: _Reached) -> list[Window]:
        now, before = self._client.server_now(), reached[search.name]
        if before is not None and before > now and self._client.skew_secs is not None:
            # Kept, it would hide every stop until that time comes. One far ahead tells nothing of what was read.
            before = None if before > now + _DOUBT else whole_second(now)
            reached[search.name] = before and before - self._reach.overlap
        steps = plan(before, now, self._reach)
        if steps.gap is not None:
            self._coverage.note_gap(search.name, steps.gap)
        return steps.windows

    async def _learn_history(self, search: Search, refused_start: datetime, error: HistoryExceeded) -> None:
        """Find out by halving how far back the API answers, and look no farther from now on.

        Raises ``error`` where it refuses every start.
        """
        now = whole_second(self._client.server_now())
        answered, refused = timedelta(0), now - refused_start
        while refused - answered > _HISTORY_PRECISION:
            middle = timedelta(seconds=(answered + refused) // 2 // ONE_SECOND)
            try:
                await self._probe(search, now - middle)
                answered = middle
            except HistoryExceeded:
                refused = middle
        if not answered:
            raise error
        self._reach = replace(self._reach, history=answered)
        self._coverage.note_history(search.name, answered)

    async def _read_windows(
        self, search: Search, windows: list[Window], reached: _Reached
    ) -> AsyncIterator[FinderPage]:
        pending = windows[::-1]
        while pending:
            window = pending.pop()
            complete = False
            try:
                async for page in self._read_window(search, window, reached):
                    yield page
                    complete = bool(page.cursors)
            except McwatchError as error:
                if error.reason is not FailureReason.TOO_LARGE:
                    raise
                # More than an answer may weigh is more than an answer shows: ask for less.
            if complete:
                continue
            halves = window.halves()
            if halves is not None:
                self._coverage.note_split()
                pending.extend(halves[::-1])
                continue
            self._coverage.note_incomplete(search.name, window)
            yield FinderPage(rows=(), cursors=self._moved(search, self._past(window), reached))

    async def _read_window(self, search: Search, window: Window, reached: _Reached) -> AsyncIterator[FinderPage]:
        """Yield the pages of one window; the last one brings the cursor, unless the answer looks cut short."""
        request = request_of(search, window, self._manner.search_reason)
        doubts = partial(self._endings[search.name].looks_capped, window)
        until = window.start
        async for sheet in self._listing.pages(self._client, request, _keys, doubts):
            if sheet.first:
                until = self._past(window)
            page = FinderPage(rows=self._kept(sheet.rows), unreadable=sheet.unreadable)
            yield replace(page, cursors=self._moved(search, until, reached)) if sheet.complete else page

    def _past(self, window: Window) -> datetime:
        """Return up to when an answer that has just come can have shown everything: not beyond the server's now."""
        return min(window.end, whole_second(self._client.server_now()))

    @staticmethod
    def _moved(search: Search, until: datetime, reached: _Reached) -> dict[str, bytes]:
        """Return the search's cursor at ``until``; it never moves back, although every poll looks back."""
        before = reached[search.name]
        until = until if before is None else max(before, until)
        reached[search.name] = until
        return {search.name: msgspec.json.encode(Cursor(until))}

    def _kept(self, rows: list[Record]) -> list[Record]:
        routes = self._manner.routes
        if routes is None:
            return rows
        return [row for row in rows if row.route is None or row.route.lower() in routes]


def _keys(rows: Sequence[Record]) -> list[str]:
    return [row.id or identity(row) for row in rows]
