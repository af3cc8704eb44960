"""The bookkeeping of a batch: any shape of fates leads to the right positions and counts."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.delivery import Batch, Refusal
from mcwatch.domain.errors import FailureReason
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.pipeline.flights import Flights
from mcwatch.pipeline.inflight import InFlight, Segment
from tests.contract.store_kit import native, numbers_of

_NO = Refusal(FailureReason.REFUSED, "no")


def _segment(account: int, position: int, count: int, wanted: Sequence[int] | None = None) -> Segment:
    return Segment(account, position, count, range(count) if wanted is None else wanted, 100.0 - account)


def _queued(*segments: Segment) -> tuple[InFlight, Flights]:
    lines = [native(segment.position + index) for segment in segments for index in segment.wanted]
    inflight = InFlight(segments, Batch(lines, lines))
    flights = Flights("hook", {segment.account_id: segment.position for segment in segments})
    flights.add(inflight)
    return inflight, flights


def _settled(flights: Flights) -> Settlement:
    settlement = flights.settlement()
    assert settlement is not None
    assert settlement == flights.settlement(), "asked again before it was committed"
    flights.settled(settlement)
    return settlement


def test_accepted_whole() -> None:
    """A batch accepted as a whole moves every account's position behind its events."""
    inflight, flights = _queued(_segment(1, 10, 3), _segment(2, 0, 2))
    assert list(range(5)) == inflight.open()
    inflight.accept_all()
    assert inflight.is_done
    settlement = flights.settlement()
    assert settlement is not None
    assert [Progress(1, 13, 3, 0), Progress(2, 2, 2, 0)] == settlement.progress
    assert 98.0 == flights.settled(settlement)
    assert flights.settlement() is None


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ([], None),
        ([1, 2], None),
        ([0], Progress(1, 1, 1, 0)),
        ([0, 1], Progress(1, 2, 2, 0)),
        ([0, 2], Progress(1, 1, 1, 0)),
    ],
)
def test_position_stops_at_the_first_open_event(accepted: list[int], expected: Progress | None) -> None:
    """A position never passes an event whose fate is open, whatever became of those behind it."""
    inflight, flights = _queued(_segment(1, 0, 3))
    inflight.accept(accepted)
    settlement = flights.settlement()
    assert expected == (settlement.progress[0] if settlement else None)
    assert bool(accepted) == inflight.is_begun
    assert [index for index in range(3) if index not in accepted] == inflight.open()


def test_second_settlement_counts_only_what_is_new() -> None:
    """What one settlement has counted the next one does not count again, dead letters included."""
    inflight, flights = _queued(_segment(1, 0, 4))
    inflight.refuse(0, _NO)
    inflight.accept([1, 3])
    first = _settled(flights)
    assert [Progress(1, 2, 1, 0)] == first.progress
    assert [f"{0:032x}"] == [one.event_id for one in first.rejected]
    inflight.accept([2])
    second = _settled(flights)
    assert [Progress(1, 4, 2, 0)] == second.progress
    assert () == tuple(second.rejected)


def test_events_not_selected_are_passed() -> None:
    """Events nobody wants are counted as such and passed with the wanted ones before and behind them."""
    inflight, flights = _queued(_segment(1, 0, 6, [2, 4]))
    before = _settled(flights)
    assert [Progress(1, 2, 0, 2)] == before.progress
    inflight.accept([0])
    assert [Progress(1, 4, 1, 1)] == _settled(flights).progress
    inflight.accept([1])
    assert [Progress(1, 6, 1, 1)] == _settled(flights).progress


def test_nothing_selected_is_done_at_once() -> None:
    """A batch with nothing selected has nothing open and passes everything."""
    inflight, flights = _queued(_segment(1, 5, 3, []))
    assert inflight.is_done
    assert [Progress(1, 8, 0, 3)] == _settled(flights).progress


def test_dead_letter_names_its_account_and_event() -> None:
    """A refusal in the second account is kept with that account, its event and the receiver's words."""
    inflight, flights = _queued(_segment(1, 0, 2), _segment(2, 50, 2))
    inflight.accept([0, 1, 2])
    inflight.refuse(3, _NO)
    (letter,) = _settled(flights).rejected
    assert (2, f"{51:032x}", FailureReason.REFUSED, "no", native(51)) == (
        letter.account_id,
        letter.event_id,
        letter.reason,
        letter.detail,
        letter.native,
    )


_FATES = st.lists(
    st.lists(st.tuples(st.booleans(), st.sampled_from("oar")), min_size=1, max_size=8), min_size=1, max_size=3
)


@given(_FATES)
def test_every_shape_adds_up(shape: list[list[tuple[bool, str]]]) -> None:
    """For any mixture of fates and gaps: what is passed is what is counted, and nothing open is passed."""
    segments = [
        _segment(account, 0, len(events), [at for at, (wanted, _) in enumerate(events) if wanted])
        for account, events in enumerate(shape)
    ]
    inflight, flights = _queued(*segments)
    fates = [fate for events in shape for wanted, fate in events if wanted]
    totals = {account: Progress(account, 0, 0, 0) for account in range(len(shape))}
    letters: list[tuple[int, int]] = []
    for last in (False, True):
        for index, fate in enumerate(fates):
            if fate == "a" or (last and fate == "o"):
                inflight.accept([index])
            elif fate == "r":
                inflight.refuse(index, _NO)
        settlement = flights.settlement()
        if settlement:
            flights.settled(settlement)
        for step in settlement.progress if settlement else ():
            before = totals[step.account_id]
            totals[step.account_id] = Progress(
                step.account_id,
                step.position,
                before.delivered + step.delivered,
                before.not_selected + step.not_selected,
            )
        rejected = settlement.rejected if settlement else ()
        letters += [(one.account_id, numbers_of([one.native])[0]) for one in rejected]
        for account, events in enumerate(shape):
            total = totals[account]
            refused = sum(1 for where, _ in letters if where == account)
            assert total.position == total.delivered + total.not_selected + refused
            passed = events[: total.position]
            assert last or not any(wanted and fate == "o" for wanted, fate in passed)
            stop = next((at for at, (wanted, fate) in enumerate(events) if wanted and fate == "o"), len(events))
            assert total.position == (len(events) if last else stop)
    expected = [
        (account, at) for account, events in enumerate(shape) for at, (wanted, fate) in enumerate(events)
        if wanted and fate == "r"
    ]  # fmt: skip
    assert expected == sorted(letters)
    assert inflight.is_done
