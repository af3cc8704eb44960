"""Ledgers and times for the tests of windows."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import ONE_SECOND, Window

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

EDGE = datetime(2023, 12, 31, 23, 59, 30, tzinfo=UTC)
"""Half a minute before a year's end, so that small ranges around it cross days."""

LENGTH = 60


def window(start: int, end: int) -> Window:
    """Return the window between two seconds after ``EDGE``."""
    return Window(EDGE + start * ONE_SECOND, EDGE + end * ONE_SECOND)


def span(start: int, end: int, cover: Cover = Cover.READ, at: int = 100) -> Span:
    """Return the span between two seconds after ``EDGE``, found ``at`` so many seconds after it."""
    return Span(EDGE + start * ONE_SECOND, EDGE + end * ONE_SECOND, cover, EDGE + at * ONE_SECOND)


def seconds(windows: list[Window]) -> list[datetime]:
    """Return every second of some windows, as often as it is in them."""
    return [second.start for one in windows for second in one.pieces(ONE_SECOND)]


def _ordered(pair: tuple[int, int]) -> tuple[int, int]:
    start, end = sorted(pair)
    return start, end + 1


BOUNDS = st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).map(_ordered)
WINDOWS = st.lists(BOUNDS.map(lambda pair: window(*pair)), max_size=8)
COVERS = st.sampled_from([Cover.READ, Cover.INCOMPLETE, Cover.GAP, Cover.UNREAD])
SPANS = st.builds(
    lambda pair, cover, at: span(pair[0], pair[1], cover, at),
    BOUNDS,
    COVERS,
    # Found at once, or when rejected mail of a part of the range had left the history.
    st.integers(0, 200) | st.integers(0, LENGTH).map(lambda secs: secs + 7 * 86400),
)
