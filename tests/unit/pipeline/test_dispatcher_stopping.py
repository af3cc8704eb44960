"""How a destination stops: passed over, full of dead letters, cut off in any state, with a store in trouble."""

import asyncio
from collections.abc import Collection

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import StoreCorrupt, StoreUnavailable, ThrottledError, TransientError
from mcwatch.domain.outbox import LetterChoice, Receipt
from mcwatch.pipeline.batches import BatchLimits
from tests.contract.store_kit import numbers_of
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab, refused, sent
from tests.unit.pipeline.receiver import ReceiptSink, Virtually, drained, running

pytestmark = pytest.mark.timeout(10)
_TWO = BatchLimits(max_events=2, max_in_flight=8)


def test_the_backlog_is_passed_over(virtually: Virtually) -> None:
    """A destination that is down and told to skip moves to the head, counts what it passes, and goes on from there."""

    async def story(lab: Lab) -> None:
        await lab.append(range(7))
        sink = FakeSink()
        sink.outage = TransientError("down")
        dispatcher = lab.dispatcher(sink, _TWO)
        with capture_logs() as logs:
            async with running(lab, dispatcher):
                await asyncio.sleep(30)
                dispatcher.skip()
                await asyncio.sleep(1)
                assert 7 == await lab.position()
                figures = await lab.figures()
                assert (7, 0, 0) == (figures.skipped, figures.delivered, figures.waiting)
                sink.outage = None
                await lab.append(range(7, 9))
                await asyncio.sleep(120)
        assert [7, 8] == numbers_of(sink.accepted)
        [said] = [entry for entry in logs if entry["event"] == "backlog_skipped"]
        assert 7 == said["events"]
        assert ("2026-01-05T09:30:00Z", "2026-01-05T09:30:31Z") == (said["start"], said["end"])
        assert f"mcwatch replay --destination hook --from {said['start']} --to {said['end']} " in said["remedy"]

    virtually(story)


def test_what_was_passed_over_is_named_from_its_oldest_event_on(virtually: Virtually) -> None:
    """What was delivered before lies outside of the range."""

    async def story(lab: Lab) -> None:
        sink = FakeSink()
        dispatcher = lab.dispatcher(sink, _TWO)
        with capture_logs() as logs:
            async with running(lab, dispatcher):
                await lab.append(range(2))
                await asyncio.sleep(600)
                sink.outage = TransientError("down")
                await lab.append(range(2, 5))
                await asyncio.sleep(300)
                dispatcher.skip()
                await asyncio.sleep(1)
        [said] = [entry for entry in logs if entry["event"] == "backlog_skipped"]
        assert 3 == said["events"]
        assert ("2026-01-05T09:40:00Z", "2026-01-05T09:45:01Z") == (said["start"], said["end"])

    virtually(story)


def test_skipping_waits_for_what_is_under_way(virtually: Virtually) -> None:
    """A batch that is being sent ends first: what it delivers counts as delivered, what is behind it as skipped."""

    async def story(lab: Lab) -> None:
        await lab.append(range(7))

        class Slow(FakeSink):
            async def deliver(self, batch: Batch) -> Verdicts:
                await asyncio.sleep(20)
                return await super().deliver(batch)

        sink = Slow()
        dispatcher = lab.dispatcher(sink, _TWO)
        async with running(lab, dispatcher):
            await asyncio.sleep(5)
            dispatcher.skip()
            await asyncio.sleep(5)
            assert 0 == await lab.position()
            await asyncio.sleep(30)
        assert [[0, 1]] == sent(sink)
        figures = await lab.figures()
        assert (2, 5) == (figures.delivered, figures.skipped)

    virtually(story)


