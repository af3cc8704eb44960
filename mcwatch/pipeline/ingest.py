"""Pages in: what a page's transaction reads, decides and writes.

The work runs on the store's thread, whole and once per page; nothing here waits. It may run twice (when a commit shared
with other work had to be undone), so it changes nothing outside its transaction.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mcwatch.domain.event import Event, Stay, encode_lines, finder_fingerprints, fingerprint, prefix
from mcwatch.domain.fingerprint import join_marks, second_of, seconds_of, timeless
from mcwatch.domain.lifecycle.finder import Seconds, decide, unknown
from mcwatch.domain.lifecycle.queue import (
    Changes,
    QueueRule,
    entry_key,
    merge_visits,
    read_snapshot,
    read_visits,
)
from mcwatch.domain.page import Feed, FinderPage, Page, PageCounts, PageTransaction, QueuePage
from mcwatch.domain.record import Unreadable
from mcwatch.interfaces import Clock, Store
from mcwatch.pipeline.cache import LineCache
from mcwatch.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a page became. ``lines`` are the events appended from ``first_offset`` on, native JSON."""

    counts: PageCounts
    kinds: dict[str, int] = field(default_factory=dict)
    left: Sequence[Stay] = ()
    first_offset: int = 0
    lines: bytes = b""


class Ingest:
    """Commits the pages of one feed."""

    def __init__(self, feed: Feed, store: Store, cache: LineCache, *, clock: Clock, metrics: Metrics) -> None:
        self._feed = feed
        self._store = store
        self._cache = cache
        self._clock = clock
        self._metrics = metrics

    async def commit(self, page: Page) -> Ingested:
        """Decide and commit one page; raises StoreUnavailable with nothing written."""
        observed_at = self._clock.now()

        def work(transaction: PageTransaction) -> Ingested:
            return ingest_page(transaction, self._feed, page, observed_at)

        outcome = await self._store.commit_page(self._feed, work)
        if outcome.lines:
            self._cache.put(self._feed.account_id, outcome.first_offset, outcome.lines.split(b"\n")[:-1])
        for kind, count in outcome.kinds.items():
            self._metrics.events_total.labels(self._feed.account, kind).inc(count)
        for stay in outcome.left:
            self._metrics.queue_dwell_seconds.labels(self._feed.account, stay.type).observe(stay.dwell_secs)
        return outcome


def ingest_page(transaction: PageTransaction, feed: Feed, page: Page, observed_at: datetime) -> Ingested:
    """Do everything a page does to the store."""
    feed_prefix = prefix(feed.account, feed.source)
    bad = _quarantine(transaction, feed_prefix, page.unreadable, observed_at)
    repeated = len(page.unreadable) - bad
    if isinstance(page, FinderPage):
        events = _finder_events(transaction, feed, page, feed_prefix, observed_at)
        counts = PageCounts(len(events), len(page.rows) - len(events) + repeated, bad)
        left: Sequence[Stay] = ()
    else:
        events, left, new = _queue_events(transaction, feed, page, feed_prefix, observed_at)
        counts = PageCounts(new, len(page.rows) - new + repeated, bad)
    transaction.count(counts)
    if not events:
        return Ingested(counts)
    lines = encode_lines(events)
    first_offset = transaction.append(lines, len(events), observed_at)
    return Ingested(counts, Counter(str(event.kind) for event in events), left, first_offset, lines)


def _finder_events(
    transaction: PageTransaction, feed: Feed, page: FinderPage, feed_prefix: str, observed_at: datetime
) -> list[Event]:
    for name, value in page.cursors.items():
        transaction.set_cursor(name, value)
    fingerprints = finder_fingerprints(feed_prefix, page.rows)
    numbers = seconds_of(page.rows, fingerprints)
    marks = transaction.marks(set(numbers))
    fresh = unknown(page.rows, fingerprints, numbers, marks.values())
    if not fresh:
        return []
    # Chains are read only for seconds that hold something: those of a page of new mail are mostly new themselves.
    chains = transaction.chains({second for _, second, _ in fresh} & marks.keys())
    seconds = Seconds(marks, chains)
    events = decide(fresh, seconds, feed.account, observed_at)
    transaction.remember(seconds.changed())
    return events


def _queue_events(
    transaction: PageTransaction, feed: Feed, page: QueuePage, feed_prefix: str, observed_at: datetime
) -> tuple[list[Event], Sequence[Stay], int]:
    """Return (events, stays that ended, rows that were new)."""
    cursor = f"queue:{page.queue}"
    rule = QueueRule(feed_prefix, feed.account, page.queue, read_snapshot(transaction.cursor(cursor)), observed_at)
    # An entry may stand in a page more than once, in one state or in several: each is looked at.
    rows = [(entry_key(feed_prefix, page.queue, row), row) for row in page.rows]
    live = transaction.stays(page.queue, {key for key, _ in rows})
    strangers = {key: row for key, row in rows if key not in live}
    visits = read_visits(transaction.chains({second_of(row, key) for key, row in strangers.items()}), strangers)
    changes = rule.decide_rows(rows, live, visits)
    _apply(transaction, page.queue, changes)
    if page.present is None:
        return changes.events, (), len(changes.events)
    gone = rule.decide_absent(transaction.absent_stays(page.queue, page.present), page.gone_after)
    _apply(transaction, page.queue, gone)
    transaction.set_cursor(cursor, rule.completed())
    return changes.events + gone.events, gone.left, len(changes.events)


def _apply(transaction: PageTransaction, queue: str, changes: Changes) -> None:
    if changes.keep:
        transaction.keep_stays(queue, changes.keep)
    if changes.drop:
        transaction.drop_stays(queue, changes.drop)
    if changes.visits:
        places = changes.visits.keys()
        transaction.remember(merge_visits(transaction.chains(places), transaction.marks(places), changes.visits))


def _quarantine(
    transaction: PageTransaction, feed_prefix: str, rows: Sequence[Unreadable], observed_at: datetime
) -> int:
    """Keep the undecodable rows not seen before, known by their bytes; return how many that were."""
    if not rows:
        return 0
    by_mark = {fingerprint(feed_prefix, "!", row.raw.hex()): row for row in rows}
    places = {timeless(mark) for mark in by_mark}
    marks, chains = transaction.marks(places), transaction.chains(places)
    known = join_marks(marks.values())
    fresh = {mark: row for mark, row in by_mark.items() if mark not in known}
    for mark in fresh:
        place = timeless(mark)
        marks[place] = marks.get(place, b"") + mark
    transaction.remember((place, marks[place], chains.get(place, b"")) for place in {timeless(mark) for mark in fresh})
    transaction.quarantine(list(fresh.values()), observed_at)
    return len(fresh)
