"""A destination while accounts come from other replicas and go to them."""

import asyncio

import pytest

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import TransientError
from mcwatch.domain.outbox import Receipt, Settlement
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


async def _hand_over_elsewhere(lab: Lab, token: bytes) -> None:
    receipt = Receipt(lab.acme, 0, 3, 3, token, lab.clock.now())
    lab.store.elsewhere = set()
    await lab.store.settle(Settlement("hook", [], handed=[receipt]))
    lab.store.elsewhere = {lab.acme}
