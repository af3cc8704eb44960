"""One pass over a batch: who is at fault is found, and nobody is blamed without a witness."""

import pytest

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Refusal, Verdicts
from mcwatch.domain.errors import AuthError, FailureReason, MisconfiguredError, PermanentError, TransientError
from mcwatch.pipeline.delivery import MASS_REFUSAL, Delivery, MassRefusalError, Streak, UnprovenRefusalError
from mcwatch.pipeline.inflight import InFlight, Segment
from tests.contract.store_kit import native, numbers_of
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import refused, retry, sent
from tests.unit.pipeline.queued import settlement_of


class _PoisonedSink(FakeSink):
    """A sink that refuses any batch holding one of the poisonous events, without saying which."""

    def __init__(self, *poison: int) -> None:
        super().__init__()
        self.poison = set(poison)

    async def deliver(self, batch: Batch) -> Verdicts:
        if self.poison & set(numbers_of(batch.native)):
            self.batches.append(batch)
            raise PermanentError("not with me", reason=FailureReason.TOO_LARGE, detail="said the receiver")
        return await super().deliver(batch)


class _NamingSink(FakeSink):
    """A sink that names the first event of whatever it is given, and takes none."""

    async def deliver(self, batch: Batch) -> Verdicts:
        self.batches.append(batch)
        return Verdicts(refused(0).refused, frozenset(range(1, len(batch))))


def _inflight(count: int) -> InFlight:
    natives = [native(number) for number in range(count)]
    return InFlight([Segment(1, 0, count, range(count), 0.0)], Batch(natives, natives))


def _letters(inflight: InFlight) -> dict[int, str]:
    settlement = settlement_of(inflight)
    return {numbers_of([one.native])[0]: one.detail for one in settlement.rejected} if settlement else {}


@pytest.mark.parametrize("poison", [[0], [99], [37], [0, 50, 99], [41, 42], list(range(20, 29))])
async def test_halving_finds_the_poison(poison: list[int]) -> None:
    """The events at fault become dead letters with the receiver's words, all others arrive once and in order."""
    sink, inflight = _PoisonedSink(*poison), _inflight(101)
    delivery = Delivery(sink, inflight, Streak())
    await delivery.run()
    assert inflight.is_done
    assert dict.fromkeys(poison, "not with me: said the receiver") == _letters(inflight)
    assert [number for number in range(101) if number not in poison] == numbers_of(sink.accepted)
    assert len(sink.batches) == delivery.requests <= 2 * 7 * len(poison) + 1


async def test_lone_refusal_is_not_final() -> None:
    """An event refused while nothing else was accepted is no dead letter: the destination may be at fault."""
    sink, inflight = _PoisonedSink(0), _inflight(1)
    with pytest.raises(UnprovenRefusalError):
        await Delivery(sink, inflight, Streak()).run()
    assert not inflight.is_begun
    assert settlement_of(inflight) is None


async def test_acceptance_before_a_refusal_proves_nothing() -> None:
    """A destination that accepts one event and then breaks is down: what it refuses afterwards is not given up."""
    sink, inflight = _PoisonedSink(*range(1, 500)), _inflight(500)
    with pytest.raises(MassRefusalError):
        await Delivery(sink, inflight, Streak()).run()
    assert [0] == numbers_of(sink.accepted)
    assert {} == _letters(inflight)
    assert list(range(1, 500)) == inflight.open()


async def test_streak_of_refusals_outlives_a_batch() -> None:
    """A lone event refused again and again is ten single refusals in a row, and then the destination is down."""
    sink, streak = _PoisonedSink(0), Streak()
    for _ in range(MASS_REFUSAL - 1):
        with pytest.raises(UnprovenRefusalError):
            await Delivery(sink, _inflight(1), streak).run()
    with pytest.raises(MassRefusalError):
        await Delivery(sink, _inflight(1), streak).run()


async def test_defect_met_by_one_event_is_found_like_a_refusal() -> None:
    """An event that makes the sink fail in an unforeseen way becomes a dead letter, and the others go on."""

    class Broken(FakeSink):
        async def deliver(self, batch: Batch) -> Verdicts:
            if 2 in numbers_of(batch.native):
                raise ZeroDivisionError
            return await super().deliver(batch)

    sink, inflight = Broken(), _inflight(5)
    await Delivery(sink, inflight, Streak()).run()
    assert {2: "a defect in mcwatch ended the delivery (ZeroDivisionError)"} == _letters(inflight)
    assert [0, 1, 3, 4] == numbers_of(sink.accepted)


async def test_mass_refusal_gives_nothing_up() -> None:
    """A destination that refuses ten single events in a row and accepts none is down, and asked no further."""
    sink, inflight = _PoisonedSink(*range(500)), _inflight(500)
    with pytest.raises(MassRefusalError) as caught:
        await Delivery(sink, inflight, Streak()).run()
    assert settlement_of(inflight) is None
    assert FailureReason.TOO_LARGE is caught.value.reason
    # ... and the last of the batch, which could have been a witness.
    assert MASS_REFUSAL + 1 == sum(1 for batch in sink.batches if len(batch) == 1)
    assert len(sink.batches) < 40


async def test_acceptance_settles_earlier_refusals() -> None:
    """Nine refusals and then an acceptance in the same pass: the nine are final."""
    sink, inflight = _PoisonedSink(*range(9)), _inflight(10)
    await Delivery(sink, inflight, Streak()).run()
    assert list(range(9)) == sorted(_letters(inflight))
    assert [9] == numbers_of(sink.accepted)


