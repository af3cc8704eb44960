"""The jobs that wait until what is new was read: catch-up, rescans, incomplete seconds; in this order of service."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from mcwatch.domain.page import FinderPage
from mcwatch.domain.window.coverage import Cover
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
        return bool(page.cursors)


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


class Jobs:
    """Chooses and does the jobs of one source; everything but what was tried in vain is remembered by the store."""

    def __init__(self, rescans: Sequence[TierTurns], reader: WindowReader) -> None:
        self._rescans = rescans
        self._reader = reader
        self._sweeps: dict[str, _Sweep] = {}

    def next(self, ledgers: Collection[Ledger], now: datetime, reach: Reach) -> Job | None:
        """Return what to do next, None when nothing is due."""
        return (
            _oldest_missed(ledgers, now, reach)
            or self._most_urgent(ledgers, now)
            or self._oldest_incomplete(ledgers, now, reach)
        )

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
                yield replace(page, cursors=ledger.cursor()) if ends else page
        ledger.advance(tier, TierProgress(job.turn.at))
        yield ledger.page()

    def _most_urgent(self, ledgers: Iterable[Ledger], now: datetime) -> Rescan | None:
        due = [
            Rescan(ledger, turns, turn)
            for ledger in ledgers
            for turns in self._rescans
            if (turn := _first_due(turns, ledger.tiers[turns.tier.name], now)) is not None
        ]
        # By when it must be done, not by when it might have been: the turns of a slow tier can wait longer.
        return min(due, key=lambda job: job.turn.at + job.turns.period, default=None)

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


def _first_due(turns: TierTurns, progress: TierProgress, now: datetime) -> Turn | None:
    begun = turns.begun(progress.turn_at, now) if progress.turn_at else None
    return begun or next(iter(turns.due(progress.taken_until, now)), None)


def _oldest_missed(ledgers: Iterable[Ledger], now: datetime, reach: Reach) -> CatchUp | None:
    jobs = [
        CatchUp(ledger, window)
        for ledger in ledgers
        if (window := next(missed(ledger.spans, ledger.since, now, reach), None)) is not None
    ]
    return min(jobs, key=lambda job: job.window.start, default=None)
