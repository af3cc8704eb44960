"""Comparing a past range with what was recorded of it, one window of one search at a time."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

import structlog

from mcwatch import __version__
from mcwatch.app.ranges import PastRanges, Reading, Target, labels_of
from mcwatch.domain.backfill import RangeRequest, check_window, ranges_of, utc_text, windows_of_ranges
from mcwatch.domain.page import FeedProgress
from mcwatch.domain.verification import SearchPlan, VerifiedStep, VerifyPlan, VerifyStep
from mcwatch.domain.window.coverage import Cover, Span, windows_of
from mcwatch.domain.window.ranges import ONE_SECOND, Window, merged, whole_second, within, without
from mcwatch.pipeline.verification import Asked, Comparison
from mcwatch.sources import Search

_NEWEST = timedelta(minutes=15)
"""An end this near to now means "up to now": what the polls have not come to yet is left to them."""

logger = structlog.get_logger(__name__)


class Verification:
    """Plans and does the steps of verifications; keeps nothing between them."""

    def __init__(self, ranges: PastRanges) -> None:
        self._ranges = ranges

    async def plan(self, request: RangeRequest) -> VerifyPlan:
        """Say what there is to read, and what of it the ledger has; raises PermanentError as a backfill does."""
        finder = self._ranges.finder(request.account)
        window, notes = await self._ranges.checked(finder, request)
        progress = await self._ranges.store.progress(finder.feed)
        searches = self._ranges.searches(finder, progress)
        now = whole_second(finder.client.server_now())
        end = _newest_settled(progress, searches, window, now, finder.source.overlap)
        if end < window.end:
            notes.append(f"what came after {utc_text(end)} is still being polled: the range ends there")
            window = Window(window.start, end)
        labels = labels_of(searches)
        return VerifyPlan(
            account=request.account,
            start=window.start,
            end=window.end,
            version=__version__,
            began_at=self._ranges.clock.now(),
            windows=ranges_of(window.pieces(finder.widest)),
            searches=[_plan(one, labels[one.name], progress.coverage.get(one.name, ()), window) for one in searches],
            notes=notes,
        )

    async def step(self, step: VerifyStep) -> VerifiedStep:
        """Compare one window of one search, or as much of it as a step takes.

        Raises what reading and, with repair, committing raise. What polls have read is believed no more than the rest:
        what this reading lets pass and must take back later could not be verified.
        """
        finder = self._ranges.finder(step.account)
        window, whole = check_window(step.window), check_window(Window(step.whole.start, step.whole.end))
        async with finder.turn:
            search, _ = await self._ranges.search(finder, step.search)
            asked = Asked(whole, windows_of_ranges(step.covered))
            comparison = Comparison(finder.feed, self._ranges.store, finder.ingest, asked, clock=self._ranges.clock)
            target = Target(step.account, finder.comparing, search)
            reading = Reading(target, window, whole=whole, progress=FeedProgress(), clock=self._ranges.clock)
            async with aclosing(self._ranges.pages_to_commit(reading) if step.repair else reading.pages()) as pages:
                async for page in pages:
                    await comparison.add(page, repair=step.repair)
        found = comparison.found(search.label, reading.rest)
        logger.info(
            "verify_step_done",
            account=step.account,
            search=search.label,
            start=utc_text(window.start),
            end=utc_text(window.end),
            repaired=found.repaired,
            is_whole=not found.rest,
        )
        return found


def _newest_settled(
    progress: FeedProgress, searches: Sequence[Search], window: Window, now: datetime, overlap: timedelta
) -> datetime:
    """Return where the range ends: of one that ends about now, where the search that lags most has come to.

    Less the overlap: what appears late there is read by the next polls, so that nothing of it is missing yet. A search
    that was never read cuts nothing off: all of it is not yet read.
    """
    least = now - _NEWEST - overlap
    if window.end <= least:
        return window.end
    read = [windows_of(progress.coverage.get(search.name, ())) for search in searches]
    ends = [max(one.end for one in windows) - overlap for windows in read if windows]
    end = max(least, min(ends, default=window.end))
    return min(window.end, end) if end > window.start else window.end


def _plan(search: Search, label: str, spans: Sequence[Span], window: Window) -> SearchPlan:
    covered = merged(windows_of(spans, Cover.READ, Cover.AGED))
    lost = windows_of(spans, Cover.INCOMPLETE, Cover.GAP)
    return SearchPlan(
        name=search.name,
        label=label,
        covered=ranges_of(within(covered, window.start - ONE_SECOND, window.end + ONE_SECOND)),
        not_yet_read=ranges_of(without([window], [*covered, *lost])),
        unverifiable=ranges_of(within(merged(lost), window.start, window.end)),
    )
