"""Receipts after a restart: what was handed over is taken up again, whatever else there was beside it."""

import asyncio

import pytest

from mcwatch.domain.delivery import Verdicts
from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.outbox import Receipt
from mcwatch.domain.selection import Selection
from mcwatch.pipeline.batches import BatchLimits
from tests.contract.store_kit import append, native
from tests.unit.pipeline.lab import Lab, retry, sent
from tests.unit.pipeline.receiver import ReceiptSink, Virtually, running

pytestmark = pytest.mark.timeout(10)
_TWO = BatchLimits(max_events=2, max_in_flight=32)


def test_receipts_are_taken_up_after_a_restart(virtually: Virtually) -> None:
    """What was handed over before a crash is asked for, not sent again, and what follows goes on behind it."""

    async def story(lab: Lab) -> None:
        await lab.append(range(6))
        before = ReceiptSink()
        async with running(lab, lab.dispatcher(before, _TWO)):
            await asyncio.sleep(1)
        assert [b"r0", b"r1", b"r2"] == [one.token for one in await lab.store.receipts("hook")]
        await lab.append(range(6, 8))
        after = ReceiptSink(first=3)
        after.indexers.stores_all = True
        async with running(lab, lab.dispatcher(after, _TWO)):
            await asyncio.sleep(30)
        assert [[6, 7]] == sent(after)
        assert 8 == await lab.position()
        assert 8 == (await lab.figures()).delivered

    virtually(story)


def test_receipts_keep_their_age_over_a_restart(virtually: Virtually) -> None:
    """The time before the restart counts: a receipt is overdue when it would have been."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        async with running(lab, lab.dispatcher(ReceiptSink(timeout_secs=100), _TWO)):
            await asyncio.sleep(1)
        await asyncio.sleep(70)
        after = ReceiptSink(timeout_secs=100, first=1)
        after.indexers.stored = {b"r1"}
        async with running(lab, lab.dispatcher(after, _TWO)):
            await asyncio.sleep(20)
            assert [] == after.batches
            await asyncio.sleep(30)
        assert [[0, 1]] == sent(after)
        assert 2 == await lab.position()

    virtually(story)


def test_several_accounts_under_one_receipt_survive_a_restart(virtually: Virtually) -> None:
    """Events of several accounts that went in one request are confirmed together, also by a later process."""

    async def story(lab: Lab) -> None:
        corp = await lab.account("corp")
        await lab.append(range(2))
        await lab.append(range(100, 103), corp)
        limits = BatchLimits(max_events=10, max_in_flight=4)
        async with running(lab, lab.dispatcher(ReceiptSink(), limits)):
            await asyncio.sleep(1)
        kept = await lab.store.receipts("hook")
        assert [(lab.acme, 0, 2, b"r0"), (corp.account_id, 0, 3, b"r0")] == [
            (one.account_id, one.start, one.end, one.token) for one in kept
        ]
        after = ReceiptSink(first=1)
        after.indexers.stored = {b"r0"}
        async with running(lab, lab.dispatcher(after, limits)):
            await asyncio.sleep(30)
        assert [] == after.batches
        assert {lab.acme: 2, corp.account_id: 3} == await lab.store.positions("hook")

    virtually(story)


def test_several_accounts_under_one_receipt_that_is_overdue_after_a_restart(virtually: Virtually) -> None:
    """Each account's part of it is sent again."""

    async def story(lab: Lab) -> None:
        corp = await lab.account("corp")
        await lab.append(range(2))
        await lab.append(range(100, 103), corp)
        limits = BatchLimits(max_events=10, max_in_flight=4)
        async with running(lab, lab.dispatcher(ReceiptSink(timeout_secs=30), limits)):
            await asyncio.sleep(1)
        after = ReceiptSink(timeout_secs=30, first=1)
        after.indexers.stored = {b"r1", b"r2"}
        async with running(lab, lab.dispatcher(after, limits)):
            await asyncio.sleep(90)
        assert [[0, 1], [100, 101, 102]] == sorted(sent(after))
        assert {lab.acme: 2, corp.account_id: 3} == await lab.store.positions("hook")

    virtually(story)


def test_a_hole_between_receipts_is_sent_again_with_all_behind_it(virtually: Virtually) -> None:
    """A batch that was never handed over as a whole leaves no receipt; what follows it is not taken up either."""

    async def story(lab: Lab) -> None:
        await lab.append(range(6))
        async with running(lab, lab.dispatcher(ReceiptSink(Verdicts(), retry(1)), _TWO)):
            await asyncio.sleep(20)
        assert [0, 4] == [one.start for one in await lab.store.receipts("hook")]
        after = ReceiptSink(first=9)
        after.indexers.stores_all = True
        async with running(lab, lab.dispatcher(after, _TWO)):
            await asyncio.sleep(30)
        assert [[2, 3], [4, 5]] == sent(after)
        assert 6 == await lab.position()

    virtually(story)


def _mixed(numbers: range) -> list[bytes]:
    return [native(at, kind="message.seen" if at % 3 == 2 else "queue.left") for at in numbers]


