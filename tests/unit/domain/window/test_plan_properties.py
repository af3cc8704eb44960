"""Properties of the plan: what is owed and nothing else is asked for, in steps, until nothing is missing."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.window.coverage import Cover, Span, lay, missing
from mcwatch.domain.window.plan import Reach, fresh_window, lost, missed
from mcwatch.domain.window.ranges import ONE_SECOND
from tests.unit.domain.window.ledgers import EDGE, LENGTH, SPANS, seconds, window

pytestmark = pytest.mark.timeout(10)

LENGTHS = st.integers(0, LENGTH + 20).map(lambda secs: secs * ONE_SECOND)
STEPS = st.integers(1, 20).map(lambda secs: secs * ONE_SECOND)
REACHES = st.builds(Reach, overlap=LENGTHS, fresh=LENGTHS, first=LENGTHS, step=STEPS, history=LENGTHS)
NOW = EDGE + (LENGTH + 5) * ONE_SECOND


def ledger_of(spans: list[Span]) -> list[Span]:
    """Return a ledger that holds these spans and no future."""
    ledger: list[Span] = []
    for one in spans:
        ledger = lay(ledger, one)
    return ledger


@given(st.lists(SPANS, max_size=8), REACHES)
def test_every_second_owed_is_asked_for_or_lost(spans: list[Span], reach: Reach) -> None:
    """A second that is owed and missing is in exactly one window of the catch-up, or lost, as the history has it."""
    ledger = ledger_of(spans)
    owed = seconds(missing(ledger, EDGE, NOW))
    windows, gone = list(missed(ledger, EDGE, NOW, reach)), seconds(lost(ledger, EDGE, NOW, reach))
    asked = seconds(windows)
    assert set(owed) <= {*asked, *gone}
    assert not {*asked} & {*gone}
    assert all(second >= NOW - reach.history for second in asked)
    assert all(second < NOW - reach.history for second in gone)
    assert all(timedelta(0) < one.length <= reach.step + reach.overlap for one in windows)
    assert all(missing(ledger, one.start, one.end) for one in windows), "each brings something on"
    assert all(older.start < newer.start for older, newer in pairwise(windows))


@given(st.lists(SPANS, max_size=8), REACHES)
def test_catching_up_comes_to_an_end(spans: list[Span], reach: Reach) -> None:
    """Reading the first window again and again leaves nothing missing within the history, in bounded steps."""
    ledger = ledger_of(spans)
    for _ in range(2 * LENGTH + 10):
        one = next(missed(ledger, EDGE, NOW, reach), None)
        if one is None:
            break
        ledger = lay(ledger, Span(one.start, one.end, Cover.READ, NOW + reach.overlap))
    assert [] == missing(ledger, max(EDGE, NOW - reach.history), NOW)


@given(st.lists(SPANS, max_size=8), REACHES, st.integers(0, LENGTH))
def test_the_fresh_window(spans: list[Span], reach: Reach, later: int) -> None:
    """It ends now, stays within the history, and leaves no second new since the last poll unless that is long ago."""
    now = EDGE + later * ONE_SECOND
    ledger = ledger_of(spans)
    found = fresh_window(ledger, now, reach)
    read_until = max((one.end for one in ledger), default=EDGE)
    newest = max(min(read_until, now), now - reach.fresh, now - reach.history)
    if found is None:
        assert newest - reach.overlap >= now or reach.history == timedelta(0) or newest == now
        return
    assert (now, True) == (found.end, found.start >= now - reach.history)
    assert found.start <= newest
    assert window(0, later).end == found.end
