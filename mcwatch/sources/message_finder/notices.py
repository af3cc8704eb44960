"""What the message finder tells people: metrics and log lines about splits, incomplete seconds, gaps and lag."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from mcwatch.domain.window.coverage import BRIEF_HISTORY
from mcwatch.domain.window.ranges import Window, without
from mcwatch.mimecast.endpoints import api_time
from mcwatch.sources.base import SourceContext
from mcwatch.sources.message_finder.searches import Search

_MOST_NOTED = 10_000

logger = structlog.get_logger(__name__)


class Notices:
    """The notices of one source. Those about coverage are given once it is committed."""

    def __init__(self, context: SourceContext) -> None:
        self._account = context.account
        self._metrics = context.metrics
        self._incomplete: dict[tuple[str, datetime], None] = {}
        self._gaps: dict[str, tuple[Sequence[Window], Sequence[Window]]] = {}

    def show_coverage(self, until: datetime, lag_secs: Callable[[], float]) -> None:
        """Say up to when every search has been read; the lag is asked for at each scrape, for it grows meanwhile."""
        self._metrics.finder_coverage_end_timestamp_seconds.labels(self._account).set(until.timestamp())
        self._metrics.finder_lag_seconds.labels(self._account).set_function(lag_secs)

    def gaps(self, search: Search, gaps: Sequence[Window], aged: Sequence[Window]) -> None:
        """Count and log what has joined the gaps and the rejected gaps of a search since this was last called for it.

        What is there at the first call was told by the process that found it.
        """
        gaps_before, aged_before = self._gaps.get(search.name, (gaps, aged))
        self._gaps[search.name] = gaps, aged
        self._gap(search, without(gaps, gaps_before))
        self._rejected_gap(search, without(aged, aged_before))

    def _gap(self, search: Search, gaps: Sequence[Window]) -> None:
        """Count and log what can no longer be asked for."""
        self._metrics.finder_gap_seconds_total.labels(self._account).inc(_secs(gaps))
        for gap in gaps:
            logger.error(
                "finder_gap",
                account=self._account,
                search=search.label,
                start=api_time(gap.start),
                end=api_time(gap.end),
                remedy="the API no longer shows this range; ask Mimecast for an export if it is needed",
            )

    def _rejected_gap(self, search: Search, gaps: Sequence[Window]) -> None:
        """Count and log what was read when the API no longer showed all mail of it."""
        self._metrics.finder_rejected_gap_seconds_total.labels(self._account).inc(_secs(gaps))
        for gap in gaps:
            logger.error(
                "finder_rejected_gap",
                account=self._account,
                search=search.label,
                start=api_time(gap.start),
                end=api_time(gap.end),
                remedy=f"rejected and deferred mail of this range left the API after {BRIEF_HISTORY.days} days; "
                "all other mail of it was read",
            )

    def split(self) -> None:
        """Count an answer that was cut short and is asked for again in halves."""
        self._metrics.finder_window_splits_total.labels(self._account).inc()

    def incomplete(self, search: Search, second: Window) -> None:
        """Count and log a second that holds more mail than an answer shows; once, though polls come back to it."""
        noted = (search.name, second.start)
        if noted in self._incomplete:
            return
        self._incomplete[noted] = None
        while len(self._incomplete) > _MOST_NOTED:
            del self._incomplete[next(iter(self._incomplete))]
        self._metrics.finder_incomplete_windows_total.labels(self._account).inc()
        logger.error(
            "finder_window_incomplete",
            account=self._account,
            search=search.label,
            second=api_time(second.start),
            remedy="more mail in one second than an answer shows; it is tried again by route and status, and narrower "
            "searches (domains, searches) help",
        )

    def totals(self, search: Search) -> None:
        """Log that the number of rows the API claims is not that of the window."""
        logger.warning(
            "finder_totals_ignored",
            account=self._account,
            search=search.label,
            remedy="totalCount is the same for every window: whether an answer was cut is told by its pages alone",
        )

    def history(self, search: Search, history: timedelta) -> None:
        """Log that the API answers for a shorter time than was expected of it."""
        logger.warning(
            "finder_history_short",
            account=self._account,
            search=search.label,
            history_days=round(history / timedelta(days=1), 2),
            remedy="what is older is not asked for any more; a smaller initial_look_back fits this tenant",
        )


def _secs(windows: Sequence[Window]) -> float:
    return sum(window.length.total_seconds() for window in windows)
