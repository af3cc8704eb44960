"""Pages in: what a page's transaction reads, decides and writes.

The work runs on the store's thread, whole and once per page; nothing here waits. It may run twice (when a commit shared
with other work had to be undone), so it changes nothing outside its transaction.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mcwatch.domain.event import Event, EventKind, Stay, encode_lines, finder_fingerprints, fingerprint, prefix
from mcwatch.domain.fingerprint import TIMELESS, join_marks, second_of, seconds_of, timeless
from mcwatch.domain.identity import Identity
from mcwatch.domain.lifecycle.content import NumberedRow, decide_by_content, number_rows, unknown_rows
from mcwatch.domain.lifecycle.finder import Seconds, count_reidentified, decide, unknown
from mcwatch.domain.lifecycle.queue import (
    Changes,
    QueueRule,
    entry_key,
    merge_visits,
    read_snapshot,
    read_visits,
    snapshot_name,
    stay_of,
)
from mcwatch.domain.page import Feed, FinderPage, Page, PageCounts, PageTransaction, QueuePage
from mcwatch.domain.passage import link, mail_of, places_near, places_of
from mcwatch.domain.record import Unreadable
from mcwatch.domain.window.coverage import Span, lay
from mcwatch.interfaces import Clock, Store
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.tap import Tap
from mcwatch.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a page became. ``lines`` are the events appended from ``first_offset`` on, native JSON.

    ``reread`` rows of the finder had been read before, ``reidentified`` ones of them under another id; both are 0 where
    rows are known by content.
    """

    counts: PageCounts
    kinds: dict[str, int] = field(default_factory=dict)
    left: Sequence[Stay] = ()
    first_offset: int = 0
    lines: bytes = b""
    reread: int = 0
    reidentified: int = 0


class Ingest:
    """Commits the pages of one feed. Without ``tap`` nobody can watch what is committed."""

    def __init__(
        self, feed: Feed, store: Store, cache: LineCache, *, clock: Clock, metrics: Metrics, tap: Tap | None = None
    ) -> None:
        self._feed = feed
        self._store = store
        self._cache = cache
        self._clock = clock
        self._metrics = metrics
        self._tap = tap or Tap()

    async def commit(self, page: Page) -> Ingested:
        """Decide and commit one page; raises StoreUnavailable with nothing written."""
        observed_at = self._clock.now()

        def work(transaction: PageTransaction) -> Ingested:
            return ingest_page(transaction, self._feed, page, observed_at)

        outcome = await self._store.commit_page(self._feed, work)
        self.announce(outcome)
        return outcome

    def announce(self, outcome: Ingested) -> None:
        """Tell cache, metrics and whoever watches what a committed page became."""
        if outcome.lines:
            self._tap.put(self._feed, outcome.first_offset, outcome.lines)
            self._cache.put(self._feed.account_id, outcome.first_offset, outcome.lines.split(b"\n")[:-1])
        for kind, count in outcome.kinds.items():
            self._metrics.events_total.labels(self._feed.account, kind).inc(count)
        if outcome.reidentified:
            self._metrics.finder_reidentified_rows_total.labels(self._feed.account).inc(outcome.reidentified)
        for stay in outcome.left:
            self._metrics.queue_dwell_seconds.labels(self._feed.account, stay.type).observe(stay.dwell_secs)


@dataclass(frozen=True, slots=True)
class Decided:
    """What the rows of a finder page are, before anything is written.

    ``fingerprints`` are those of all rows, in their order. ``events`` are the rows that are not known, of which
    ``fresh`` are the fingerprints and the places they are kept in; ``seconds`` is what these places hold.
    """

    fingerprints: Sequence[bytes]
    fresh: Sequence[tuple[bytes, int]] = ()
    events: Sequence[Event] = ()
    seconds: Seconds = field(default_factory=lambda: Seconds({}, {}))
    reidentified: int = 0
    """Rows that had been read under another id."""


def ingest_page(
    transaction: PageTransaction, feed: Feed, page: Page, observed_at: datetime, only: Collection[bytes] | None = None
) -> Ingested:
    """Do everything a page does to the store.

    ``only`` names fingerprints of a finder page: its other rows are neither recorded nor counted.
    """
    feed_prefix = prefix(feed.account, feed.source)
    bad = _quarantine(transaction, feed_prefix, page.unreadable, observed_at, only)
    repeated = len(page.unreadable) - bad
    left: Sequence[Stay] = ()
    reread = reidentified = 0
    events: Sequence[Event]
    if isinstance(page, QueuePage):
        events, left, new = _queue_events(transaction, feed, page, feed_prefix, observed_at)
    else:
        for name, value in page.cursors.items():
            transaction.set_cursor(name, value)
        _cover(transaction, page.covered)
        decided = decide_page(transaction, feed, page, observed_at, only)
        events = decided.events
        if events:
            transaction.remember(decided.seconds.changed())
            _link(transaction, events, [second for _, second in decided.fresh])
        if page.identity is not Identity.CONTENT:
            reidentified = decided.reidentified
            reread = len(page.rows) - len(events) + reidentified
        new = len(events)
    counts = PageCounts(new, 0 if only is not None else len(page.rows) - new + repeated, bad)
    transaction.count(counts)
    read = Ingested(counts, left=left, reread=reread, reidentified=reidentified)
    if not events:
        return read
    lines = encode_lines(events)
    first_offset = transaction.append(lines, len(events), observed_at)
    kinds = Counter(str(event.kind) for event in events)
    return replace(read, kinds=kinds, first_offset=first_offset, lines=lines)


