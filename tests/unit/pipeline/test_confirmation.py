"""Receipts: what they hold up, when they are overdue, and how an end finds them."""

import asyncio
from collections.abc import Collection
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import MisconfiguredError, ThrottledError, TransientError
from mcwatch.domain.outbox import Settlement
from mcwatch.pipeline.batches import BatchLimits
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab, refused, retry, sent
from tests.unit.pipeline.receiver import ReceiptSink, Virtually, drained, running

pytestmark = pytest.mark.timeout(10)
_TWO = BatchLimits(max_events=2, max_in_flight=32)


def test_position_waits_for_the_receipt(virtually: Virtually) -> None:
    """What was only taken does not count; further batches follow meanwhile; once confirmed it is delivered, once."""

    async def story(lab: Lab) -> None:
        await lab.append(range(6))
        sink = ReceiptSink()
        async with running(lab, lab.dispatcher(sink, _TWO)):
            await asyncio.sleep(20)
            assert [[0, 1], [2, 3], [4, 5]] == sent(sink)
            assert 0 == await lab.position()
            sink.indexers.stored = {b"r1", b"r2"}
            await asyncio.sleep(20)
            assert 0 == await lab.position(), "it follows the lowest event that is not confirmed"
            sink.indexers.stored = {b"r0"}
            await asyncio.sleep(20)
            assert 6 == await lab.position()
        assert 3 == len(sink.batches)
        assert 6 == (await lab.figures()).delivered
        assert [] == await lab.store.receipts("hook")

    virtually(story)


def test_questions_are_asked_with_growing_patience(virtually: Virtually) -> None:
    """From half a second the pauses double up to ten seconds while nothing is confirmed, one question for all."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))
        sink = ReceiptSink(timeout_secs=300)
        async with running(lab, lab.dispatcher(sink, _TWO)):
            await asyncio.sleep(50)
        times = [at for at, _ in sink.indexers.asked]
        assert [0.5, 1, 2, 4, 8, 10, 10, 10] == pytest.approx([times[0], *(b - a for a, b in pairwise(times))][:8])
        assert {b"r0", b"r1"} == sink.indexers.asked[0][1]

    virtually(story)


def test_overdue_events_are_sent_again_and_no_others(virtually: Virtually) -> None:
    """After the time-out exactly the events of the receipt that is not confirmed go once more, read again."""

    async def story(lab: Lab) -> None:
        await lab.append(range(6))
        sink = ReceiptSink(timeout_secs=30)
        sink.indexers.stored = {b"r0", b"r2"}
        with capture_logs() as logs:
            async with running(lab, lab.dispatcher(sink, _TWO)):
                await asyncio.sleep(29)
                assert 3 == len(sink.batches)
                sink.indexers.stored |= {b"r3"}
                await asyncio.sleep(20)
        assert [[0, 1], [2, 3], [4, 5], [2, 3]] == sent(sink)
        assert 6 == await lab.position()
        assert [1] == [entry["batches"] for entry in logs if entry["event"] == "acknowledgements_overdue"]

    virtually(story)


def test_what_is_confirmed_late_counts_too(virtually: Virtually) -> None:
    """A receipt that was overdue is still asked for: whichever sending is confirmed first settles the events."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        sink = ReceiptSink(timeout_secs=60)
        async with running(lab, lab.dispatcher(sink, _TWO)):
            await asyncio.sleep(80)
            assert [[0, 1], [0, 1]] == sent(sink)
            assert {b"r0", b"r1"} == sink.indexers.asked[-1][1]
            sink.indexers.stored = {b"r0"}
            await asyncio.sleep(20)
            assert 2 == await lab.position()
        assert 2 == len(sink.batches)
        assert 2 == (await lab.figures()).delivered

    virtually(story)


