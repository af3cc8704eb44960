"""The jobs that wait until what is new was read: catch-up, rescans, incomplete seconds; in this order of service."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from mcwatch.domain.page import FinderPage
from mcwatch.domain.window.coverage import Cover
from mcwatch.domain.window.plan import Reach, missed
from mcwatch.domain.window.ranges import ONE_SECOND, Window, within
from mcwatch.domain.window.rescan import Rounds, Turn
from mcwatch.mimecast.quota import Priority
from mcwatch.sources.message_finder.ledger import Ledger, TierProgress
from mcwatch.sources.message_finder.reader import WindowReader

_RETRY_AFTER = timedelta(hours=1)
_MOST_TRIED = 10_000


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
    rounds: Rounds
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


class Jobs:
    """Chooses and does the jobs of one source; everything but what was tried in vain is remembered by the store."""

    def __init__(self, rescans: Sequence[Rounds], reader: WindowReader) -> None:
        self._rescans = rescans
        self._reader = reader
        self._tried: dict[tuple[str, datetime], datetime] = {}

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
            self._note_tried(job, now)
            pages = self._reader.read_narrowed(job.ledger.search, job.second, priority)
        async for page in pages:
            yield page

    async def _rescan(
        self, job: Rescan, priority: Priority, now: datetime, oldest: datetime
    ) -> AsyncIterator[FinderPage]:
        """Read a turn's windows; what of it has been read is kept with the pages, the turn is taken with the last."""
        ledger, tier = job.ledger, job.rounds.tier
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
            Rescan(ledger, rounds, turn)
            for ledger in ledgers
            for rounds in self._rescans
            if (turn := _first_due(rounds, ledger.tiers[rounds.tier.name], now)) is not None
        ]
        # By when it must be done, not by when it might have been: the turns of a slow tier can wait longer.
        return min(due, key=lambda job: job.turn.at + job.rounds.period, default=None)

    def _oldest_incomplete(self, ledgers: Iterable[Ledger], now: datetime, reach: Reach) -> Again | None:
        for ledger in ledgers:
            for second in _seconds(ledger.incomplete(), now - reach.history, now):
                tried_at = self._tried.get((ledger.search.name, second.start))
                if tried_at is None or not timedelta(0) <= now - tried_at < _RETRY_AFTER:
                    return Again(ledger, second)
        return None

    def _note_tried(self, job: Again, now: datetime) -> None:
        self._tried[job.ledger.search.name, job.second.start] = now
        while len(self._tried) > _MOST_TRIED:
            del self._tried[next(iter(self._tried))]


def _first_due(rounds: Rounds, progress: TierProgress, now: datetime) -> Turn | None:
    begun = rounds.begun(progress.turn_at, now) if progress.turn_at else None
    return begun or next(iter(rounds.due(progress.taken_until, now)), None)


def _oldest_missed(ledgers: Iterable[Ledger], now: datetime, reach: Reach) -> CatchUp | None:
    jobs = [
        CatchUp(ledger, window)
        for ledger in ledgers
        if (window := next(missed(ledger.spans, ledger.since, now, reach), None)) is not None
    ]
    return min(jobs, key=lambda job: job.window.start, default=None)


def _seconds(windows: Iterable[Window], start: datetime, end: datetime) -> Iterator[Window]:
    for window in within(windows, start, end):
        yield from window.pieces(ONE_SECOND)