def test_receipts_of_what_was_passed_over_are_forgotten(virtually: Virtually) -> None:
    """Batches that waited for receipts are neither asked for nor sent again after a skip."""

    async def story(lab: Lab) -> None:
        await lab.append(range(6))
        sink = ReceiptSink(timeout_secs=10)
        dispatcher = lab.dispatcher(sink, _TWO)
        async with running(lab, dispatcher):
            await asyncio.sleep(5)
            dispatcher.skip()
            await asyncio.sleep(1)
            assert 6 == await lab.position()
            asked = len(sink.indexers.asked)
            await asyncio.sleep(60)
            assert asked == len(sink.indexers.asked)
            sink.indexers.stores_all = True
            await lab.append(range(6, 8))
            await asyncio.sleep(60)
        assert [[0, 1], [2, 3], [4, 5], [6, 7]] == sent(sink)
        assert [] == await lab.store.receipts("hook")
        figures = await lab.figures()
        assert (2, 6) == (figures.delivered, figures.skipped)

    virtually(story)


def test_overdue_at_the_moment_of_a_skip(virtually: Virtually) -> None:
    """A receipt that becomes overdue while its events are being passed over sends nothing again."""

    async def story(lab: Lab) -> None:
        await lab.append(range(6))
        sink = ReceiptSink(timeout_secs=10)
        sink.indexers.secs = 0.5
        dispatcher = lab.dispatcher(sink, _TWO)
        settle = lab.store.settle

        async def slow(settlement: object) -> Collection[int]:
            await asyncio.sleep(30)
            return await settle(settlement)  # type: ignore[arg-type]  # passed on as it is

        async with running(lab, dispatcher):
            await asyncio.sleep(5)
            sink.indexers.stored = {b"r0"}
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(lab.store, "settle", slow)
                # The settlement of r0 takes long; meanwhile the others become overdue and the backlog is to be skipped.
                await asyncio.sleep(6)
                dispatcher.skip()
                await asyncio.sleep(60)
            await asyncio.sleep(120)
        assert [[0, 1], [2, 3], [4, 5]] == sent(sink)
        assert 6 == await lab.position()

    virtually(story)


def test_a_full_letterbox_stops_the_destination_until_there_is_room(virtually: Virtually) -> None:
    """At its limit of dead letters nothing more is sent; it goes on by itself when some are discarded."""

    async def story(lab: Lab) -> None:
        lab.most_letters = 3
        await lab.append(range(8))
        sink = FakeSink(*[refused(0)] * 3)
        with capture_logs() as logs:
            async with running(lab, lab.dispatcher(sink, _TWO)):
                await asyncio.sleep(60)
                assert 3 == len(sink.batches), "at its limit, and then no more"
                assert lab.condition().up is False
                assert "dead-letters" in lab.condition().remedy
                assert 2 == await lab.store.discard(LetterChoice(destination="hook"), 2)
                await asyncio.sleep(6)
                assert lab.condition().up is True
        assert [1, 3, 5, 6, 7] == numbers_of(sink.accepted)
        assert 1 == [entry["event"] for entry in logs].count("component_down")

    virtually(story)


def test_a_letterbox_that_is_full_at_the_start(virtually: Virtually) -> None:
    """What an earlier process left counts, and an orderly end comes at once."""

    async def story(lab: Lab) -> None:
        lab.most_letters = 1
        await lab.append(range(4))
        assert 0.0 == await drained(lab, lab.dispatcher(FakeSink(refused(0)), _TWO))
        sink = FakeSink()
        assert 0.0 == await drained(lab, lab.dispatcher(sink, _TWO))
        assert [] == sink.batches
        assert 2 == await lab.position()

    virtually(story)