def test_receipts_of_a_destination_that_selects_survive_a_restart(virtually: Virtually) -> None:
    """Events not wanted before, between and behind those of a receipt neither lose it nor those that follow it."""

    async def story(lab: Lab) -> None:
        await append(lab.store, lab, lab.feed, _mixed(range(24)))
        limits = BatchLimits(max_events=6, max_in_flight=32)
        messages = Selection(kinds=("message.*",))
        before = ReceiptSink()
        before.indexers.stored = {b"r0"}
        async with running(lab, lab.dispatcher(before, limits, messages)):
            await asyncio.sleep(5)
        assert [[2, 5], [8, 11], [14, 17], [20, 23]] == sent(before)
        assert 6 == await lab.position()
        after = ReceiptSink(first=4)
        after.indexers.stores_all = True
        async with running(lab, lab.dispatcher(after, limits, messages)):
            await asyncio.sleep(30)
        assert [] == after.batches
        figures = await lab.figures()
        assert (24, 8, 16) == (await lab.position(), figures.delivered, figures.not_selected)

    virtually(story)


def test_receipt_of_a_batch_whose_beginning_was_passed_while_it_was_under_way(virtually: Virtually) -> None:
    """The position may reach the batch before its answer does: its receipt is kept from there on."""

    async def story(lab: Lab) -> None:
        await append(lab.store, lab, lab.feed, _mixed(range(12)))
        limits = BatchLimits(max_events=6, max_in_flight=32)
        messages = Selection(kinds=("message.*",))
        before = ReceiptSink(secs=5.0)
        before.indexers.stored = {b"r0"}
        async with running(lab, lab.dispatcher(before, limits, messages)):
            await asyncio.sleep(7)
            assert 8 == await lab.position()
            await asyncio.sleep(5)
        assert [(8, 12, 2)] == [(one.start, one.end, one.delivered) for one in await lab.store.receipts("hook")]
        after = ReceiptSink(first=4)
        after.indexers.stores_all = True
        async with running(lab, lab.dispatcher(after, limits, messages)):
            await asyncio.sleep(30)
        assert [] == after.batches
        figures = await lab.figures()
        assert (12, 4, 8) == (await lab.position(), figures.delivered, figures.not_selected)

    virtually(story)


@pytest.mark.parametrize(("kinds", "expected"), [("*", [0, 1, 2, 3, 4, 5]), ("message.*", [2, 5]), ("x.*", [])])
def test_overdue_after_a_restart_with_another_selection(virtually: Virtually, kinds: str, expected: list[int]) -> None:
    """What is sent again is what the destination wants now."""

    async def story(lab: Lab) -> None:
        await append(lab.store, lab, lab.feed, _mixed(range(6)))
        limits = BatchLimits(max_events=6, max_in_flight=32)
        async with running(lab, lab.dispatcher(ReceiptSink(timeout_secs=9), limits, Selection(kinds=("queue.*",)))):
            await asyncio.sleep(5)
        after = ReceiptSink(first=4, timeout_secs=9)
        after.indexers.stores_all = True
        after.indexers._told.add(b"r0")
        async with running(lab, lab.dispatcher(after, limits, Selection(kinds=(kinds,)))):
            await asyncio.sleep(60)
        assert ([expected] if expected else []) == sent(after)
        figures = await lab.figures()
        assert (6, len(expected)) == (await lab.position(), figures.delivered)

    virtually(story)


def test_batches_of_which_nothing_is_wanted_hold_their_place(virtually: Virtually) -> None:
    """Between two that wait for receipts they are neither sent nor passed, and a restart finds all three again."""

    async def story(lab: Lab) -> None:
        for numbers, kind in ((range(2), "message.seen"), (range(2, 4), "queue.left"), (range(4, 6), "message.seen")):
            await append(lab.store, lab, lab.feed, [native(number, kind=kind) for number in numbers])
        messages = Selection(kinds=("message.*",))
        before = ReceiptSink()
        before.indexers.stored = {b"r1"}
        async with running(lab, lab.dispatcher(before, _TWO, messages)):
            await asyncio.sleep(5)
        assert [[0, 1], [4, 5]] == sent(before)
        assert 0 == await lab.position()
        assert [(0, 2, 2), (2, 4, 0), (4, 6, 2)] == [
            (one.start, one.end, one.delivered) for one in await lab.store.receipts("hook")
        ]
        after = ReceiptSink(first=2)
        after.indexers.stores_all = True
        async with running(lab, lab.dispatcher(after, _TWO, messages)):
            await asyncio.sleep(30)
        assert [] == after.batches
        figures = await lab.figures()
        assert (6, 4, 2) == (await lab.position(), figures.delivered, figures.not_selected)

    virtually(story)


def test_receipts_that_cannot_be_read_at_the_start_are_read_later(virtually: Virtually) -> None:
    """A store that is busy when the daemon starts costs a moment and nothing else."""

    async def story(lab: Lab) -> None:
        await lab.append(range(2))
        async with running(lab, lab.dispatcher(ReceiptSink(), _TWO)):
            await asyncio.sleep(1)
        read, errors = lab.store.receipts, [StoreUnavailable("busy")] * 3

        async def moody(destination: str) -> list[Receipt]:
            if errors:
                raise errors.pop()
            return await read(destination)

        after = ReceiptSink(first=1)
        after.indexers.stored = {b"r0"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lab.store, "receipts", moody)
            async with running(lab, lab.dispatcher(after, _TWO)):
                await asyncio.sleep(30)
        assert [] == after.batches
        assert 2 == await lab.position()

    virtually(story)
