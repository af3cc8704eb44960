"""Batches that do not get through as they are: smaller ones, and the same with what stands behind them."""

import asyncio

import pytest

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import FailureReason, PermanentError, TransientError
from mcwatch.domain.selection import Selection
from mcwatch.pipeline.batches import BatchLimits
from tests.contract.store_kit import numbers_of
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab, sent
from tests.unit.pipeline.receiver import ReceiptSink, Virtually, running

pytestmark = pytest.mark.timeout(10)
_FIVE = BatchLimits(max_events=5, max_in_flight=4)


class Slow(FakeSink):
    """Needs a tenth of a second for each event and is given thirty seconds."""

    async def deliver(self, batch: Batch) -> Verdicts:
        """Accept, or be too late."""
        await asyncio.sleep(min(30.0, 0.1 * len(batch)))
        if len(batch) > 300:
            self.batches.append(batch)
            raise TransientError("no answer in time", reason=FailureReason.TIMEOUT)
        return await super().deliver(batch)


class Changing(ReceiptSink):
    """Takes everything against receipts until told what it has come to dislike."""

    def __init__(self, most_at_once: int = 1) -> None:
        super().__init__(most_at_once=most_at_once)
        self.bad: set[int] = set()
        self.most: int | None = None

    async def deliver(self, batch: Batch) -> Verdicts:
        """Refuse, be too late, or take the batch."""
        if self.bad.intersection(numbers_of(batch.native)):
            self.batches.append(batch)
            raise PermanentError("one of them", reason=FailureReason.TOO_LARGE)
        if self.most is not None and len(batch) > self.most:
            self.batches.append(batch)
            raise TransientError("no answer in time", reason=FailureReason.TIMEOUT)
        return await super().deliver(batch)


def test_a_slow_receiver_gets_as_much_as_it_can_take(virtually: Virtually) -> None:
    """Batches that always time out shrink until they get through, and the backlog is delivered."""

    async def story(lab: Lab) -> None:
        sink = Slow()
        await lab.append(range(2000))
        async with running(lab, lab.dispatcher(sink)):
            await asyncio.sleep(3600)
            assert 2000 == (await lab.figures()).delivered
        assert [500, 500, 500, 250, 500, 250, 250, 500] == [len(batch) for batch in sink.batches[:8]]

    virtually(story)


def test_after_an_outage_batches_are_soon_large_again(virtually: Virtually) -> None:
    """A connection that is refused looks the same; with success each batch is twice as large as the last."""

    async def story(lab: Lab) -> None:
        sink = FakeSink()
        sink.outage = TransientError("refused", reason=FailureReason.CONNECTION)
        await lab.append(range(60))
        async with running(lab, lab.dispatcher(sink, BatchLimits(max_events=16))):
            await asyncio.sleep(3600)
            assert {1} == {len(batch) for batch in sink.batches[8:]}
            sink.outage, begin = None, len(sink.batches)
            await asyncio.sleep(120)
            assert [1, 2, 4, 8, 16, 16, 13] == [len(batch) for batch in sink.batches[begin:]]

    virtually(story)


def test_what_nobody_wants_is_passed_quickly_after_an_outage(virtually: Virtually) -> None:
    """Where few events are wanted, single ones are not read and settled one by one until one of them is."""

    async def story(lab: Lab) -> None:
        sink = FakeSink()
        sink.outage = TransientError("refused", reason=FailureReason.CONNECTION)
        await lab.append(range(1))
        async with running(lab, lab.dispatcher(sink, selection=Selection(accounts=("acme",)))):
            await asyncio.sleep(3600)
            sink.outage = None
            await asyncio.sleep(120)
            await lab.append(range(10_000, 10_400), await lab.account("corp"))
            await asyncio.sleep(120)
            settled = [step for one in lab.store.settled for step in one.progress if step.not_selected]
            assert 400 == sum(step.not_selected for step in settled)
            assert len(settled) < 12
        assert [0] == numbers_of(sink.accepted)

    virtually(story)


def test_a_refused_rest_does_not_block_what_stands_behind_it(virtually: Virtually) -> None:
    """Sent again, a batch's last event is refused and another batch waits behind: both are read again, one is bad."""

    async def story(lab: Lab) -> None:
        sink = Changing()
        await lab.append(range(10))
        async with running(lab, lab.dispatcher(sink, _FIVE)):
            await asyncio.sleep(5)
            assert [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]] == list(sink.taken.values())
            sink.bad, sink.indexers.lost = {4}, set(sink.taken)
            await asyncio.sleep(300)
            sink.indexers.stores_all = True
            await lab.append(range(10, 20))
            await asyncio.sleep(7200)
            figures = await lab.figures()
            assert (19, {"too_large": 1}, 0) == (figures.delivered, figures.dead_lettered, figures.waiting)
            assert lab.condition().up is True
        assert 1 == numbers_of(sink.accepted).count(4)
        assert set(range(20)) == set(numbers_of(sink.accepted))
        assert [] == await lab.store.receipts("hook")

    virtually(story)


def test_what_stands_behind_in_other_accounts_is_read_again_as_well(virtually: Virtually) -> None:
    """Batches across accounts are given up together with all behind them; nothing is lost, no account stops."""

    async def story(lab: Lab) -> None:
        sink = Changing()
        corp = await lab.account("corp")
        await lab.append(range(3))
        await lab.append(range(100, 105), corp)
        async with running(lab, lab.dispatcher(sink, _FIVE)):
            await lab.append(range(3, 6))
            await asyncio.sleep(5)
            await lab.append(range(6, 9))
            await lab.append(range(105, 108), corp)
            await asyncio.sleep(5)
            sink.bad, sink.indexers.lost = {sink.taken[b"r0"][-1]}, set(sink.taken)
            await asyncio.sleep(300)
            sink.indexers.stores_all = True
            await lab.append(range(9, 19))
            await lab.append(range(108, 118), corp)
            await asyncio.sleep(7200)
            figures = await lab.figures()
            assert (36, {"too_large": 1}, 0) == (figures.delivered, figures.dead_lettered, figures.waiting)
        assert {*range(19), *range(100, 118)} == set(numbers_of(sink.accepted))

    virtually(story)