@pytest.mark.parametrize("steps", range(0, 120, 7))
@pytest.mark.parametrize("has_receipts", [False, True])
def test_cut_off_in_any_state(virtually: Virtually, steps: int, *, has_receipts: bool) -> None:
    """Wherever the end of the process comes, it comes at once, the sink is closed, and the next one loses nothing."""

    async def story(lab: Lab) -> None:
        await lab.append(range(20))
        sink = ReceiptSink(refused(1)) if has_receipts else FakeSink(refused(1))
        task = asyncio.ensure_future(lab.dispatcher(sink, _TWO).run(lab.accounts))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not sink.is_open
        after = ReceiptSink(first=100)
        after.indexers.stores_all = True
        async with running(lab, lab.dispatcher(after, _TWO)):
            await asyncio.sleep(200)
        assert 20 == await lab.position()
        taken = {number for one in (sink, after) for number in numbers_of(one.accepted)}
        letters = {int(one.event_id, 16) for one in await lab.store.dead_letters("hook", 99)}
        assert set(range(20)) == taken | letters

    virtually(story)


def test_positions_that_cannot_be_read_at_the_start(virtually: Virtually) -> None:
    """A store that is busy at the start is asked again, and the destination says so meanwhile."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        positions, errors = lab.store.positions, [StoreUnavailable("busy")] * 4

        async def moody(destination: str) -> dict[int, int]:
            if errors:
                raise errors.pop()
            return await positions(destination)

        sink = FakeSink()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lab.store, "positions", moody)
            async with running(lab, lab.dispatcher(sink, _TWO)):
                await asyncio.sleep(2)
                assert "busy" == lab.condition().reason
                await asyncio.sleep(5)
        assert [0, 1] == numbers_of(sink.accepted)
        assert lab.condition().up is True

    virtually(story)


def test_nothing_is_sent_while_the_store_records_nothing(virtually: Virtually) -> None:
    """While a settlement waits for the store, no further batch goes out, however many accounts could."""

    async def story(lab: Lab) -> None:
        corp = await lab.account("corp")
        await lab.append(range(10))
        await lab.append(range(1000, 1010), corp)
        lab.store.settle_errors = [StoreUnavailable("full")] * 30
        sink = FakeSink(most_at_once=4)
        async with running(lab, lab.dispatcher(sink, _TWO)):
            await asyncio.sleep(20)
            assert 1 == len(sink.batches)
            assert lab.condition().reason == "full"
            await asyncio.sleep(20)
        assert 20 == len(sink.accepted)

    virtually(story)


@pytest.mark.parametrize("call", ["settle", "read", "positions", "receipts", "dead_letter_count"])
def test_a_store_that_cannot_be_trusted_comes_out_as_itself(virtually: Virtually, call: str) -> None:
    """Whatever the store was asked for, damage ends the loop with that very error."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))

        async def damaged(*_: object) -> list[Receipt]:
            raise StoreCorrupt("damaged")

        sink = ReceiptSink()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lab.store, call, damaged)
            with pytest.raises(StoreCorrupt):
                await lab.dispatcher(sink, _TWO).run(lab.accounts)
        assert not sink.is_open

    virtually(story)


def test_a_verdict_that_makes_no_sense_ends_nothing(virtually: Virtually) -> None:
    """A sink that speaks of events it was not given is a defect: logged, survived, and the batch goes again."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        sink = FakeSink(refused(17))
        with capture_logs() as logs:
            async with running(lab, lab.dispatcher(sink, _TWO)):
                await asyncio.sleep(30)
        assert 2 == await lab.position()
        assert "delivery_defect" in [entry["event"] for entry in logs]

    virtually(story)


def test_an_orderly_end_waits_for_a_short_pause_and_for_no_long_one(virtually: Virtually) -> None:
    """A receiver that asks for two seconds gets what is due; one that is away for longer holds up no end."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))
        sink = FakeSink(ThrottledError("busy", retry_after_secs=2.0))
        assert 2.0 <= await drained(lab, lab.dispatcher(sink, _TWO)) <= 5.0
        assert [0, 1, 2, 3] == numbers_of(sink.accepted)
        await lab.append(range(4, 8))
        sink = FakeSink(ThrottledError("away", retry_after_secs=60.0))
        assert await drained(lab, lab.dispatcher(sink, _TWO)) < 1.0
        assert [] == sink.accepted

    virtually(story)
