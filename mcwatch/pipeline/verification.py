"""Rows that the API shows now, compared with what was recorded, and what is missing recorded where that is asked for.

Without repair the comparison only reads: no event, no count, no coverage, also where nothing can be written.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mcwatch.domain.backfill import ranges_of
from mcwatch.domain.event import Event, EventKind, Message, content_name, prefix
from mcwatch.domain.fingerprint import join_marks, timeless
from mcwatch.domain.identity import Identity
from mcwatch.domain.page import Feed, FinderPage, PageTransaction
from mcwatch.domain.verification import MOST_MISSING, MissingRow, Verdict, VerifiedStep, firmer
from mcwatch.domain.window.coverage import Cover, windows_of
from mcwatch.domain.window.ranges import ONE_SECOND, Window, merged, whole_second, without
from mcwatch.interfaces import Clock, Store
from mcwatch.pipeline.ingest import Decided, Ingest, Ingested, decide_page, ingest_page, unreadable_mark


class Asked:
    """A window that is verified, and what of it had been read before."""

    def __init__(self, window: Window, covered: Iterable[Window]) -> None:
        self.window = window
        self._covered = merged(covered)
        self._is_whole = self._was_read(window)

    def judges(self, at: datetime | None) -> bool:
        """Tell whether a row of this moment must have been recorded.

        What names no moment of the window was found by another one: it must, where all of the window had been read.
        """
        if at is None or not (self._begin <= at < self._end):
            return self._is_whole
        second = whole_second(at)
        return self._was_read(Window(second, second + ONE_SECOND))

    def _was_read(self, window: Window) -> bool:
        before = bisect_right(self._covered, window.start, key=lambda one: one.start)
        return before > 0 and window.end <= self._covered[before - 1].end

    def is_neighbours(self, at: datetime | None) -> bool:
        """Tell whether a row is of the second before or after the window, which answers show as well."""
        if at is None or not (self._begin <= at < self._end):
            return False
        return not self.window.start <= at < self.window.end

    @property
    def _begin(self) -> datetime:
        return self.window.start - ONE_SECOND

    @property
    def _end(self) -> datetime:
        return self.window.end + ONE_SECOND


@dataclass(frozen=True, slots=True)
class Judged:
    """One row of an answer: its fingerprint and the verdict; ``message`` is what it says, None where it is known."""

    mark: bytes
    verdict: Verdict
    message: Message | None = None

    def as_missing(self, search: str) -> MissingRow:
        """Return the row as a report lists it; what could not be decoded has neither time nor status."""
        return MissingRow(
            received_at=self.message.received_at if self.message else None,
            status=self.message.status if self.message else None,
            event_id=self.mark.hex(),
            search=search,
        )


@dataclass(frozen=True, slots=True)
class PageVerdict:
    """What the rows of a page are; ``ingested`` is what became of the missing ones where they were recorded.

    ``reidentified`` of them look like rows that were recorded under another id.
    """

    rows: Sequence[Judged]
    reidentified: int = 0
    ingested: Ingested | None = None


def judge_page(
    transaction: PageTransaction, feed: Feed, page: FinderPage, asked: Asked, observed_at: datetime
) -> PageVerdict:
    """Compare the rows of a page with what was recorded; reads and writes nothing."""
    decided = decide_page(transaction, feed, page, observed_at, None)
    unknown = {mark: event for (mark, _), event in zip(decided.fresh, decided.events, strict=True)}
    missing = _without_their_mail(decided, page.identity)
    judged = []
    for mark, row in zip(decided.fingerprints, page.rows, strict=True):
        event = unknown.get(mark)
        verdict = _verdict(asked, row.received_at, is_known=event is None, is_missing=mark in missing)
        if verdict is not None:
            judged.append(Judged(mark, verdict, None if event is None else event.message))
    judged += _judge_unreadable(transaction, feed, page, asked)
    return PageVerdict(judged, decided.reidentified)


def _verdict(asked: Asked, at: datetime | None, *, is_known: bool, is_missing: bool) -> Verdict | None:
    """Return the verdict about a row; None for one that is its neighbour window's to judge."""
    neighbours = asked.is_neighbours(at)
    if is_known:
        return None if neighbours else Verdict.KNOWN
    if not asked.judges(at):
        return None if neighbours else Verdict.NOT_YET_READ
    return Verdict.MISSING if is_missing else Verdict.CHANGED


