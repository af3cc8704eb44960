"""The coverage ledger: which ranges of a search were read completely, when, and which never will be.

A range is covered, incomplete or gap; the rest of what is owed is missing (contract, section 7). What the store keeps
is a list of spans per search that never overlap; a new one is laid over them, and knowledge only ever grows: a range
that was read stays read, whatever a later answer shows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mcwatch.domain.window.ranges import Window, within, without

BRIEF_HISTORY = timedelta(days=7)
"""Rejected and deferred mail is shown for so long (reference notes G, lifecycle); other mail for four weeks."""


class Cover(StrEnum):
    """What became of a range.

    ``read``: completely. ``aged``: completely, but first when rejected and deferred mail had left the API's history.
    ``incomplete``: not all of it, for an answer shows no more. ``gap``: not, and it has left the history. ``unread``:
    what was laid there should not have been believed; it is not kept but takes away what is.
    """

    READ = "read"
    AGED = "aged"
    INCOMPLETE = "incomplete"
    GAP = "gap"
    UNREAD = "unread"


_RANK = {Cover.READ: 3, Cover.AGED: 3, Cover.INCOMPLETE: 2, Cover.GAP: 1, Cover.UNREAD: 4}


@dataclass(frozen=True, slots=True)
class Span:
    """A range with what became of it, and when (on the API's clock) that was last found."""

    start: datetime
    end: datetime
    cover: Cover
    at: datetime

    @property
    def window(self) -> Window:
        """The range alone."""
        return Window(self.start, self.end)


def lay(known: Sequence[Span], new: Span) -> list[Span]:
    """Return the ledger with a new span laid over it: it replaces what knows less, and fills what is not known.

    A read that comes too late for rejected and deferred mail is laid as ``aged``, by the moment it was made.
    """
    rank = _RANK[new.cover]
    kept: list[Span] = []
    for span in known:
        if _RANK[span.cover] >= rank:
            kept.append(span)
        else:
            kept += [Span(left.start, left.end, span.cover, span.at) for left in without([span.window], [new.window])]
    if new.cover is not Cover.UNREAD:
        free = without([new.window], [span.window for span in kept])
        kept += [part for window in free for part in _by_age(window, new)]
    return _joined(kept)


def _by_age(window: Window, new: Span) -> list[Span]:
    if new.cover is not Cover.READ:
        return [Span(window.start, window.end, new.cover, new.at)]
    limit = new.at - BRIEF_HISTORY
    aged = [Span(part.start, part.end, Cover.AGED, new.at) for part in within([window], window.start, limit)]
    return aged + [Span(part.start, part.end, Cover.READ, new.at) for part in within([window], limit, window.end)]


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Join neighbours of one kind and day, so that the ledger stays small and still says when."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        before = joined[-1] if joined else None
        if (
            before is not None
            and before.end == span.start
            and before.cover is span.cover
            and before.start.date() == span.start.date()
        ):
            joined[-1] = Span(before.start, span.end, span.cover, max(before.at, span.at))
        else:
            joined.append(span)
    return joined


def windows_of(spans: Iterable[Span], *covers: Cover) -> list[Window]:
    """Return the ranges of these kinds; of every kind when none is named."""
    return [span.window for span in spans if not covers or span.cover in covers]


def missing(spans: Iterable[Span], since: datetime, until: datetime) -> list[Window]:
    """Return what of [since, until) nothing is known of, oldest first: what is still owed."""
    if since >= until:
        return []
    return without([Window(since, until)], windows_of(spans))


def covered_until(spans: Iterable[Span], since: datetime, until: datetime) -> datetime:
    """Return up to where nothing is missing: the oldest moment that is neither covered, incomplete nor gap."""
    owed = missing(spans, since, until)
    return owed[0].start if owed else until