def test_batches_given_up_together_are_sent_in_order_again(virtually: Virtually) -> None:
    """Where both are overdue, the one behind is not sent by itself after the first was refused."""

    async def story(lab: Lab) -> None:
        sink = Changing()
        await lab.append(range(10))
        async with running(lab, lab.dispatcher(sink, _FIVE)):
            await asyncio.sleep(5)
            assert [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]] == sent(sink)
            sink.bad = set(range(5))
            await asyncio.sleep(57)
            refused = [numbers for numbers in sent(sink)[2:] if len(numbers) == 1]
            assert [[0], [1], [2], [3], [4]] == refused[:5]
            after = sent(sink).index([4]) + 1
            await asyncio.sleep(120)
            assert [0, 1, 2, 3, 4] == sent(sink)[after]
            sink.bad, sink.indexers.stores_all = set(), True
            await asyncio.sleep(3600)
            assert 10 == (await lab.figures()).delivered

    virtually(story)


def test_nothing_is_given_up_behind_which_something_is_under_way(virtually: Virtually) -> None:
    """A batch that is being sent is not read and sent a second time beside itself, whoever it stands behind."""

    async def story(lab: Lab) -> None:
        class Watched(Changing):
            async def deliver(self, batch: Batch) -> Verdicts:
                accounts = {number // 100 for number in numbers_of(batch.native)}
                beside.extend(accounts & busy)
                busy.update(accounts)
                await asyncio.sleep(secs[0])
                busy.difference_update(accounts)
                return await super().deliver(batch)

        beside: list[int] = []
        busy: set[int] = set()
        secs = [0.0]
        sink = Watched(most_at_once=8)
        sink.indexers.stores_all = True
        corp = await lab.account("corp")
        limits = BatchLimits(max_events=4, max_in_flight=4, linger_secs=1.0)
        async with running(lab, lab.dispatcher(sink, limits)):
            for number in range(50, 63):
                # Several go at once only after some success; by their number it is the other account's turn then.
                await lab.append(range(number, number + 1))
                await asyncio.sleep(20)
            sink.indexers.stores_all, secs[0] = False, 0.5
            sink.batches.clear()
            await lab.append(range(4))
            await asyncio.sleep(0.2)
            secs[0] = 10.0
            await lab.append(range(4, 6))
            await lab.append(range(100, 102), corp)
            await asyncio.sleep(50)
            assert [{0, 1, 2, 3}, {4, 5, 100, 101}] == [set(numbers) for numbers in sent(sink)]
            secs[0] = 30.0
            await lab.append(range(102, 103), corp)
            await asyncio.sleep(2)
            secs[0], sink.bad = 0.0, set(range(4))
            await asyncio.sleep(20)
            assert [3] in sent(sink), "sent again and refused"
            assert {1} == busy, "while the last is still under way"
            await asyncio.sleep(600)
            sink.bad, sink.indexers.stores_all = set(), True
            await asyncio.sleep(3600)
            assert 9 + 13 == (await lab.figures()).delivered
        assert [] == beside

    virtually(story)


def test_a_batch_sent_again_that_has_become_too_much_is_read_again_smaller(virtually: Virtually) -> None:
    """An overdue batch that times out ever after is cut, although others wait for their receipts behind it."""

    async def story(lab: Lab) -> None:
        sink = Changing()
        await lab.append(range(10))
        async with running(lab, lab.dispatcher(sink, _FIVE)):
            await asyncio.sleep(5)
            sink.most, sink.indexers.stored = 2, {b"r1"}
            await asyncio.sleep(200)
            assert 5 == max(map(len, sent(sink)[2:]))
            sink.indexers.stores_all = True
            await asyncio.sleep(3600)
            assert 10 == (await lab.figures()).delivered
        assert set(range(10)) == set(numbers_of(sink.accepted))

    virtually(story)


@pytest.mark.parametrize("was_up", [False, True])
def test_a_refusal_that_nothing_settles_is_said_in_the_end(virtually: Virtually, was_up: bool) -> None:
    """A destination that was never up is down at once; one that works only when the refusals go on."""

    async def story(lab: Lab) -> None:
        class Refusing(FakeSink):
            async def deliver(self, batch: Batch) -> Verdicts:
                if 1 in numbers_of(batch.native):
                    self.batches.append(batch)
                    states.append(lab.condition().up)
                    raise PermanentError("not with me")
                return await super().deliver(batch)

        states: list[bool | None] = []
        sink = Refusing()
        await lab.append(range(0 if was_up else 1, 2))
        async with running(lab, lab.dispatcher(sink)):
            await asyncio.sleep(120)
            assert lab.condition().up is False
            assert "refused" in lab.condition().reason
            assert "accept" in lab.condition().remedy
            await lab.append(range(2, 3))
            await asyncio.sleep(120)
            assert lab.condition().up is True
        # Before its first two requests (the batch and its half) nothing is known; then as it was before each attempt.
        assert ([None, None, True, True, True, True, False] if was_up else [None, False, False]) == states[
            : 7 if was_up else 3
        ]

    virtually(story)
