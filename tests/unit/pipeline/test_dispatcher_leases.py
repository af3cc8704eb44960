"""A destination while accounts come from other replicas and go to them."""

import asyncio

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import TransientError
from mcwatch.domain.outbox import Receipt, Settlement, StoreSnapshot
from mcwatch.domain.page import Feed
from mcwatch.pipeline.batches import BatchLimits
from mcwatch.telemetry.health import Component
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab, retry, sent
from tests.unit.pipeline.receiver import ReceiptSink, Virtually, running

pytestmark = pytest.mark.timeout(5)


class _Slow(FakeSink):
    """A sink that takes ten seconds for each batch."""

    async def deliver(self, batch: Batch) -> Verdicts:
        await asyncio.sleep(10)
        return await super().deliver(batch)


def test_only_what_is_held_is_delivered(virtually: Virtually) -> None:
    """Events of an account of another replica wait until it is held here, and go on from its position."""

    async def story(lab: Lab) -> None:
        corp = (await lab.account("corp")).account_id
        await lab.append(range(3))
        lab.store.spread({lab.acme})
        sink = FakeSink()
        dispatcher = lab.dispatcher(sink)
        async with running(lab, dispatcher):
            await asyncio.sleep(5)
            assert [] == sent(sink)
            assert (False, True) == (dispatcher.carries(lab.acme), dispatcher.carries(corp))
            lab.store.spread(set())
            await asyncio.sleep(5)
            assert [[0, 1, 2]] == sent(sink)
            assert 3 == await lab.position()

    virtually(story)


def test_what_is_under_way_ends_before_the_account_goes(virtually: Virtually) -> None:
    """An account that is handed over is carried until its batch was answered and its position moved; no further."""

    async def story(lab: Lab) -> None:
        await lab.append(range(3))
        sink = _Slow()
        dispatcher = lab.dispatcher(sink)
        async with running(lab, dispatcher):
            await asyncio.sleep(1)
            lab.store.spread(set(), retired={lab.acme})
            await lab.append(range(3, 6))
            await asyncio.sleep(1)
            assert dispatcher.carries(lab.acme)
            await asyncio.sleep(20)
            assert not dispatcher.carries(lab.acme)
            assert ([[0, 1, 2]], 3) == (sent(sink), await lab.position())

    virtually(story)


def test_nothing_of_a_lost_account_is_settled(virtually: Virtually) -> None:
    """A batch of two accounts of which one was lost on the way settles the other; held again, the one is sent again."""

    async def story(lab: Lab) -> None:
        corp = await lab.account("corp")
        await lab.append(range(2))
        await lab.append(range(10, 12), corp)
        sink = _Slow()
        dispatcher = lab.dispatcher(sink)
        async with running(lab, dispatcher):
            await asyncio.sleep(1)
            lab.store.spread({lab.acme})
            await asyncio.sleep(15)
            positions = await lab.store.positions("hook")
            assert {lab.acme: 0, corp.account_id: 2} == positions
            assert not dispatcher.carries(lab.acme)
            assert 2 == (await lab.figures()).delivered
            lab.store.spread(set())
            await asyncio.sleep(15)
            assert [0, 1] == sent(sink)[-1]
            assert 2 == await lab.position()

    virtually(story)


def test_a_batch_to_be_sent_again_goes_with_its_account(virtually: Virtually) -> None:
    """What waits for another try is not tried when its account was lost; the other account of it is read again."""

    async def story(lab: Lab) -> None:
        corp = await lab.account("corp")
        await lab.append(range(2))
        await lab.append(range(10, 12), corp)
        sink = FakeSink(TransientError("away"), TransientError("away"))
        dispatcher = lab.dispatcher(sink)
        async with running(lab, dispatcher):
            await asyncio.sleep(0.01)
            lab.store.spread({lab.acme})
            await asyncio.sleep(300)
        assert [10, 11] == sent(sink)[-1]
        assert {lab.acme: 0, corp.account_id: 2} == await lab.store.positions("hook")

    virtually(story)


