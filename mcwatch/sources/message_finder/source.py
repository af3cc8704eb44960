"""The poll of the message finder: what is new first, then whatever else is due until the next poll."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import msgspec

from mcwatch.domain.domains import DomainList, domains, due
from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, PermanentError, TransientError
from mcwatch.domain.event import FINDER
from mcwatch.domain.page import FeedProgress, FinderPage
from mcwatch.domain.status import SourceReading
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.plan import Reach, fresh_window, lost, not_believed
from mcwatch.domain.window.ranges import ONE_SECOND, Window, whole_second
from mcwatch.domain.window.rescan import Rounds as Rescans
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.errors import HistoryExceeded
from mcwatch.mimecast.quota import Priority
from mcwatch.sources.base import Rounds, SourceContext, ends_poll
from mcwatch.sources.message_finder.deferred import Again, Deferred, Job
from mcwatch.sources.message_finder.discovery import CURSOR, discover, read_domains
from mcwatch.sources.message_finder.ledger import Ledger
from mcwatch.sources.message_finder.notices import Notices
from mcwatch.sources.message_finder.reader import Manner, WindowReader
from mcwatch.sources.message_finder.readings import reading_of
from mcwatch.sources.message_finder.searches import Search, searches_for, searches_of_domains

_DOUBT = timedelta(minutes=1)
"""Two estimates of the server's time differ by less: coverage farther in the future was written by a wrong clock."""

_HISTORY_PRECISION = timedelta(hours=1)
_PATIENCE_SECS = 300.0
_SETTLES = timedelta(days=1)
"""How often what has left the history is taken off what is owed; it is kept in the store for longer than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What to search for, how often and how far. ``filters`` stand beside the domains, which may be discovered.

    ``search_per_minute`` is how many requests each search needs while mail is quiet.
    """

    interval_secs: float
    search_per_minute: float
    filters: Sequence[dict[str, str]]
    discovers: bool
    reach: Reach
    rescans: Sequence[Rescans]


class _Failed:
    """The searches that failed in a poll or were not read yet, and the last of their errors."""

    def __init__(self, searches: Iterable[str]) -> None:
        self.searches = set(searches)
        self.error: McwatchError | None = None

    def note(self, search: str, error: McwatchError) -> None:
        self.searches.add(search)
        self.error = error


