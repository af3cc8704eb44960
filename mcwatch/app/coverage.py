"""The coverage of the finder's searches as the status report shows it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from mcwatch.domain.status import CoverageStatus, CoverRun, CoverState, RangeStatus, SearchReading, SearchStatus
from mcwatch.domain.window.ranges import Window, whole_second

_MOST_RANGES = 100
_SHOWN = timedelta(days=7)
_MOST_RUNS = 200
_CELL = timedelta(hours=1)
_STATES = tuple(CoverState)
"""The worst first."""


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


def coverage_status(readings: Sequence[SearchReading], at: datetime) -> CoverageStatus | None:
    """Return how the last 7 days stand over all searches; None before the first poll."""
    if not readings:
        return None
    end = whole_second(at)
    start = end - _SHOWN
    runs = _runs(((state, window) for one in readings for state, window in _claims(one, end)), start, end)
    if len(runs) <= _MOST_RUNS:
        return CoverageStatus(start, end, runs)
    return CoverageStatus(start, end, _runs(_cells(runs, start), start, end), int(_CELL.total_seconds()))


def _claims(reading: SearchReading, end: datetime) -> Iterator[tuple[CoverState, Window]]:
    """Yield what a search says of time. Claims may overlap: the worst is believed."""
    yield CoverState.COVERED, Window(reading.since, end)
    kinds = (
        (CoverState.GAP, reading.gaps),
        (CoverState.MISSING, reading.missing),
        (CoverState.INCOMPLETE, reading.incomplete),
        (CoverState.REJECTED_GAP, reading.aged),
    )
    for state, windows in kinds:
        for window in windows:
            yield state, window
    yield CoverState.MISSING, Window(reading.newest or reading.covered_until, end)


def _cells(runs: Iterable[CoverRun], start: datetime) -> Iterator[tuple[CoverState, Window]]:
    """Widen runs to the cells, counted from ``start``, that they touch."""
    for run in runs:
        first = (run.start - start) // _CELL
        last = -((start - run.end) // _CELL)
        yield run.state, Window(start + first * _CELL, start + last * _CELL)


def _runs(claims: Iterable[tuple[CoverState, Window]], start: datetime, end: datetime) -> list[CoverRun]:
    """Sweep over the bounds of all claims once; at each moment the worst open one counts."""
    bounds: list[tuple[datetime, int, int]] = []
    for state, window in claims:
        part = window.clipped(start, end)
        if part is not None:
            rank = _STATES.index(state)
            bounds += [(part.start, rank, 1), (part.end, rank, -1)]
    bounds.sort()
    bounds.append((end, 0, 0))
    opened = [0] * len(_STATES)
    opened[-1] = 1  # before anything was owed: true where no search claims more
    runs: list[CoverRun] = []
    since = start
    for moment, rank, change in bounds:
        if moment > since:
            state = next(_STATES[index] for index, count in enumerate(opened) if count)
            if runs and runs[-1].state is state:
                runs[-1] = CoverRun(runs[-1].start, moment, state)
            else:
                runs.append(CoverRun(since, moment, state))
            since = moment
        opened[rank] += change
    return runs