def _without_their_mail(decided: Decided, identity: Identity) -> set[bytes]:
    """Return the fingerprints of the rows of whose mail nothing had been recorded.

    A row that would extend a chain which this very page begins is as new as that chain.
    """
    missing = set()
    for (mark, place), event in zip(decided.fresh, decided.events, strict=True):
        if event.kind is EventKind.SEEN or _name(event, identity) not in decided.seconds.at(place).before:
            missing.add(mark)
    return missing


def _name(event: Event, identity: Identity) -> str:
    key = event.message.key
    return content_name(key) if identity is Identity.CONTENT else key


def _judge_unreadable(transaction: PageTransaction, feed: Feed, page: FinderPage, asked: Asked) -> Iterator[Judged]:
    if not page.unreadable:
        return
    feed_prefix = prefix(feed.account, feed.source)
    marks = [unreadable_mark(feed_prefix, row) for row in page.unreadable]
    known = join_marks(transaction.marks({timeless(mark) for mark in marks}).values())
    for mark in marks:
        verdict = _verdict(asked, None, is_known=mark in known, is_missing=True)
        if verdict is not None:
            yield Judged(mark, verdict)


class Comparison:
    """What is found in one window of one search, page by page."""

    def __init__(self, feed: Feed, store: Store, ingest: Ingest, asked: Asked, *, clock: Clock) -> None:
        self._feed = feed
        self._store = store
        self._ingest = ingest
        self._asked = asked
        self._clock = clock
        self._verdicts: dict[bytes, Verdict] = {}
        self._missing: dict[bytes, Judged] = {}
        self._unverifiable: list[Window] = []
        self._repaired = 0
        self._reidentified = 0

    async def add(self, page: FinderPage, *, repair: bool) -> None:
        """Compare a page and, with ``repair``, record what is missing; raises StoreUnavailable with nothing written."""
        observed_at = self._clock.now()

        def work(transaction: PageTransaction) -> PageVerdict:
            judged = judge_page(transaction, self._feed, page, self._asked, observed_at)
            missing = {row.mark for row in judged.rows if row.verdict is Verdict.MISSING}
            if not repair or not missing:
                return judged
            rows = replace(page, cursors={}, covered={})
            return replace(judged, ingested=ingest_page(transaction, self._feed, rows, observed_at, missing))

        ask = self._store.commit_page if repair else self._store.read_page
        found = await ask(self._feed, work)
        if found.ingested is not None:
            self._repaired += found.ingested.counts.received
            self._ingest.announce(found.ingested)
        self._note(found.rows)
        self._reidentified += found.reidentified
        for spans in page.covered.values():
            shown = without(self._unverifiable, windows_of(spans, Cover.READ, Cover.AGED))
            self._unverifiable = shown + windows_of(spans, Cover.INCOMPLETE, Cover.UNREAD)

    def _note(self, rows: Sequence[Judged]) -> None:
        for row in rows:
            self._verdicts[row.mark] = firmer(self._verdicts.get(row.mark), row.verdict)
            if row.verdict is Verdict.MISSING and len(self._missing) < MOST_MISSING:
                self._missing.setdefault(row.mark, row)

    def found(self, label: str, rest: Sequence[Window] = ()) -> VerifiedStep:
        """Return what has been found, of the search that is called ``label``, in all of the window but its ``rest``."""
        marks: dict[Verdict, list[bytes]] = {}
        for mark, verdict in self._verdicts.items():
            marks.setdefault(verdict, []).append(mark)
        return VerifiedStep(
            marks={verdict: b"".join(found) for verdict, found in marks.items()},
            missing=[row.as_missing(label) for row in self._missing.values()],
            unverifiable=ranges_of(without(self._unverifiable, rest)),
            rest=ranges_of(rest),
            repaired=self._repaired,
            reidentified=self._reidentified,
        )
