"""The jobs that wait until what is new was read: catch-up, rescans, incomplete seconds; in this order of service."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from mcwatch.domain.page import FinderPage
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.plan import Reach, missed
from mcwatch.domain.window.ranges import ONE_SECOND, Window, within
from mcwatch.domain.window.rescan import TierTurns, Turn
from mcwatch.mimecast.quota import Priority
from mcwatch.sources.message_finder.ledger import Ledger, TierProgress
from mcwatch.sources.message_finder.reader import WindowReader

_RETRY_AFTER = timedelta(hours=1)
"""All incomplete seconds of a search are tried again from the oldest on, not more often than this."""


@dataclass(frozen=True, slots=True)
class CatchUp:
    """A window that was missed."""

    priority: ClassVar = Priority.CATCH_UP
    ledger: Ledger
    window: Window

    def moves(self, page: FinderPage) -> bool:
        """Tell whether a page brings the job on: the overlap alone, read again, does not."""
        return any(self.ledger.unread(span.window) for span in page.covered.get(self.ledger.search.name, ()))


@dataclass(frozen=True, slots=True)
class Rescan:
    """A turn of a tier."""

    priority: ClassVar = Priority.RESCAN
    ledger: Ledger
    turns: TierTurns
    turn: Turn

    def moves(self, page: FinderPage) -> bool:
        """Tell whether a page brings the job on."""
        return self.ledger.search.name in page.cursors


@dataclass(frozen=True, slots=True)
class Again:
    """A second of which not everything was shown."""

    priority: ClassVar = Priority.RESCAN
    ledger: Ledger
    second: Window

    def moves(self, page: FinderPage) -> bool:
        """Tell whether a page brings the job on; it is not to be left before its end, for it begins anew."""
        return bool(page.covered)


Job = CatchUp | Rescan | Again


@dataclass(slots=True)
class _Sweep:
    """The incomplete seconds of one search, tried again one after the other."""

    begun_at: datetime
    tried_until: datetime


@dataclass(frozen=True, slots=True)
class _Choice:
    """What is due of one search, as long as what it was worked out from is the same."""

    spans: list[Span]
    tiers: dict[str, TierProgress]
    now: datetime
    reach: Reach
    catch_up: CatchUp | None
    rescan: Rescan | None

    def stands(self, ledger: Ledger, now: datetime, reach: Reach) -> bool:
        same = self.spans is ledger.spans and self.tiers is ledger.tiers
        return same and self.now == now and self.reach is reach


class Jobs:
    """Chooses and does the jobs of one source; everything but what was tried in vain is remembered by the store."""

    def __init__(self, rescans: Sequence[TierTurns], reader: WindowReader) -> None:
        self._rescans = rescans
        self._reader = reader
        self._sweeps: dict[str, _Sweep] = {}
        self._choices: dict[str, _Choice] = {}

    def next(self, ledgers: Collection[Ledger], now: datetime, reach: Reach) -> Job | None:
        """Return what to do next, None when nothing is due."""
        chosen = [self._chosen(ledger, now, reach) for ledger in ledgers]
        missed_ones = [one.catch_up for one in chosen if one.catch_up is not None]
        if missed_ones:
            return min(missed_ones, key=lambda job: job.window.start)
        due = [one.rescan for one in chosen if one.rescan is not None]
        return min(due, key=_must_be_done, default=None) or self._oldest_incomplete(ledgers, now, reach)

    def _chosen(self, ledger: Ledger, now: datetime, reach: Reach) -> "_Choice":
        """Return what is due of one search; worked out anew only when something of it has changed."""
        before = self._choices.get(ledger.search.name)
        if before is not None and before.stands(ledger, now, reach):
            return before
        catch_up = next((CatchUp(ledger, one) for one in missed(ledger.spans, ledger.since, now, reach)), None)
        due = [Rescan(ledger, turns, turn) for turns in self._rescans if (turn := _first_due(ledger, turns, now))]
        choice = _Choice(ledger.spans, ledger.tiers, now, reach, catch_up, min(due, key=_must_be_done, default=None))
        self._choices[ledger.search.name] = choice
        return choice

    async def do(self, job: Job, priority: Priority, now: datetime, reach: Reach) -> AsyncIterator[FinderPage]:
        """Do a job, page by page; it may be left after any page and goes on from there at the next poll."""
        if isinstance(job, CatchUp):
            pages = self._reader.read(job.ledger.search, job.window, priority, job.ledger.unread)
        elif isinstance(job, Rescan):
            pages = self._rescan(job, priority, now, now - reach.history)
        else:
            self._note_tried(job)
            pages = self._reader.read_narrowed(job.ledger.search, job.second, priority)
        async for page in pages:
            yield page

    async def _rescan(
        self, job: Rescan, priority: Priority, now: datetime, oldest: datetime
    ) -> AsyncIterator[FinderPage]:
        """Read a turn's windows; what of it has been read is kept with the pages, the turn is taken with the last."""
        ledger, tier = job.ledger, job.turns.tier
        before = ledger.tiers[tier.name]
        resume = before.read_until if before.turn_at == job.turn.at and before.read_until else oldest
        for window in within(job.turn.windows, max(resume, oldest), now):
            async for page in self._reader.read(ledger.search, window, priority, ledger.unread):
                spans = page.covered.get(ledger.search.name, ())
                ends = [span.end for span in spans if span.cover is not Cover.UNREAD]
                if ends:
                    ledger.advance(tier, TierProgress(before.taken_until, job.turn.at, max(ends)))
                yield replace(page, cursors={**page.cursors, **ledger.cursor()}) if ends else page
        ledger.advance(tier, TierProgress(job.turn.at))
        yield ledger.page()

    def _oldest_incomplete(self, ledgers: Iterable[Ledger], now: datetime, reach: Reach) -> Again | None:
        for ledger in ledgers:
            sweep = self._sweeps.setdefault(ledger.search.name, _Sweep(now, now - reach.history))
            left = within(ledger.incomplete(), sweep.tried_until, now)
            if not left and not timedelta(0) <= now - sweep.begun_at < _RETRY_AFTER:
                self._sweeps[ledger.search.name] = _Sweep(now, now - reach.history)
                left = within(ledger.incomplete(), now - reach.history, now)
            if left:
                return Again(ledger, Window(left[0].start, left[0].start + ONE_SECOND))
        return None

    def _note_tried(self, job: Again) -> None:
        self._sweeps[job.ledger.search.name].tried_until = job.second.end


def _first_due(ledger: Ledger, turns: TierTurns, now: datetime) -> Turn | None:
    progress = ledger.tiers[turns.tier.name]
    begun = turns.begun(progress.turn_at, now) if progress.turn_at else None
    return begun or next(turns.due(progress.taken_until, now), None)


def _must_be_done(job: Rescan) -> datetime:
    """Return by when, not since when: the turns of a slow tier can wait longer."""
    return job.turn.at + job.turns.period
