"""How far the searches have come, and what they will never see: for the reading, the metrics and the log."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from mcwatch.domain.window import Window, whole_second
from mcwatch.mimecast.endpoints import api_time
from mcwatch.sources.base import SourceContext

_MOST_NOTED = 10_000

logger = structlog.get_logger(__name__)


class Coverage:
    """The coverage of one source; ``first`` is how far back a search never read begins."""

    def __init__(self, context: SourceContext, first: timedelta) -> None:
        self._context = context
        self._first = first
        self._begins: dict[str, datetime] = {}
        self._knows_time = False
        self._until: datetime | None = None
        self._gaps_noted_until: dict[str, datetime] = {}
        self._incomplete: dict[tuple[str, datetime], None] = {}

    @property
    def until(self) -> datetime | None:
        """Up to when every search has been read; None before the first poll."""
        return self._until

    def measure(self, reached: Mapping[str, datetime | None]) -> None:
        """Take note of how far each search has been read; one never read counts from where its first poll begins."""
        client = self._context.client
        if client.skew_secs is not None and not self._knows_time:
            self._knows_time = True
            self._begins.clear()  # they were this machine's time, which may have been any
        begin = whole_second(client.server_now()) - self._first
        self._until = min(self._begins.setdefault(name, begin) if at is None else at for name, at in reached.items())
        metrics, account = self._context.metrics, self._context.account
        metrics.finder_coverage_end_timestamp_seconds.labels(account).set(self._until.timestamp())
        # Asked for at each scrape: the lag grows while nothing can be read, and that is when it is looked at.
        metrics.finder_lag_seconds.labels(account).set_function(self._lag_secs)

    def note_gap(self, search: str, gap: Window) -> None:
        """Count and log what can no longer be asked for."""
        # A poll that fails meets the same gap at the next attempt: only what came to it is lost anew.
        start = max(gap.start, self._gaps_noted_until.get(search, gap.start))
        if start >= gap.end:
            return
        self._gaps_noted_until[search] = gap.end
        self._context.metrics.finder_gap_seconds_total.labels(self._context.account).inc(
            (gap.end - start).total_seconds()
        )
        logger.error(
            "finder_gap",
            account=self._context.account,
            search=search,
            start=api_time(start),
            end=api_time(gap.end),
            remedy="the API no longer shows this range; ask Mimecast for an export if it is needed",
        )

    def note_split(self) -> None:
        """Count an answer that was cut short and is asked for again in halves."""
        self._context.metrics.finder_window_splits_total.labels(self._context.account).inc()

    def note_incomplete(self, search: str, second: Window) -> None:
        """Count and log a second that holds more mail than an answer shows; once, though polls come back to it."""
        noted = (search, second.start)
        if noted in self._incomplete:
            return
        self._incomplete[noted] = None
        while len(self._incomplete) > _MOST_NOTED:
            del self._incomplete[next(iter(self._incomplete))]
        self._context.metrics.finder_incomplete_windows_total.labels(self._context.account).inc()
        logger.error(
            "finder_window_incomplete",
            account=self._context.account,
            search=search,
            second=api_time(second.start),
            remedy="more mail in one second than an answer shows: narrow the searches (domains, searches)",
        )

    def note_history(self, search: str, history: timedelta) -> None:
        """Log that the API answers for a shorter time than was expected of it."""
        logger.warning(
            "finder_history_short",
            account=self._context.account,
            search=search,
            history_days=round(history / timedelta(days=1), 2),
            remedy="what is older is not asked for any more; a smaller initial_look_back fits this tenant",
        )

    def _lag_secs(self) -> float:
        covered = self._until
        return 0.0 if covered is None else max(0.0, (self._context.client.server_now() - covered).total_seconds())