def test_a_receiver_that_never_acknowledges_is_down_and_asked_ever_more_rarely(virtually: Virtually) -> None:
    """Each round waits twice as long, to sixteen times; the destination says what is wrong, until one is confirmed."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        sink = ReceiptSink(timeout_secs=60)
        async with running(lab, lab.dispatcher(sink, _TWO)):
            await asyncio.sleep(4 * 3600)
            # 1 + 2 + 4 + 8 minutes, and then every 16.
            assert 4 + 15 <= len(sink.batches) <= 4 + 16
            assert lab.condition().up is False
            assert "ack_timeout" in lab.condition().remedy
            sink.indexers.stores_all = True
            await asyncio.sleep(20)
            assert lab.condition().up is True
            assert 2 == await lab.position()

    virtually(story)


def test_a_receipt_given_while_a_question_is_due_is_not_overdue(virtually: Virtually) -> None:
    """A batch has its time from when it was handed over, although it was asked for before that was taken note of."""

    async def story(lab: Lab) -> None:
        corp = await lab.account("corp")
        await lab.append(range(4))
        await lab.append(range(1000, 1004), corp)
        durations = iter([0.2, 0.2, 3.0, 0.2])

        class Uneven(ReceiptSink):
            async def deliver(self, batch: Batch) -> Verdicts:
                await asyncio.sleep(next(durations))
                return await super().deliver(batch)

        settle = lab.store.settle

        async def slow(settlement: Settlement) -> Collection[int]:
            await asyncio.sleep(20 if 0.3 < lab.clock.monotonic() < 1 else 0)
            return await settle(settlement)

        sink = Uneven(most_at_once=2, timeout_secs=100)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lab.store, "settle", slow)
            async with running(lab, lab.dispatcher(sink, _TWO)):
                await asyncio.sleep(60)
        assert 4 == len(sink.batches)
        assert any(4 < at < 20 and b"r2" in asked for at, asked in sink.indexers.asked), "it was asked for early"

    virtually(story)


@pytest.mark.parametrize("error", [TransientError("away"), MisconfiguredError("no ack here", remedy="enable it")])
def test_nothing_is_overdue_while_nobody_can_be_asked(virtually: Virtually, error: TransientError) -> None:
    """An acknowledgement endpoint that fails for longer than the time-out takes the destination down, no more."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        sink = ReceiptSink(timeout_secs=10)
        sink.indexers.outage = error
        async with running(lab, lab.dispatcher(sink, _TWO)):
            await asyncio.sleep(300)
            assert 1 == len(sink.batches)
            assert (False, str(error)) == (lab.condition().up, lab.condition().reason)
            sink.indexers.outage = None
            sink.indexers.stored = {b"r0"}
            sink.indexers._told.clear()
            await asyncio.sleep(400)
        assert 1 == len(sink.batches)
        assert 2 == await lab.position()
        assert lab.condition().up is True

    virtually(story)


def test_overdue_at_the_first_answer_after_an_outage(virtually: Virtually) -> None:
    """When the receiver can be asked again and does not know the receipt, its events are sent again at once."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        sink = ReceiptSink(timeout_secs=10)
        sink.indexers.outage = TransientError("away")
        async with running(lab, lab.dispatcher(sink, _TWO)):
            await asyncio.sleep(120)
            sink.indexers.outage = None
            sink.indexers.stored = {b"r1"}
            await asyncio.sleep(120)
        assert [[0, 1], [0, 1]] == sent(sink)
        assert 2 == await lab.position()

    virtually(story)


def test_deliveries_that_work_do_not_hide_that_nobody_confirms(virtually: Virtually) -> None:
    """While the receiver takes events and cannot be asked, the destination stays down and says so once."""

    async def story(lab: Lab) -> None:
        sink = ReceiptSink(timeout_secs=60)
        sink.indexers.outage = TransientError("no answer")
        with capture_logs() as logs:
            async with running(lab, lab.dispatcher(sink, _TWO)):
                for at in range(0, 20, 2):
                    await lab.append(range(at, at + 2))
                    await asyncio.sleep(15)
        assert len(sink.batches) > 3
        assert ["component_down"] == [entry["event"] for entry in logs if entry["event"].startswith("component")]

    virtually(story)


def test_no_question_before_the_time_asked(virtually: Virtually) -> None:
    """A receiver that asks for a pause is left alone: the gate is one for batches and questions."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))
        sink = ReceiptSink(Verdicts(), ThrottledError("slow", retry_after_secs=90), timeout_secs=300)
        async with running(lab, lab.dispatcher(sink, _TWO)):
            await asyncio.sleep(200)
        assert sink.indexers.asked[0][0] >= 90.0
        assert 3 == len(sink.batches)

    virtually(story)


def test_overdue_while_another_part_is_under_way(virtually: Virtually) -> None:
    """A batch of which one part waits for an answer and another is overdue ends with every event confirmed."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))

        class Slow(ReceiptSink):
            async def deliver(self, batch: Batch) -> Verdicts:
                self.secs = 25.0 if len(self.batches) == 1 else 0.0
                return await super().deliver(batch)

        sink = Slow(retry(2, 3), timeout_secs=5)
        async with running(lab, lab.dispatcher(sink, BatchLimits(max_events=4))):
            await asyncio.sleep(24)
            sink.indexers.stored = {b"r1", b"r2", b"r3"}
            await asyncio.sleep(60)
        assert [[0, 1, 2, 3], [2, 3], [0, 1]] == sent(sink)
        assert 4 == await lab.position()
        assert 0.0 == (lab.metric("delivery_requests_total", destination="hook", outcome="timeout") or 0.0)
        assert 2.0 == lab.metric("delivery_requests_total", destination="hook", outcome="ok")

    virtually(story)


def test_refused_events_beside_a_receipt(virtually: Virtually) -> None:
    """Events refused by name are dead letters once the position passes them, with those before them confirmed."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))
        sink = ReceiptSink(refused(1), timeout_secs=30)
        async with running(lab, lab.dispatcher(sink, BatchLimits(max_events=4, max_in_flight=4))):
            await asyncio.sleep(5)
            assert (0, []) == (await lab.position(), await lab.store.dead_letters("hook", 10))
            sink.indexers.stored = {b"r0"}
            await asyncio.sleep(10)
        assert 4 == await lab.position()
        figures = await lab.figures()
        assert (3, {"refused": 1}) == (figures.delivered, figures.dead_lettered)

    virtually(story)


