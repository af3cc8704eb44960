"""Reading a range of time: windows as wide as answers allow, halved until nothing is cut, down to one second."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import msgspec

from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, PermanentError
from mcwatch.domain.event import identity
from mcwatch.domain.identity import Identity
from mcwatch.domain.page import FinderPage
from mcwatch.domain.record import Record
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import ONE_SECOND, Window, whole_second
from mcwatch.domain.window.truncation import Endings, Totals, Width
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.errors import HistoryExceeded
from mcwatch.mimecast.quota import Priority
from mcwatch.sources.message_finder.answers import Answer, Outcome
from mcwatch.sources.message_finder.notices import Notices
from mcwatch.sources.message_finder.rows import ROWS, FinderItem, FinderRow
from mcwatch.sources.message_finder.searches import EVERYTHING, ROUTES, STATUSES, Narrowing, Search, request_of
from mcwatch.sources.paging import Listing, Sheet

_TOO_SLOW = frozenset({FailureReason.TIMEOUT, FailureReason.SERVER})

_MOST_WHOLE = 20_000
"""Rows of an answer that are kept until all of it is there, where rows are known by content."""

_MOST_TOO_LARGE = 16
"""Six hours are halved so often until seconds are left: an API that goes on answering so much is broken."""

_ENDINGS = "#endings"
"""Behind a search's name, in which it cannot stand: the cursor that keeps what its answers have taught."""

Unread = Callable[[Window], Sequence[Window]]