@pytest.mark.parametrize("error", [TransientError("down"), AuthError("who?"), MisconfiguredError("what?")])
async def test_trouble_in_the_middle_keeps_what_is_known(error: Exception) -> None:
    """When the destination fails while a batch is halved, what was accepted stays accepted, and nobody is blamed."""
    refusal = PermanentError("not with me")
    sink = FakeSink(refusal, ALL_ACCEPTED, error)  # type: ignore[arg-type]  # all of them are ours
    inflight = _inflight(4)
    with pytest.raises(type(error)):
        await Delivery(sink, inflight, Streak()).run()
    assert [[0, 1, 2, 3], [0, 1], [2, 3]] == sent(sink)
    assert [2, 3] == inflight.open()
    assert {} == _letters(inflight)


async def test_suspect_with_a_witness_stays_refused_when_trouble_follows() -> None:
    """A refusal with an acceptance after it is final even if the pass then ends in trouble."""
    sink = FakeSink(
        PermanentError("no"), PermanentError("no"), PermanentError("no"), ALL_ACCEPTED, TransientError("down")
    )
    inflight = _inflight(4)
    with pytest.raises(TransientError):
        await Delivery(sink, inflight, Streak()).run()
    assert [[0, 1, 2, 3], [0, 1], [0], [1], [2, 3]] == sent(sink)
    assert {0: "no"} == _letters(inflight)
    assert [2, 3] == inflight.open()


@pytest.mark.parametrize("error", [AuthError("who?"), MisconfiguredError("what?"), TransientError("down")])
async def test_trouble_of_the_destination_is_not_halved(error: Exception) -> None:
    """Credential, address and passing trouble concern the destination, so the batch is sent once."""
    sink = FakeSink(error)  # type: ignore[arg-type]  # all of them are ours
    inflight = _inflight(4)
    with pytest.raises(type(error)):
        await Delivery(sink, inflight, Streak()).run()
    assert 1 == len(sink.batches)
    assert not inflight.is_begun


async def test_verdicts_are_believed() -> None:
    """A receiver that names the events it refuses and those it wants again is believed at once."""
    verdicts = Verdicts({1: Refusal(FailureReason.REFUSED, "bad field")}, frozenset({3}))
    sink, inflight = FakeSink(verdicts), _inflight(5)
    await Delivery(sink, inflight, Streak()).run()
    assert [3] == inflight.open()
    assert {1: "bad field"} == _letters(inflight)
    await Delivery(sink, inflight, Streak()).run()
    assert [[0, 1, 2, 3, 4], [3]] == sent(sink)
    assert inflight.is_done


async def test_refusals_by_name_need_a_witness_too() -> None:
    """A receiver that names every event it is given proves nothing; the others of the batch are asked at once."""
    sink, inflight = FakeSink(refused(0, 1)), _inflight(2)
    with pytest.raises(UnprovenRefusalError):
        await Delivery(sink, inflight, Streak()).run()
    assert [0, 1] == inflight.open()
    sink, inflight = FakeSink(Verdicts(refused(1).refused, frozenset({0, 2}))), _inflight(3)
    await Delivery(sink, inflight, Streak()).run()
    assert [[0, 1, 2], [0, 2]] == sent(sink)
    assert {1: "no to 1"} == _letters(inflight)


async def test_a_receiver_that_names_whatever_it_is_given_is_down() -> None:
    """When every event is refused by name, one after the other, none is given up and it is asked no further."""
    sink, inflight = _NamingSink(), _inflight(500)
    with pytest.raises(MassRefusalError):
        await Delivery(sink, inflight, Streak()).run()
    assert {} == _letters(inflight)
    assert MASS_REFUSAL + 1 == len(sink.batches)


async def test_bad_events_in_a_row_do_not_stop_what_follows() -> None:
    """However many come first: the last of the batch shows that the destination accepts events."""
    bad = range(25)
    sink, inflight = _PoisonedSink(*bad), _inflight(60)
    await Delivery(sink, inflight, Streak()).run()
    assert list(bad) == sorted(_letters(inflight))
    assert list(range(25, 60)) == sorted(numbers_of(sink.accepted))
    assert len(sink.accepted) == len(set(sink.accepted))


async def test_refusals_of_earlier_passes_do_not_condemn_this_one() -> None:
    """An event refused ever again while nothing else came is settled by the first good one behind it."""
    streak = Streak()
    for _ in range(2 * MASS_REFUSAL):
        with pytest.raises((UnprovenRefusalError, MassRefusalError)):
            await Delivery(_PoisonedSink(0), _inflight(1), streak).run()
    sink, inflight = _PoisonedSink(0), _inflight(101)
    await Delivery(sink, inflight, streak).run()
    assert [0] == list(_letters(inflight))
    assert list(range(1, 101)) == sorted(numbers_of(sink.accepted))


async def test_indexes_of_a_part_mean_the_part() -> None:
    """A verdict about a half or about what was left open is applied to the right events."""
    sink, inflight, streak = FakeSink(PermanentError("no"), retry(1), refused(0)), _inflight(4), Streak()
    await Delivery(sink, inflight, streak).run()
    assert [1] == inflight.open()
    assert [2] == list(inflight.refusals)
    await Delivery(sink, inflight, streak).run()
    assert [[0, 1, 2, 3], [0, 1], [2, 3], [1]] == sent(sink)