def test_drain_asks_once_more_and_keeps_the_rest(virtually: Virtually) -> None:
    """An orderly end with receipts waiting takes what is confirmed by then and leaves the others to the next start."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))
        sink = ReceiptSink()
        sink.indexers.stored = {b"r0"}
        assert 0.0 == await drained(lab, lab.dispatcher(sink, _TWO))
        assert 2 == await lab.position()
        assert [b"r1"] == [one.token for one in await lab.store.receipts("hook")]

    virtually(story)


def test_drain_does_not_wait_for_a_receiver_that_hangs(virtually: Virtually) -> None:
    """The last question has a few seconds, far less than the drain time."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        sink = ReceiptSink()
        sink.indexers.secs = 1000.0
        assert 5.0 == await drained(lab, lab.dispatcher(sink, _TWO))
        assert 1 == len(await lab.store.receipts("hook"))

    virtually(story)


def test_drain_does_not_ask_twice_at_the_same_time(virtually: Virtually) -> None:
    """A receiver tells of each receipt but once: a question under way is waited for, and its answer is recorded."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        sink = ReceiptSink()
        sink.indexers.stored = {b"r0"}
        sink.indexers.secs = 2.0
        dispatcher = lab.dispatcher(sink, _TWO)
        async with running(lab, dispatcher) as task:
            await asyncio.sleep(1.0)
            assert 1 == len(sink.indexers.asked)
            sink.indexers.secs = 0.0
            dispatcher.drain()
            await task
        assert 2 == await lab.position()

    virtually(story)


def test_drain_at_a_closed_gate_asks_nobody(virtually: Virtually) -> None:
    """A destination that is down is left as it is, with what it has handed over kept."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))
        sink = ReceiptSink(Verdicts(), ThrottledError("down", retry_after_secs=100))
        dispatcher = lab.dispatcher(sink, _TWO)
        async with running(lab, dispatcher) as task:
            await asyncio.sleep(0.3)
            dispatcher.drain()
            await task
        assert [] == sink.indexers.asked
        assert 1 == len(await lab.store.receipts("hook"))

    virtually(story)


def test_bytes_are_given_back_while_receipts_wait(virtually: Virtually) -> None:
    """A batch handed over holds no event any more."""

    async def story(lab: Lab) -> None:
        await lab.append(range(40))
        sink = ReceiptSink()
        dispatcher = lab.dispatcher(sink, _TWO)
        async with running(lab, dispatcher):
            await asyncio.sleep(1)
            waiting = [inflight for _, inflight in dispatcher._flights.receipts()]
            assert 20 == len(waiting)
            assert all(inflight.is_released for inflight in waiting)

    virtually(story)


def test_no_more_batches_than_allowed_wait(virtually: Virtually) -> None:
    """Reading stops at max_in_flight batches of an account, and goes on when one of them is confirmed."""

    async def story(lab: Lab) -> None:
        await lab.append(range(20))
        sink = ReceiptSink(timeout_secs=300)
        async with running(lab, lab.dispatcher(sink, BatchLimits(max_events=2, max_in_flight=3))):
            await asyncio.sleep(5)
            assert 3 == len(sink.batches)
            sink.indexers.stored = {b"r1"}
            await asyncio.sleep(20)
            assert 3 == len(sink.batches), "the first one still holds all places"
            sink.indexers.stored = {b"r0"}
            await asyncio.sleep(20)
            assert 5 == len(sink.batches)

    virtually(story)


def test_a_defect_in_asking_is_survived(virtually: Virtually) -> None:
    """An error nobody foresaw is logged, the destination is down meanwhile, and it is asked again."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        sink = ReceiptSink()
        sink.indexers.outage = ZeroDivisionError()  # type: ignore[assignment]  # the defect
        with capture_logs() as logs:
            async with running(lab, lab.dispatcher(sink, _TWO)):
                await asyncio.sleep(2)
                assert lab.condition().up is False
                sink.indexers.outage = None
                sink.indexers.stores_all = True
                sink.indexers._told.clear()
                await asyncio.sleep(120)
        assert "confirmation_defect" in [entry["event"] for entry in logs]
        assert 2 == await lab.position()

    virtually(story)


@pytest.mark.parametrize("has_receipts", [False, True])
def test_what_is_recorded_is_recorded_per_batch(virtually: Virtually, *, has_receipts: bool) -> None:
    """No transaction, request or question per event: a batch has one settlement, with receipts one more at most."""

    async def story(lab: Lab) -> None:
        await lab.append(range(3_000))
        sink = ReceiptSink() if has_receipts else FakeSink()
        limits = BatchLimits(max_events=100, max_in_flight=32)
        async with running(lab, lab.dispatcher(sink, limits)):
            await asyncio.sleep(1)
            if isinstance(sink, ReceiptSink):
                sink.indexers.stores_all = True
            await asyncio.sleep(60)
        assert 3_000 == await lab.position()
        assert 30 == len(sink.batches)
        assert len(lab.store.settled) <= (60 if has_receipts else 30)
        if isinstance(sink, ReceiptSink):
            assert len(sink.indexers.asked) <= 10

    virtually(story)
