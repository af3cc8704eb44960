"""The promise of the rescans: every second of the look-back is looked at again within each period."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcwatch.domain.window.ranges import ONE_SECOND, Window
from mcwatch.domain.window.rescan import Tier, TierTurns
from tests.unit.domain.window.ledgers import EDGE

pytestmark = pytest.mark.timeout(10)

SECOND_COUNTS = st.integers(1, 400)


@st.composite
def rounds_of(draw: st.DrawFn) -> TierTurns:
    """Draw a tier that asks for no more than its polls can give."""
    interval = draw(st.integers(1, 60))
    every = draw(st.integers(4 * interval, 40 * interval))
    look_back, step = draw(st.integers(1, 20 * every)), draw(st.integers(1, 10 * every))
    step = max(step, -(-look_back // 40))
    return TierTurns(Tier(every * ONE_SECOND, look_back * ONE_SECOND), interval * ONE_SECOND, step * ONE_SECOND)


@dataclass
class Visits:
    """Polls that take every turn that is due, one after the other, and remember when each was visited."""

    turns: TierTurns
    taken_until: datetime

    def poll(self, now: datetime) -> list[Window]:
        """Take all turns that are due; return what was read."""
        windows = []
        for turn in self.turns.due(self.taken_until, now):
            assert self.taken_until < turn.at <= now
            windows += turn.windows
            self.taken_until = turn.at
        assert all(now - self.turns.tier.look_back <= one.start < one.end <= now for one in windows)
        return windows


@given(rounds_of(), st.data())
@settings(max_examples=60, deadline=None)
def test_no_second_waits_longer_than_a_period(turns: TierTurns, data: st.DataObject) -> None:
    """Between two looks at a second within the look-back, and before its first one, no more than ``every`` passes.

    Polls come up to one interval late, each by another time.
    """
    interval, every = int(turns.interval.total_seconds()), int(turns.tier.every.total_seconds())
    look_back = int(turns.tier.look_back.total_seconds())
    visits, at = Visits(turns, EDGE), 0
    ages = data.draw(st.lists(st.integers(-2 * every, look_back), min_size=1, max_size=4))
    watched = {EDGE - age * ONE_SECOND: EDGE for age in ages}
    while at < 3 * every:
        at += interval + data.draw(st.integers(0, interval))
        now = EDGE + at * ONE_SECOND
        windows = visits.poll(now)
        for second, seen_at in watched.items():
            if any(one.start <= second < one.end for one in windows):
                watched[second] = now
            elif now - turns.tier.look_back <= second < now:
                # Before its first look a second waits from when it came to be.
                assert now - max(seen_at, second) <= turns.tier.every


@given(rounds_of(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_poll_after_any_stop_is_bounded(turns: TierTurns, stop: int, at: int) -> None:
    """After however long a stop no second is due twice, and all of the look-back is due after a whole period."""
    now = EDGE + at * ONE_SECOND
    windows = sorted(one for turn in turns.due(now - stop * ONE_SECOND, now) for one in turn.windows)
    assert all(older.end <= newer.start for older, newer in pairwise(windows))
    if stop * ONE_SECOND >= turns.period:
        assert turns.tier.look_back == sum((one.length for one in windows), timedelta(0))


@given(rounds_of(), st.lists(st.integers(1, 10**5), min_size=1, max_size=8), st.integers(0, 10**5))
@settings(deadline=None)
def test_how_turns_are_cut_into_polls_does_not_matter(turns: TierTurns, steps: list[int], at: int) -> None:
    """Between two moments less than a period apart the same turns are due, whatever polls lie between."""
    begin = EDGE + at * ONE_SECOND
    total = sum(steps)
    length = turns.period * 0.99
    moments, passed = [], 0
    for step in steps:
        passed += step
        moments.append(begin + length * passed / total)
    once = [turn.at for turn in turns.due(begin, moments[-1])]
    visits, seen = Visits(turns, begin), []
    for moment in moments:
        before = visits.taken_until
        visits.poll(moment)
        seen += [turn.at for turn in turns.due(before, moment)]
    kept = [moment for moment in once if moment in seen]
    assert kept == once
    assert len(seen) == len(set(seen))


@given(rounds_of(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_every_turn_that_is_due_can_be_finished(turns: TierTurns, stop: int, at: int) -> None:
    """Any turn that is due is found again by its moment alone, with the same windows."""
    now = EDGE + at * ONE_SECOND
    for turn in islice(turns.due(now - stop * ONE_SECOND, now), 5):
        assert turn == turns.begun(turn.at, now)