class MessageFinderSource:
    """``interfaces.Source`` for the message finder."""

    name = FINDER

    def __init__(self, schedule: Schedule, manner: Manner, context: SourceContext) -> None:
        self.interval_secs = schedule.interval_secs
        self._schedule = schedule
        self._reach = schedule.reach
        self._client = context.client
        self._clock = context.clock
        self._notices = Notices(context)
        self._reader = WindowReader(manner, context.client, self._notices)
        self._deferred = Deferred(schedule.rescans, self._reader)
        self._rounds = Rounds[Search]([])
        self._ledgers: dict[str, Ledger] = {}
        self._deferred_at = context.clock.monotonic()
        self._unlucky: dict[str, None] = {}
        self._begins: dict[str, datetime] = {}
        self._knows_time = False
        self._has_asked_time = False

    @property
    def requests_per_minute(self) -> float:
        """One for each search per poll, and those of the rescans."""
        return len(self._ledgers) * self._schedule.search_per_minute

    def reading(self) -> SourceReading:
        """Return what every search has read; nothing before the first poll."""
        return reading_of(self._ledgers.values(), self._now())

    async def poll(self, progress: FeedProgress) -> AsyncIterator[FinderPage]:
        """Bring every search up to now, then do what else is due until the interval is over.

        A search that fails does not keep the others from being read; the error of the last one that failed is raised at
        the end. One that all would meet ends the poll at once.
        """
        until = self._clock.monotonic() + self.interval_secs
        known = read_domains(progress.cursors.get(CURSOR))
        try:
            self._open(progress, known)
            await self._learn_time()
            failure: McwatchError | None = None
            if self._schedule.discovers and due(known, self._client.server_now()):
                try:
                    known = await discover(self._client, known)
                    yield FinderPage(rows=(), cursors={CURSOR: msgspec.json.encode(known)})
                except McwatchError as error:
                    # The last list stays good; without any there is nothing to search for.
                    if known is None or (ends_poll(error) and not isinstance(error, AuthError)):
                        raise
                    failure = error
            self._open(progress, known)
            self._show()
            async for page in self._read_all(until):
                yield page
            if failure is not None:
                raise failure
        finally:
            self._show()

    def searches(self, progress: FeedProgress) -> list[Search]:
        """Return the searches as they are configured and, where they are discovered, as stored."""
        return self._searches(read_domains(progress.cursors.get(CURSOR)))

    async def read_range(self, search: Search, window: Window) -> AsyncIterator[FinderPage]:
        """Read a past range of one search, after everything else in the quota; the pages bring its coverage."""
        await self._learn_time()
        ledger = self._ledgers.get(search.name) or Ledger(search, FeedProgress(), window.start)
        async for page in self._reader.read(search, window, Priority.BACKFILL, ledger.unread):
            yield page

    @property
    def oldest_start(self) -> datetime:
        """How far back the API answers, on its own clock."""
        return self._now() - self._reach.history

    def _now(self) -> datetime:
        return whole_second(self._client.server_now())

    def _searches(self, known: DomainList | None) -> list[Search]:
        filters = list(self._schedule.filters)
        if not self._schedule.discovers:
            return searches_for(filters)
        found = searches_of_domains(domains(known)) + filters
        return searches_for(found) if found else []

    def _open(self, progress: FeedProgress, known: DomainList | None) -> None:
        """Take the state of every search from the store; one never read begins where its first poll looks back to."""
        if self._client.skew_secs is not None and not self._knows_time:
            self._knows_time = True
            self._begins.clear()  # they were this machine's time, which may have been any
        searches = self._searches(known)
        begin = self._now() - min(self._reach.first, self._reach.history)
        self._ledgers = {
            search.name: Ledger(search, progress, self._begins.setdefault(search.name, begin)) for search in searches
        }
        for ledger in self._ledgers.values():
            # A poll that ended with a commit did not get to know of it.
            self._notices.gaps(ledger.search, ledger.gaps(), ledger.aged())
        self._rounds.replace(searches)

    def _show(self) -> None:
        if not self._ledgers:
            return
        now = self._now()
        until = min(ledger.covered_until(now) for ledger in self._ledgers.values())
        self._notices.show_coverage(until, lambda: max(0.0, (self._client.server_now() - until).total_seconds()))

    async def _read_all(self, until: float) -> AsyncIterator[FinderPage]:
        now, failed = self._now(), _Failed(self._ledgers)
        try:
            async for page in self._rounds.read(partial(self._read_fresh, now, failed)):
                yield page
        except McwatchError as error:
            # Where the API has answered others, it may be this search alone that it stumbles over.
            answers = failed.searches != self._ledgers.keys() and isinstance(error, TransientError)
            if ends_poll(error) and (error.reason is FailureReason.THROTTLED or not answers):
                raise
            failed.error = error
        async for page in self._read_deferred(now, until, failed):
            yield page
        if failed.error is not None:
            raise failed.error

    async def _read_deferred(self, now: datetime, until: float, failed: "_Failed") -> AsyncIterator[FinderPage]:
        """Do what is due, as long as the next poll need not wait for it."""
        while (job := self._next_job(now, failed)) is not None:
            search = job.ledger.search.name
            # Whatever comes of it, a job that changes nothing is not chosen twice in a poll.
            failed.searches.add(search)
            priority = self._priority(job, until)
            if priority is None:
                return
            try:
                async with aclosing(self._do_some(job, priority, now, until, failed)) as pages:
                    async for page in pages:
                        yield page
            except McwatchError as error:
                failed.note(search, error)
                self._unlucky.pop(search, None)
                self._unlucky[search] = None
                if ends_poll(error):
                    return

    async def _do_some(
        self, job: Job, priority: Priority, now: datetime, until: float, failed: "_Failed"
    ) -> AsyncGenerator[FinderPage]:
        """Do a job, as long as it does not keep the next poll waiting and until it has come on."""
        search = job.ledger.search.name
        try:
            async for page in self._deferred.do(job, priority, now, self._reach):
                moves = job.moves(page)
                yield page
                self._apply(job.ledger, page)
                if moves:
                    failed.searches.discard(search)
                    self._unlucky.pop(search, None)
                    self._deferred_at = self._clock.monotonic()
                    if self._would_wait(job.priority, until):
                        return
        except HistoryExceeded as error:
            await self._learn_history(job.ledger.search, now, error)
            failed.searches.discard(search)
        if isinstance(job, Again):
            failed.searches.discard(search)

    def _priority(self, job: Job, until: float) -> Priority | None:
        """Return the priority to do a job with, None while it would keep the next poll waiting.

        What has been put off for minutes gets one window like a fresh one: it would never come to an end else.
        """
        if not self._would_wait(job.priority, until):
            return job.priority
        patient = self._clock.monotonic() - self._deferred_at < _PATIENCE_SECS
        return None if patient else Priority.FRESH

    def _would_wait(self, priority: Priority, until: float) -> bool:
        wait_secs = self._client.wait_secs(Endpoint.MESSAGE_FINDER, priority)
        return self._clock.monotonic() + wait_secs >= until

    def _next_job(self, now: datetime, failed: "_Failed") -> Job | None:
        """Return what to do next; a search whose job failed last waits until the others have nothing left to do."""
        left = {name: ledger for name, ledger in self._ledgers.items() if name not in failed.searches}
        unlucky = [[left.pop(name)] for name in self._unlucky if name in left]
        for ledgers in (list(left.values()), *unlucky):
            job = self._deferred.next_job(ledgers, now, self._reach)
            if job is not None:
                return job
        return None

    async def _read_fresh(self, now: datetime, failed: "_Failed", search: Search) -> AsyncIterator[FinderPage]:
        """Read what is new of one search, after its ledger has been put in order."""
        ledger = self._ledgers[search.name]
        page = self._settled(ledger, now)
        if page is not None:
            yield page
            self._apply(ledger, page)
        try:
            async for page in self._fresh(ledger, now):
                yield page
        except HistoryExceeded as error:
            await self._learn_history(search, now, error)
            async for page in self._fresh(ledger, now):
                yield page
        failed.searches.discard(search.name)

    async def _fresh(self, ledger: Ledger, now: datetime) -> AsyncIterator[FinderPage]:
        window = fresh_window(ledger.spans, now, self._reach)
        if window is not None:
            async for page in self._reader.read(ledger.search, window, Priority.FRESH, ledger.unread):
                yield page
                self._apply(ledger, page)

    def _apply(self, ledger: Ledger, page: FinderPage) -> None:
        """Take over what a page has covered; it is committed when the next one is asked for."""
        ledger.apply(page)
        self._notices.gaps(ledger.search, ledger.gaps(), ledger.aged())

    def _settled(self, ledger: Ledger, now: datetime) -> FinderPage | None:
        """Take back what a wrong clock wrote, record what has left the history, store what is not stored yet."""
        ahead = not_believed(ledger.spans, now, _DOUBT) if self._client.skew_secs is not None else ()
        horizon, since = now - self._reach.history, ledger.since
        if since > now + _DOUBT:
            ledger.since = max(now - self._reach.first, horizon)
        elif self._begins_later(ledger, horizon):
            # Only what lies before all that was ever read is not owed; a hole behind that is.
            ledger.since = max(since, min([horizon, *(span.start for span in ledger.spans)]))
        spans = [Span(one.start, one.end, Cover.UNREAD, now) for one in ahead]
        gaps = lost(ledger.spans, ledger.since, now, self._reach)
        spans += [Span(one.start, one.end, Cover.GAP, now) for one in gaps]
        begun = ledger.begin_tiers([rounds.tier for rounds in self._schedule.rescans], now, _DOUBT)
        changed = bool(spans) or begun or ledger.is_new or ledger.since != since
        if not changed and ledger.since > horizon - _SETTLES:
            return None
        ledger.since = max(ledger.since, horizon)
        ledger.is_new = False
        return ledger.page(*spans)

    def _begins_later(self, ledger: Ledger, horizon: datetime) -> bool:
        """Tell whether a search was told to begin before all that an API of short history shows: nothing is lost."""
        is_short = self._reach.history < self._schedule.reach.history
        first = min((span.start for span in ledger.spans), default=horizon)
        return is_short and ledger.since < horizon and first > horizon - _SETTLES

    async def _learn_time(self) -> None:
        """Get to know the API's clock, by which windows are planned: this machine's may be off by years."""
        if self._client.skew_secs is not None or self._has_asked_time:
            return
        await self._client.prepare()
        if self._client.skew_secs is None:
            await self._ask_time()
        self._has_asked_time = True

    async def _ask_time(self) -> None:
        """Make a search that is only to be answered, be it by a refusal of its time: API 1.0 has no token to fetch."""
        search = next(iter(self._ledgers.values())).search if self._ledgers else Search("all", {})
        at = self._now() - ONE_SECOND
        try:
            await self._reader.probe(search, Window(at, at + ONE_SECOND))
        except McwatchError as error:
            if ends_poll(error) or self._client.skew_secs is None:
                raise

    async def _learn_history(self, search: Search, now: datetime, error: PermanentError) -> None:
        """Find out by halving how far back the API answers, and look no farther from now on.

        Raises ``error`` where it refuses every start.
        """
        answered, refused = timedelta(0), self._reach.history
        while refused - answered > _HISTORY_PRECISION:
            middle = (answered + refused) // 2 // ONE_SECOND * ONE_SECOND
            try:
                await self._reader.probe(search, Window(now - middle, now - middle + ONE_SECOND))
                answered = middle
            except HistoryExceeded:
                refused = middle
        if not answered:
            raise error
        self._reach = replace(self._reach, history=answered)
        self._notices.history(search, answered)