def decide_page(
    transaction: PageTransaction, feed: Feed, page: FinderPage, observed_at: datetime, only: Collection[bytes] | None
) -> Decided:
    """Say what the rows of a finder page are; reads and writes nothing. ``only`` as in :func:`ingest_page`."""
    feed_prefix = prefix(feed.account, feed.source)
    if page.identity is Identity.CONTENT:
        return _decide_by_content(transaction, feed, number_rows(feed_prefix, page.rows), observed_at, only)
    fingerprints = finder_fingerprints(feed_prefix, page.rows)
    numbers = seconds_of(page.rows, fingerprints)
    marks = transaction.marks(set(numbers))
    fresh = unknown(page.rows, fingerprints, numbers, marks.values())
    if only is not None:
        fresh = [one for one in fresh if one[0] in only]
    if not fresh:
        return Decided(fingerprints)
    # Chains are read only for seconds that hold something: those of a page of new mail are mostly new themselves.
    chains = transaction.chains({second for _, second, _ in fresh} & marks.keys())
    seconds = Seconds(marks, chains)
    events = decide(fresh, seconds, feed.account, observed_at)
    reidentified = count_reidentified(page.rows, fresh, events, seconds) if chains else 0
    return Decided(fingerprints, [one[:2] for one in fresh], events, seconds, reidentified)


def _decide_by_content(
    transaction: PageTransaction,
    feed: Feed,
    rows: Sequence[NumberedRow],
    observed_at: datetime,
    only: Collection[bytes] | None,
) -> Decided:
    fingerprints = [row.mark for row in rows]
    marks = transaction.marks({row.second for row in rows})
    fresh = unknown_rows(rows, marks.values())
    if only is not None:
        fresh = [row for row in fresh if row.mark in only]
    if not fresh:
        return Decided(fingerprints)
    seconds = Seconds(marks, transaction.chains({row.second for row in fresh} & marks.keys()))
    events = decide_by_content(fresh, seconds, feed.account, observed_at)
    return Decided(fingerprints, [(row.mark, row.second) for row in fresh], events, seconds)


def _link(transaction: PageTransaction, events: Sequence[Event], seconds: Sequence[int]) -> None:
    """Give each event of a mail seen first, where it is certain, the stay in which the queue has shown that mail.

    ``seconds`` are those of the events, one each. An account whose queue was empty around them costs one question.
    """
    times = [second for second in set(seconds) if second < TIMELESS]
    if not times:
        return
    around = places_near(min(times) * 1000, max(times) * 1000 + 999)
    if not transaction.has_passages(around[0], around[-1]):
        return
    seen = [
        mail_of(event.message, at, second)
        for at, (event, second) in enumerate(zip(events, seconds, strict=True))
        if event.kind is EventKind.SEEN
    ]
    mails = [mail for mail in seen if mail is not None]
    links = link(mails, transaction.passages(places_of(mails)))
    for at, kept in links.by_mail.items():
        events[at].queue = stay_of(kept)
    transaction.take_passages(links.taken)


def _cover(transaction: PageTransaction, covered: Mapping[str, Sequence[Span]]) -> None:
    for search, spans in covered.items():
        for span in spans:
            known = transaction.spans(search, span.window)
            after = lay(known, span)
            if after != known:
                transaction.replace_spans(search, span.window, after)


def _queue_events(
    transaction: PageTransaction, feed: Feed, page: QueuePage, feed_prefix: str, observed_at: datetime
) -> tuple[list[Event], Sequence[Stay], int]:
    """Return (events, stays that ended, rows that were new)."""
    cursor = snapshot_name(page.queue)
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
    if changes.passages:
        transaction.keep_passages(changes.passages)
    if changes.drop:
        transaction.drop_stays(queue, changes.drop)
    if changes.visits:
        places = changes.visits.keys()
        transaction.remember(merge_visits(transaction.chains(places), transaction.marks(places), changes.visits))


def unreadable_mark(feed_prefix: str, row: Unreadable) -> bytes:
    """Return the fingerprint of an undecodable row, which is known by its bytes."""
    return fingerprint(feed_prefix, "!", row.raw.hex())


def _quarantine(
    transaction: PageTransaction,
    feed_prefix: str,
    rows: Sequence[Unreadable],
    observed_at: datetime,
    only: Collection[bytes] | None,
) -> int:
    """Keep the undecodable rows not seen before; return how many that were."""
    if not rows:
        return 0
    by_mark = {unreadable_mark(feed_prefix, row): row for row in rows}
    if only is not None:
        by_mark = {mark: row for mark, row in by_mark.items() if mark in only}
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
