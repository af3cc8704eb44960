"""The poll of the message finder: what is new first, then whatever else is due until the next poll."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import msgspec

from mcwatch.domain.domains import DomainList, domains, due
from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, TransientError
from mcwatch.domain.event import FINDER
from mcwatch.domain.page import FeedProgress, FinderPage
from mcwatch.domain.status import SourceReading
from mcwatch.domain.window.plan import Reach, fresh_window
from mcwatch.domain.window.ranges import Window
from mcwatch.domain.window.rescan import TierTurns
from mcwatch.mimecast.errors import HistoryExceeded
from mcwatch.mimecast.quota import Priority
from mcwatch.sources.base import Rounds, SourceContext, ends_poll
from mcwatch.sources.message_finder.deferred import Deferred, Failed
from mcwatch.sources.message_finder.discovery import CURSOR, discover, read_domains
from mcwatch.sources.message_finder.facts import ApiFacts
from mcwatch.sources.message_finder.jobs import Jobs
from mcwatch.sources.message_finder.ledger import Ledger
from mcwatch.sources.message_finder.notices import Notices
from mcwatch.sources.message_finder.reader import Manner, WindowReader
from mcwatch.sources.message_finder.readings import reading_of
from mcwatch.sources.message_finder.searches import Search, searches_for, searches_of_domains
from mcwatch.sources.message_finder.settling import settled

_LEAST_SHARE = 0.25
"""Of an interval, for what is deferred, however long reading what is new has taken."""


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
    rescans: Sequence[TierTurns]


class MessageFinderSource:
    """``interfaces.Source`` for the message finder."""

    name = FINDER

    def __init__(self, schedule: Schedule, manner: Manner, context: SourceContext) -> None:
        self.interval_secs = schedule.interval_secs
        self._schedule = schedule
        self._client = context.client
        self._clock = context.clock
        self._notices = Notices(context)
        self._reader = WindowReader(manner, context.client, self._notices)
        self._facts = ApiFacts(schedule.reach, context.client, self._reader, self._notices)
        jobs = Jobs(schedule.rescans, self._reader)
        self._deferred = Deferred(jobs, self._facts, client=context.client, clock=context.clock)
        self._rounds = Rounds[Search]([])
        self._ledgers: dict[str, Ledger] = {}
        self._begins: dict[str, datetime] = {}
        self._knows_time = False

    @property
    def requests_per_minute(self) -> float:
        """One for each search per poll, and those of the rescans."""
        return len(self._ledgers) * self._schedule.search_per_minute

    def reading(self) -> SourceReading:
        """Return what every search has read; nothing before the first poll."""
        return reading_of(self._ledgers.values(), self._facts.now())

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
            self._facts.doubt_history()
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

    async def read_range(self, search: Search, window: Window, progress: FeedProgress) -> AsyncIterator[FinderPage]:
        """Read a past range of one search, after everything else in the quota; the pages bring its coverage.

        What ``progress`` has as read stays so, should answers prove not to be believed.
        """
        await self._facts.learn_time(search)
        ledger = Ledger(search, progress, window.start)
        async for page in self._reader.read(search, window, Priority.BACKFILL, ledger.unread):
            # What these answers teach is not what those to the polls have.
            yield replace(page, cursors={})

    @property
    def overlap(self) -> timedelta:
        """How far every poll looks back again."""
        return self._facts.reach.overlap

    @property
    def oldest_start(self) -> datetime:
        """How far back the API answers, on its own clock."""
        return self._facts.now() - self._facts.reach.history

    def _searches(self, known: DomainList | None) -> list[Search]:
        filters = list(self._schedule.filters)
        if not self._schedule.discovers:
            return searches_for(filters)
        found = searches_of_domains(domains(known)) + filters
        return searches_for(found) if found else []

    def _open(self, progress: FeedProgress, known: DomainList | None) -> None:
        """Take the state of every search from the store; one never read begins where its first poll looks back to."""
        if self._facts.knows_time and not self._knows_time:
            self._knows_time = True
            self._begins.clear()  # they were this machine's time, which may have been any
        searches = self._searches(known)
        begin = self._facts.now() - min(self._facts.reach.first, self._facts.reach.history)
        self._ledgers = {
            search.name: Ledger(search, progress, self._begins.setdefault(search.name, begin)) for search in searches
        }
        for ledger in self._ledgers.values():
            # A poll that ended with a commit did not get to know of it.
            self._notices.gaps(ledger.search, ledger.gaps(), ledger.aged())
            self._reader.recall(ledger.search, progress.cursors)
        self._rounds.replace(searches)

    def _show(self) -> None:
        if not self._ledgers:
            return
        now = self._facts.now()
        for ledger in self._ledgers.values():
            self._notices.gaps(ledger.search, ledger.gaps(), ledger.aged())
        until = min(ledger.covered_until(now) for ledger in self._ledgers.values())
        self._notices.show_coverage(until, lambda: max(0.0, (self._client.server_now() - until).total_seconds()))

    async def _read_all(self, until: float) -> AsyncIterator[FinderPage]:
        now, failed = self._facts.now(), Failed(self._ledgers)
        try:
            async for page in self._rounds.read(partial(self._read_fresh, now, failed)):
                yield page
        except McwatchError as error:
            # Where the API has answered others, it may be this search alone that it stumbles over.
            answers = failed.searches != self._ledgers.keys() and isinstance(error, TransientError)
            if ends_poll(error) and (error.reason is FailureReason.THROTTLED or not answers):
                raise
            failed.error = error
        # A search that hangs has used up the interval: the others' old mail shall not wait for ever.
        until = max(until, self._clock.monotonic() + self.interval_secs * _LEAST_SHARE)
        async for page in self._deferred.read(self._ledgers, now, until, failed):
            yield page
        if failed.error is not None:
            raise failed.error

    async def _read_fresh(self, now: datetime, failed: Failed, search: Search) -> AsyncIterator[FinderPage]:
        """Read what is new of one search, after its ledger has been put in order."""
        ledger = self._ledgers[search.name]
        page = settled(ledger, now, self._facts, [turns.tier for turns in self._schedule.rescans])
        if page is not None:
            yield page
            ledger.apply(page)
        try:
            async for page in self._fresh(ledger, now):
                yield page
        except HistoryExceeded as error:
            await self._facts.learn_history(search, error)
            async for page in self._fresh(ledger, now):
                yield page
        failed.searches.discard(search.name)

    async def _fresh(self, ledger: Ledger, now: datetime) -> AsyncIterator[FinderPage]:
        window = fresh_window(ledger.spans, now, self._facts.reach)
        if window is not None:
            async for page in self._reader.read(ledger.search, window, Priority.FRESH, ledger.unread):
                yield page
                ledger.apply(page)

    async def _learn_time(self) -> None:
        await self._facts.learn_time(next((ledger.search for ledger in self._ledgers.values()), None))
