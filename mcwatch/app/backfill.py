"""Reading a past range again, one window of one search at a time; what is new becomes events as always."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import structlog

from mcwatch import __version__
from mcwatch.app.ranges import FinderAccount, PastRanges, Reading, Target, labels_of
from mcwatch.domain.backfill import (
    BackfillCounts,
    BackfilledStep,
    BackfillPlan,
    BackfillStep,
    Interrupted,
    Progress,
    RangeRequest,
    check_window,
    cursor_name,
    decode_progress,
    encode_progress,
    is_recent,
    plan_steps,
    ranges_of,
    utc_text,
)
from mcwatch.domain.page import FeedProgress, FinderPage, PageTransaction
from mcwatch.domain.window.coverage import Cover, windows_of
from mcwatch.domain.window.ranges import Window, merged

logger = structlog.get_logger(__name__)


class Backfill:
    """Plans and does the steps of backfills; what an interrupted one has read is known from its cursor."""

    def __init__(self, ranges: PastRanges) -> None:
        self._ranges = ranges
        self._store = ranges.store

    async def plan(self, request: RangeRequest) -> BackfillPlan:
        """Say what there is to read; raises PermanentError for a range that cannot be read."""
        finder = self._ranges.finder(request.account)
        window, notes = await self._ranges.checked(finder, request)
        progress = await self._store.progress(finder.feed)
        searches = self._ranges.searches(finder, progress)
        now = self._ranges.clock.now()
        interrupted = Interrupted(progress.cursors, window, now)
        if request.anew:
            await self._forget(finder, interrupted.names)
            interrupted = Interrupted({}, window, now)
        owed = {search.name: interrupted.owed(search.name) for search in searches}
        asked = RangeRequest(account=request.account, start=window.start, end=window.end)
        steps = plan_steps(asked, owed, finder.widest)
        if any(interrupted.done(search.name) for search in searches):
            notes.append(_goes_on(interrupted, owed))
        if not steps:
            await self._forget(finder, interrupted.names)
        return BackfillPlan(
            account=request.account,
            start=window.start,
            end=window.end,
            version=__version__,
            began_at=now,
            steps=steps,
            labels=labels_of(searches),
            notes=notes,
        )

    async def step(self, step: BackfillStep) -> BackfilledStep:
        """Read one window of one search, or for as long as a step takes; what was committed stays.

        Raises what reading and committing raise.
        """
        finder = self._ranges.finder(step.account)
        window = check_window(step.window)
        whole = check_window(Window(step.whole.start, step.whole.end))
        async with finder.turn:
            search, progress = await self._ranges.search(finder, step.search)
            counts, incomplete = BackfillCounts(), []
            done = self._done(progress, whole)
            target = Target(step.account, finder.source, search)
            reading = Reading(target, window, whole=window, progress=progress, clock=self._ranges.clock)
            async with aclosing(self._ranges.pages_to_commit(reading)) as pages:
                async for page in pages:
                    covered = page.covered.get(search.name, ())
                    done = done.after(search.name, covered, self._ranges.clock.now())
                    outcome = await finder.ingest.commit(_with_progress(page, whole, done) if covered else page)
                    counts.add(_counts(outcome.counts.new, outcome.counts.duplicate, outcome.counts.undecodable))
                    incomplete += windows_of(covered, Cover.INCOMPLETE)
            finished = await self._finish(finder, whole)
        logger.info(
            "backfill_step_done",
            account=step.account,
            search=search.label,
            start=utc_text(window.start),
            end=utc_text(window.end),
            rows=counts.rows,
            new=counts.new,
            is_whole=not reading.rest,
        )
        return BackfilledStep(
            counts=counts,
            incomplete=ranges_of(merged(incomplete)),
            finished=finished,
            rest=ranges_of(reading.rest),
        )

    def _done(self, progress: FeedProgress, whole: Window) -> Progress:
        """Return what this run has read, or what it goes on from."""
        now = self._ranges.clock.now()
        known = decode_progress(progress.cursors.get(cursor_name(whole)))
        return known if known is not None and is_recent(known, now) else Progress(now)

    async def _finish(self, finder: FinderAccount, whole: Window) -> bool:
        """Tell whether the range has been read by every search, and forget how far it had come if so."""
        progress = await self._store.progress(finder.feed)
        interrupted = Interrupted(progress.cursors, whole, self._ranges.clock.now())
        if any(interrupted.owed(search.name) for search in finder.source.searches(progress)):
            return False
        await self._forget(finder, interrupted.names)
        return True

    async def _forget(self, finder: FinderAccount, names: Sequence[str]) -> None:
        if names:
            await self._store.commit_page(finder.feed, partial(_forget, list(names)))


def _forget(names: Sequence[str], transaction: PageTransaction) -> None:
    for name in names:
        transaction.forget_cursor(name)


def _with_progress(page: FinderPage, whole: Window, done: Progress) -> FinderPage:
    return replace(page, cursors={**page.cursors, cursor_name(whole): encode_progress(done)})


def _counts(new: int, known: int, undecodable: int) -> BackfillCounts:
    return BackfillCounts(rows=new + known + undecodable, new=new, known=known, undecodable=undecodable)


def _goes_on(interrupted: Interrupted, owed: dict[str, list[Window]]) -> str:
    starts = [windows[0].start for windows in owed.values() if windows]
    if not starts:
        return f"an earlier run had read all of this range when it stopped at {utc_text(interrupted.stopped_at)}"
    return (
        f"goes on at {utc_text(min(starts))}, where an earlier run stopped at {utc_text(interrupted.stopped_at)} "
        "(--anew reads all of it again)"
    )
