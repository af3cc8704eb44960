"""The coverage of the finder's searches as the status report shows it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from mcwatch.domain.status import RangeStatus, SearchReading, SearchStatus
from mcwatch.domain.window.ranges import Window

_MOST_RANGES = 100


def search_statuses(readings: Iterable[SearchReading], at: datetime) -> list[SearchStatus]:
    """Return how each search stands."""
    return [
        SearchStatus(
            search=one.label,
            since=one.since,
            covered_until=one.covered_until,
            lag_secs=max(0.0, round((at - one.covered_until).total_seconds(), 1)),
            missing=_ranges(one.missing),
            missing_secs=_secs(one.missing),
            gaps=_ranges(one.gaps),
            gap_secs=_secs(one.gaps),
            rejected_gaps=_ranges(one.aged),
            rejected_gap_secs=_secs(one.aged),
            incomplete=_ranges(one.incomplete),
            incomplete_secs=_secs(one.incomplete),
        )
        for one in readings
    ]


def _ranges(windows: Sequence[Window]) -> list[RangeStatus]:
    return [RangeStatus(window.start, window.end) for window in windows[-_MOST_RANGES:]]


def _secs(windows: Sequence[Window]) -> float:
    return sum(window.length.total_seconds() for window in windows)