def test_a_batch_begun_goes_with_its_account(virtually: Virtually) -> None:
    """Also one of which some events were accepted: what was is settled, the rest is somebody else's."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))
        sink = FakeSink(retry(2, 3), TransientError("away"))
        dispatcher = lab.dispatcher(sink)
        async with running(lab, dispatcher):
            await asyncio.sleep(0.01)
            lab.store.spread({lab.acme})
            await asyncio.sleep(300)
            assert not dispatcher.carries(lab.acme)
        assert 2 == await lab.position()
        assert len(sent(sink)) <= 3

    virtually(story)


def test_receipts_come_with_an_account(virtually: Virtually) -> None:
    """What another replica handed over is asked for here and not sent again."""

    async def story(lab: Lab) -> None:
        await lab.append(range(3))
        lab.store.spread({lab.acme})
        sink = ReceiptSink(timeout_secs=100)
        dispatcher = lab.dispatcher(sink)
        async with running(lab, dispatcher):
            await asyncio.sleep(5)
            await _hand_over_elsewhere(lab, b"theirs")
            lab.store.spread(set())
            await asyncio.sleep(5)
            assert ([], 0) == (sent(sink), await lab.position())
            sink.indexers.stored = {b"theirs"}
            await asyncio.sleep(30)
            assert ([], 3) == (sent(sink), await lab.position())

    virtually(story)


async def _batch_of_two(lab: Lab, sink: ReceiptSink) -> Feed:
    """Let two accounts have two events each, of which the first batch will be lost; return the second account."""
    corp = await lab.account("corp")
    await lab.append(range(2))
    await lab.append(range(10, 12), corp)
    sink.indexers.lost = {b"r0"}
    return corp


def test_a_lost_account_leaves_no_hole_in_another(virtually: Virtually) -> None:
    """A batch of two that is to be sent again goes when one is lost, also while a later batch is under way."""

    async def story(lab: Lab) -> None:
        sink = ReceiptSink(timeout_secs=20, secs=10)
        corp = await _batch_of_two(lab, sink)
        dispatcher = lab.dispatcher(sink, BatchLimits(max_in_flight=8))
        async with running(lab, dispatcher):
            await asyncio.sleep(25)
            await lab.append(range(12, 13), corp)
            await asyncio.sleep(9)
            assert 1 == len(sink.taken)
            lab.store.spread({lab.acme})
            sink.indexers.stores_all = True
            await asyncio.sleep(600)
            assert {lab.acme: 0, corp.account_id: 3} == await lab.store.positions("hook")
            assert [0, 1, 10, 11] == sorted(sink.taken[b"r0"])
            assert not {0, 1}.intersection(*[numbers for receipt, numbers in sink.taken.items() if receipt != b"r0"])

    virtually(story)


def test_what_was_not_confirmed_goes_with_its_account(virtually: Virtually) -> None:
    """A batch of two that was handed over before one was lost is not sent again with the events of that one."""

    async def story(lab: Lab) -> None:
        sink = ReceiptSink(timeout_secs=20)
        corp = await _batch_of_two(lab, sink)
        async with running(lab, lab.dispatcher(sink, BatchLimits(max_in_flight=8))):
            await asyncio.sleep(5)
            lab.store.spread({lab.acme})
            sink.indexers.stores_all = True
            await asyncio.sleep(600)
            assert {lab.acme: 0, corp.account_id: 2} == await lab.store.positions("hook")
            assert [[0, 1, 10, 11], [10, 11]] == [sorted(one) for one in sink.taken.values()]

    virtually(story)


def test_an_account_that_comes_back_is_read_again_only_once(virtually: Virtually) -> None:
    """What was handed over before it went is not sent again beside what was read from its position."""

    async def story(lab: Lab) -> None:
        sink = ReceiptSink(timeout_secs=20)
        corp = await _batch_of_two(lab, sink)
        async with running(lab, lab.dispatcher(sink, BatchLimits(max_in_flight=8))):
            await asyncio.sleep(5)
            sink.indexers.stores_all = True
            for elsewhere in ({lab.acme}, set[int]()):
                lab.store.spread(elsewhere)
                await asyncio.sleep(1)
            await asyncio.sleep(600)
            assert {lab.acme: 2, corp.account_id: 2} == await lab.store.positions("hook")
            assert [[0, 1, 10, 11], [0, 1], [10, 11]] == [sorted(one) for one in sink.taken.values()]

    virtually(story)


def test_what_somebody_else_delivers_is_not_told_as_skipped(
    virtually: Virtually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account lost while a backlog is passed over keeps its position, and nothing of it counts or is told."""

    async def story(lab: Lab) -> None:
        corp = await lab.account("corp")
        await lab.append(range(2))
        await lab.append(range(10, 15), corp)
        sink = FakeSink()
        sink.outage = TransientError("down")
        dispatcher = lab.dispatcher(sink)
        snapshot = lab.store.snapshot

        async def lose() -> StoreSnapshot:
            lab.store.elsewhere = {corp.account_id}
            return await snapshot()

        monkeypatch.setattr(lab.store, "snapshot", lose)
        with capture_logs() as logs:
            async with running(lab, dispatcher):
                await asyncio.sleep(30)
                dispatcher.skip()
                await asyncio.sleep(5)
        assert {lab.acme: 2, corp.account_id: 0} == await lab.store.positions("hook")
        assert [2] == [line["events"] for line in logs if line["event"] == "backlog_skipped"]

    virtually(story)


def test_nothing_is_sent_from_a_position_that_nobody_knows(
    virtually: Virtually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A destination that was released meanwhile is shown as failing, and goes on once the store knows it again."""

    async def story(lab: Lab) -> None:
        await lab.append(range(3))
        sink = FakeSink()
        positions = lab.store.positions

        async def none(_: str) -> dict[int, int]:
            return {}

        async with running(lab, lab.dispatcher(sink)):
            with monkeypatch.context() as patch:
                patch.setattr(lab.store, "positions", none)
                await asyncio.sleep(60)
                assert [] == sent(sink)
                assert "stands" in lab.health.condition(Component.of_destination("hook")).reason
            assert positions == lab.store.positions
            await asyncio.sleep(5)
            assert [[0, 1, 2]] == sent(sink)

    virtually(story)


async def _hand_over_elsewhere(lab: Lab, token: bytes) -> None:
    receipt = Receipt(lab.acme, 0, 3, 3, token, lab.clock.now())
    lab.store.elsewhere = set()
    await lab.store.settle(Settlement("hook", [], handed=[receipt]))
    lab.store.elsewhere = {lab.acme}