def _all_of(window: Window) -> Sequence[Window]:
    return (window,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to ask: ``routes`` is None where rows of all routes are kept, ``widest`` the widest window."""

    routes: frozenset[str] | None
    page_size: int
    search_reason: str
    widest: timedelta
    identity: Identity = Identity.ID


class _Learnt:
    """What the answers to one search have taught."""

    def __init__(self, manner: Manner) -> None:
        self.endings = Endings()
        self.stored = msgspec.json.encode(self.endings)
        self.width = Width(manner.widest, manner.page_size)
        self.totals = Totals()
        self.too_large = 0

    def shows_all(self, search: Search, window: Window, sheet: Sheet[str], notices: Notices) -> bool:
        """Tell whether the last page of a window showed the last of it."""
        if sheet.complete or not sheet.lacks_total:
            return sheet.complete
        before = self.totals.mean_nothing
        self.totals.note(window, sheet.total or 0)
        if self.totals.mean_nothing and not before:
            notices.totals(search)
        return self.totals.mean_nothing


class WindowReader:
    """Reads windows of any search, page by page; a page that completes a window says so in ``covered``."""

    def __init__(self, manner: Manner, client: MimecastClient, notices: Notices) -> None:
        self._manner = manner
        self._client = client
        self._notices = notices
        self._by_content = manner.identity is Identity.CONTENT
        self._learnt: dict[str, _Learnt] = {}

    def recall(self, search: Search, cursors: Mapping[str, bytes]) -> None:
        """Take over what an earlier process has learnt of the answers to a search."""
        stored = cursors.get(search.name + _ENDINGS)
        if stored is not None and search.name not in self._learnt:
            learnt = self._of(search)
            learnt.endings, learnt.stored = msgspec.json.decode(stored, type=Endings), stored

    async def read(
        self, search: Search, window: Window, priority: Priority, unread: Unread = _all_of
    ) -> AsyncIterator[FinderPage]:
        """Read a window, oldest part first, in as many requests as it takes.

        Every part of it ends up covered or, where a second holds more than an answer shows, incomplete. ``unread``
        tells what of a window counts as read by its answer alone, should that prove not to be believed.
        """
        width = self._of(search).width
        pending = [window]
        while pending:
            window = pending.pop()
            if window.length > width.now:
                middle = window.start + width.now
                pending.append(Window(middle, window.end))
                window = Window(window.start, middle)
            outcome = Outcome()
            async for page in self._attempt(search, window, priority, outcome, unread):
                yield page
            if outcome.complete:
                continue
            width.halve(window)
            halves = window.halves()
            if halves is None:
                self._notices.incomplete(search, window)
                yield self._covering(search, window, Cover.INCOMPLETE)
            else:
                self._notices.split()
                pending.extend(halves[::-1])

    async def read_narrowed(self, search: Search, second: Window, priority: Priority) -> AsyncIterator[FinderPage]:
        """Read a second that holds more than an answer shows in parts: by route, and what is still cut by status.

        It counts as read when no part was cut and the parts have shown what the whole did. An API that does not know
        these fields refuses them or answers as if they were not there; the second stays incomplete then.
        """
        if self._by_content:
            async for page in self.read(search, second, priority):
                yield page
            return
        whole, parts = Outcome(), Outcome()
        async for page in self._part(search, second, EVERYTHING, whole, priority):
            yield page
        if not whole.complete:
            async for page in self._in_parts(search, second, parts, priority):
                yield page
        if whole.complete or (parts.complete and parts.shows(whole)):
            yield self._covering(search, second, Cover.READ)

    async def probe(self, search: Search, second: Window, priority: Priority = Priority.FRESH) -> None:
        """Make a search that is only to be answered; raises as any does."""
        request = request_of(search, second, self._manner.search_reason)
        await self._client.call(Endpoint.MESSAGE_FINDER, request, ROWS.decoder, page_size=1, priority=priority)

    def _of(self, search: Search) -> _Learnt:
        return self._learnt.setdefault(search.name, _Learnt(self._manner))

    def _listing(self, priority: Priority) -> Listing[FinderItem, FinderRow]:
        return Listing(Endpoint.MESSAGE_FINDER, ROWS, self._manner.page_size, priority, must_stand_still=True)

    def _covering(self, search: Search, window: Window, *covers: Cover) -> FinderPage:
        at = whole_second(self._client.server_now())
        spans = [Span(window.start, window.end, cover, at) for cover in covers]
        return FinderPage(rows=(), covered={search.name: spans})

    async def _attempt(
        self, search: Search, window: Window, priority: Priority, outcome: Outcome, unread: Unread
    ) -> AsyncIterator[FinderPage]:
        """Read a window as one, and learn from it where that is too much."""
        try:
            async for page in self._read_window(search, window, priority, outcome, unread):
                yield page
        except McwatchError as error:
            if error.reason in _TOO_SLOW:
                # It may be so for this window alone: the next poll asks for less.
                self._of(search).width.halve(window)
            if error.reason is not FailureReason.TOO_LARGE:
                raise
            # More than an answer may weigh is more than an answer shows: ask for less, unless less weighs as much.
            learnt = self._of(search)
            learnt.too_large += 1
            if learnt.too_large > _MOST_TOO_LARGE:
                learnt.too_large = 0
                raise
            outcome.complete = False
        else:
            self._of(search).too_large = 0

    async def _read_window(
        self, search: Search, window: Window, priority: Priority, outcome: Outcome, unread: Unread
    ) -> AsyncIterator[FinderPage]:
        """Yield the pages of one window; the last one brings coverage, unless the answer looks cut short."""
        learnt = self._of(search)
        request = request_of(search, window, self._manner.search_reason)
        doubts = partial(learnt.endings.looks_capped, window, unread(window))
        answer = Answer(whole_second(self._client.server_now()))
        async for sheet in self._listing(priority).pages(self._client, request, _keys, doubts):
            if sheet.first:
                answer = Answer(whole_second(self._client.server_now()))
            answer.add(sheet, keep=self._by_content)
            if self._by_content and answer.size > _MOST_WHOLE and window.length > ONE_SECOND:
                # Too much to keep at once counts as cut; nothing of it was handed on, and its halves bring it again.
                outcome.complete = False
                return
            if not sheet.last:
                if not self._by_content:
                    yield FinderPage(rows=self._kept(sheet.rows), unreadable=sheet.unreadable)
                continue
            outcome.complete = learnt.shows_all(search, window, sheet, self._notices) and (
                not self._by_content or answer.counts_each_once(sheet)
            )
            disbelieved = learnt.endings.disbelieved
            spans = [Span(old.start, old.end, Cover.UNREAD, answer.at) for old in disbelieved]
            # An answer cannot have shown what was yet to come when it was made.
            read = window.clipped(window.start, answer.at)
            if outcome.complete:
                learnt.width.learn(window, answer.size, answer.longest_page)
                spans += [Span(read.start, read.end, Cover.READ, answer.at)] if read else []
            page = self._whole(answer, window, outcome) if self._by_content else self._last(sheet)
            endings = learnt.endings.settled(disbelieved)
            stored = msgspec.json.encode(endings)
            cursors = {search.name + _ENDINGS: stored} if stored != learnt.stored else {}
            yield replace(page, covered={search.name: spans} if spans else {}, cursors=cursors)
            # Only now is it committed; until then the next page brings it again.
            learnt.endings, learnt.stored = endings, stored

    def _last(self, sheet: Sheet[str]) -> FinderPage:
        return FinderPage(rows=self._kept(sheet.rows), unreadable=sheet.unreadable)

    def _whole(self, answer: Answer, window: Window, outcome: Outcome) -> FinderPage:
        """Return all rows as one page: by content a row is known by its number among its like in the whole answer.

        What was cut is asked for again in halves; only a second, which cannot be, is taken as it is.
        """
        wanted = outcome.complete or window.length <= ONE_SECOND
        rows = self._kept(answer.rows) if wanted else []
        return FinderPage(rows=rows, unreadable=answer.unreadable, identity=Identity.CONTENT)

    async def _in_parts(
        self, search: Search, second: Window, shown: Outcome, priority: Priority
    ) -> AsyncIterator[FinderPage]:
        try:
            async for page in self._by_route(search, second, shown, priority):
                yield page
        except (AuthError, HistoryExceeded):
            raise
        except PermanentError:
            # What the API refuses here is the fields that narrow.
            shown.complete = False

    async def _by_route(
        self, search: Search, second: Window, shown: Outcome, priority: Priority
    ) -> AsyncIterator[FinderPage]:
        cut = []
        for route in ROUTES:
            part = Outcome()
            async for page in self._part(search, second, {"route": [route]}, part, priority):
                yield page
            shown.keys |= part.keys
            if part.other_routes:
                # The field is ignored: asking on would only cost requests.
                shown.complete = False
                return
            if not part.complete:
                cut.append(route)
        for route in cut:
            for status in STATUSES:
                narrowing = {"route": [route], "status": [status]}
                async for page in self._part(search, second, narrowing, shown, priority):
                    yield page

    async def _part(
        self, search: Search, second: Window, narrowing: Narrowing, shown: Outcome, priority: Priority
    ) -> AsyncIterator[FinderPage]:
        request = request_of(search, second, self._manner.search_reason, narrowing)
        learnt = self._of(search)
        doubts = learnt.endings.is_greatest
        try:
            async for sheet in self._listing(priority).pages(self._client, request, _keys, doubts):
                shown.keys.update(sheet.keys)
                shown.total = max(shown.total, sheet.total or 0)
                routes = {row.route.lower() for row in sheet.rows if row.route is not None}
                shown.other_routes = shown.other_routes or not routes <= set(narrowing.get("route", routes))
                if sheet.last and not (sheet.complete or (sheet.lacks_total and learnt.totals.mean_nothing)):
                    shown.complete = False
                yield self._last(sheet)
        except McwatchError as error:
            if error.reason is not FailureReason.TOO_LARGE:
                raise
            shown.complete = False

    def _kept(self, rows: list[Record]) -> list[Record]:
        routes = self._manner.routes
        if routes is None:
            return rows
        return [row for row in rows if row.route is None or row.route.lower() in routes]


def _keys(rows: Sequence[Record]) -> list[str]:
    return [row.id or identity(row) for row in rows]
