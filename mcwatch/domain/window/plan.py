"""Which windows to ask for: what is new, and what has been missed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcwatch.domain.window.coverage import Cover, Span, missing, windows_of
from mcwatch.domain.window.ranges import Window, merged


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a search looks.

    ``overlap`` is how far each poll looks back again, ``fresh`` how long what is new may be before it counts as missed,
    ``first`` how far the very first poll looks back, ``step`` the widest window, ``history`` how far back the API
    answers.
    """

    overlap: timedelta
    fresh: timedelta
    first: timedelta
    step: timedelta
    history: timedelta


def fresh_window(spans: Sequence[Span], now: datetime, reach: Reach) -> Window | None:
    """Return what to read first: from the newest moment read, less the overlap, until now.

    After a stop it begins no farther back than ``reach.fresh`` and the overlap: the newest mail does not wait for the
    rest, which is missing then. None only where the API's clock stands at the beginning of its history.
    """
    read_until = max((window.end for window in windows_of(spans)), default=None)
    recent = now - reach.fresh
    begin = recent if read_until is None else max(min(read_until, now), recent)
    start = max(begin - reach.overlap, now - reach.history)
    return Window(start, now) if start < now else None


def missed(spans: Sequence[Span], since: datetime, now: datetime, reach: Reach) -> Iterator[Window]:
    """Yield the windows to catch up on, oldest first, in steps, all within the history.

    Where reading stopped before rows that appear late could show, the overlap is read again as well: in one window with
    the first step, for by itself it brings nothing on and would be chosen for ever.
    """
    oldest = now - reach.history
    for hole in missing(spans, since, now):
        start = max(_with_overlap(hole, spans, reach), oldest)
        for piece in Window(max(hole.start, oldest), hole.end).pieces(reach.step):
            yield Window(min(start, piece.start), piece.end)
            start = piece.end


def _with_overlap(hole: Window, spans: Sequence[Span], reach: Reach) -> datetime:
    """Return where to begin: earlier, when what lies before the hole was read while its late rows were yet to come."""
    for span in spans:
        if span.end == hole.start and span.cover is Cover.READ and span.at < span.end + reach.overlap:
            return max(span.start, hole.start - reach.overlap)
    return hole.start


def lost(spans: Sequence[Span], since: datetime, now: datetime, reach: Reach) -> list[Window]:
    """Return what has left the API's history before it was read."""
    return missing(spans, since, min(now - reach.history, now))


def not_believed(spans: Sequence[Span], now: datetime, doubt: timedelta) -> list[Window]:
    """Return what a wrong clock wrote into the ledger: claims of a time that has not come, and gaps found in it.

    Nothing is said of a time less than ``doubt`` ahead: clocks differ by as much.
    """
    wrong = [span for span in spans if span.cover is Cover.GAP and span.at > now + doubt]
    if any(span.end > now + doubt for span in spans):
        wrong += [Span(max(span.start, now), span.end, span.cover, span.at) for span in spans if span.end > now]
    return merged(span.window for span in wrong)
