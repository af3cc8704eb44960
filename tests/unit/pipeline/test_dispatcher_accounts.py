"""Several accounts at one destination: side by side, in order each, and witnesses for one another."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import FailureReason, PermanentError, ThrottledError, TransientError
from mcwatch.pipeline.batches import BatchLimits
from tests.contract.store_kit import append, assert_identities, native, numbers_of
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab, retry, sent
from tests.unit.pipeline.receiver import ReceiptSink, drained, running, virtual_lab
from tests.virtual.loop import run_virtually, virtual_loop

pytestmark = pytest.mark.timeout(10)
_FIVE = BatchLimits(max_events=5)


class Watched(FakeSink):
    """Takes ``secs`` seconds for a batch and notes how many it had at the same time."""

    def __init__(self, *answers: Verdicts | TransientError, most_at_once: int, secs: float = 1.0) -> None:
        super().__init__(*answers, most_at_once=most_at_once)
        self.secs = secs
        self.now: list[set[int]] = []
        self.most = 0

    async def deliver(self, batch: Batch) -> Verdicts:
        """Deliver slowly, never two batches of one account at a time."""
        accounts = {number // 1000 for number in numbers_of(batch.native)}
        assert not any(accounts & others for others in self.now)
        self.now.append(accounts)
        self.most = max(self.most, len(self.now))
        try:
            await asyncio.sleep(self.secs)
            return await super().deliver(batch)
        finally:
            self.now.remove(accounts)


async def _fill(lab: Lab, accounts: int, events: int) -> None:
    for at in range(accounts):
        feed = await lab.account(f"a{at}") if at else lab.feed
        await lab.append(range(at * 1000, at * 1000 + events), feed)


def _in_order(sink: FakeSink, accounts: int, events: int) -> None:
    arrived = numbers_of(sink.accepted)
    for at in range(accounts):
        assert list(range(at * 1000, at * 1000 + events)) == [one for one in arrived if one // 1000 == at]


def test_accounts_go_side_by_side(tmp_path: Path) -> None:
    """Where the sink can, batches of different accounts are under way at once, up to its limit, in order each."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            await _fill(lab, 6, 40)
            sink = Watched(most_at_once=4)
            secs = await drained(lab, lab.dispatcher(sink, _FIVE))
            assert 4 == sink.most
            assert 12 < secs < 20, "48 batches one after the other would take 48 s"
            _in_order(sink, 6, 40)
            assert_identities(await lab.store.snapshot())

    run_virtually(story())


@pytest.mark.parametrize(("accounts", "most_at_once"), [(1, 8), (4, 1)])
def test_one_at_a_time(tmp_path: Path, accounts: int, most_at_once: int) -> None:
    """A single account never has two batches under way, and a sink that takes one never gets two."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            await _fill(lab, accounts, 20)
            sink = Watched(most_at_once=most_at_once)
            await drained(lab, lab.dispatcher(sink, _FIVE))
            assert 1 == sink.most
            _in_order(sink, accounts, 20)

    run_virtually(story())


def test_failures_side_by_side_are_one_failure(tmp_path: Path) -> None:
    """Batches that fail together close the gate for as long as one of them would."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            await _fill(lab, 4, 40)
            sink = Watched(most_at_once=4)
            dispatcher = lab.dispatcher(sink, _FIVE)
            async with running(lab, dispatcher):
                await asyncio.sleep(6.5)
                assert 4 == len(sink.now)
                sink.outage = TransientError("down")
                now = virtual_loop().time()
                await asyncio.sleep(0.6)
                assert 0 < dispatcher.outlet.gate.opens_at - now <= 0.5 + 1.0
                assert 2 == dispatcher.outlet.concurrency.limit
                sink.outage = None
                await asyncio.sleep(60)
            _in_order(sink, 4, 40)

    run_virtually(story())


def test_a_success_begun_earlier_opens_no_gate(tmp_path: Path) -> None:
    """The pause that a receiver asks for holds, although it then accepts what it had before."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            await _fill(lab, 2, 10)
            times: list[float] = []

            class Uneven(Watched):
                async def deliver(self, batch: Batch) -> Verdicts:
                    times.append(virtual_loop().time())
                    self.secs = 3.0 if numbers_of(batch.native)[0] < 1000 else 1.0
                    if len(times) == 4:
                        await asyncio.sleep(self.secs)
                        raise ThrottledError("slow down", retry_after_secs=50)
                    return await super().deliver(batch)

            sink = Uneven(most_at_once=2)
            async with running(lab, lab.dispatcher(sink, BatchLimits(max_events=2))):
                await asyncio.sleep(200)
            late = [at for at in times[4:] if at > times[3] + 1]
            assert late
            assert min(late) >= times[3] + 1 + 50
            _in_order(sink, 2, 10)

    run_virtually(story())


def test_a_stuck_account_holds_up_no_other(tmp_path: Path) -> None:
    """While a batch of one account hangs, the others go on as long as the sink has room."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            await _fill(lab, 3, 20)
            hung = asyncio.Event()

            class Hanging(Watched):
                async def deliver(self, batch: Batch) -> Verdicts:
                    if 0 in numbers_of(batch.native) and not hung.is_set() and len(self.batches) > 2:
                        hung.set()
                        await asyncio.sleep(500)
                        raise TransientError("it has hung")
                    return await super().deliver(batch)

            sink = Hanging(*[TransientError("not yet")] * 2, most_at_once=3)
            async with running(lab, lab.dispatcher(sink, _FIVE)):
                await asyncio.sleep(300)
                arrived = numbers_of(sink.accepted)
                assert 40 == sum(one >= 1000 for one in arrived) or not hung.is_set()
                await asyncio.sleep(700)
            _in_order(sink, 3, 20)

    run_virtually(story())


def test_what_is_asked_for_again_is_not_sent_beside_the_same_account(tmp_path: Path) -> None:
    """Several overdue batches of one account are sent again one after the other."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            await lab.append(range(12))
            under_way: list[int] = []

            class Sink(ReceiptSink):
                async def deliver(self, batch: Batch) -> Verdicts:
                    self.secs = 0.01 if len(self.batches) < 6 else 1.0
                    under_way.append(1)
                    assert 1 == len(under_way)
                    try:
                        return await super().deliver(batch)
                    finally:
                        under_way.pop()

            sink = Sink(most_at_once=4, timeout_secs=10)
            limits = BatchLimits(max_events=2, max_in_flight=8)
            async with running(lab, lab.dispatcher(sink, limits)):
                await asyncio.sleep(9)
                sink.indexers.stored = {b"r%d" % at for at in range(6, 99)}
                await asyncio.sleep(90)
            assert 12 == len(sink.batches)
            assert 12 == await lab.position()

    run_virtually(story())


def test_another_account_is_witness(tmp_path: Path) -> None:
    """An event refused alone, without a word which, is given up once an event of another account is accepted."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            corp = await lab.account("corp")
            await lab.append(range(1))

            class Poisoned(FakeSink):
                async def deliver(self, batch: Batch) -> Verdicts:
                    if 0 in numbers_of(batch.native):
                        self.batches.append(batch)
                        raise PermanentError("not with me")
                    return await super().deliver(batch)

            sink = Poisoned(most_at_once=4)
            async with running(lab, lab.dispatcher(sink, _FIVE)):
                await asyncio.sleep(3)
                assert 0 == await lab.position()
                assert {} == (await lab.figures()).dead_lettered
                for at in range(4):
                    await lab.append(range(1000 + at, 1001 + at), corp)
                    await asyncio.sleep(70)
            assert 1 == await lab.position()
            assert {"refused": 1} == (await lab.figures()).dead_lettered
            assert [1000, 1001, 1002, 1003] == numbers_of(sink.accepted)

    run_virtually(story())


def test_refusals_of_all_accounts_together_take_the_destination_down(tmp_path: Path) -> None:
    """A destination that refuses every single event of every account is down, and nothing is given up."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            await _fill(lab, 4, 3)

            class Closed(FakeSink):
                closed = True

                async def deliver(self, batch: Batch) -> Verdicts:
                    if self.closed:
                        raise PermanentError("never", reason=FailureReason.REFUSED)
                    return await super().deliver(batch)

            sink = Closed(most_at_once=4)
            async with running(lab, lab.dispatcher(sink, BatchLimits(max_events=3))):
                await asyncio.sleep(300)
                assert lab.condition().up is False
                assert "single events in a row" in lab.condition().reason
                assert {} == (await lab.figures()).dead_lettered
                sink.closed = False
                await asyncio.sleep(1200)
            expected = [1000 * account + at for account in range(4) for at in range(3)]
            assert expected == sorted(numbers_of(sink.accepted)), "each once; a witness may come before its turn"
            assert {} == (await lab.figures()).dead_lettered

    run_virtually(story())


def test_linger_counts_all_accounts_together(tmp_path: Path) -> None:
    """A batch goes out when the accounts together fill it, or when the first event has waited long enough."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            corp = await lab.account("corp")
            sink = FakeSink(most_at_once=2)
            limits = BatchLimits(max_events=4, linger_secs=10.0)
            async with running(lab, lab.dispatcher(sink, limits)):
                await lab.append(range(2))
                await asyncio.sleep(3)
                await lab.append(range(1000, 1002), corp)
                await asyncio.sleep(0.5)
                assert [4] == [len(batch) for batch in sink.batches]
                await lab.append(range(2, 3))
                await asyncio.sleep(9)
                assert 1 == len(sink.batches)
                await asyncio.sleep(1.5)
                assert [2] == sent(sink)[-1]

    run_virtually(story())


def test_settling_does_not_wait_for_lingering(tmp_path: Path) -> None:
    """What is confirmed while an incomplete batch waits for company is recorded at once."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            corp = await lab.account("corp")
            sink = ReceiptSink(most_at_once=2)
            limits = BatchLimits(max_events=2, linger_secs=60.0, max_in_flight=4)
            async with running(lab, lab.dispatcher(sink, limits)):
                await lab.append(range(2))
                await asyncio.sleep(1)
                await lab.append(range(1000, 1001), corp)
                await asyncio.sleep(1)
                sink.indexers.stored = {b"r0"}
                await asyncio.sleep(10)
                assert [[0, 1]] == sent(sink)
                assert 2 == await lab.position()

    run_virtually(story())


class _Fragile:
    """A format with a defect that some events bring out."""

    content_type = "text/plain"

    def __init__(self, *poison: int) -> None:
        self.poison = set(poison)

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        if self.poison & set(numbers_of(native)):
            raise ZeroDivisionError
        return native


@pytest.mark.parametrize("own_page", [False, True])
@pytest.mark.parametrize("own_account", [False, True])
def test_an_event_that_cannot_be_rendered_is_a_dead_letter(
    tmp_path: Path, *, own_page: bool, own_account: bool
) -> None:
    """A defect met by one event alone gives that event up, be it alone in its page or in its account."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            feed = await lab.account("corp") if own_account else lab.feed
            if own_page or own_account:
                await lab.append(range(3))
                await append(lab.store, lab, feed, [native(7, account=feed.account)])
            else:
                await append(lab.store, lab, lab.feed, [native(at) for at in (0, 7, 1, 2)])
            sink = FakeSink()
            async with running(lab, lab.dispatcher(sink, form=_Fragile(7))):
                await asyncio.sleep(5)
            assert [0, 1, 2] == numbers_of(sink.accepted)
            (letter,) = await lab.store.dead_letters("hook", 10)
            assert ("internal", f"{7:032x}") == (letter.reason, letter.event_id)
            assert 0 == (await lab.figures()).waiting
            assert lab.condition().up is True

    run_virtually(story())


def test_a_lone_event_that_cannot_be_rendered_waits_for_company(tmp_path: Path) -> None:
    """A defect that met every event there is blames none: the destination is down until another event comes."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            await lab.append(range(7, 8))
            sink = FakeSink()
            async with running(lab, lab.dispatcher(sink, form=_Fragile(7))):
                await asyncio.sleep(60)
                assert lab.condition().up is False
                assert 0 == await lab.position()
                await lab.append(range(8, 9))
                await asyncio.sleep(120)
            assert [8] == numbers_of(sink.accepted)
            assert {"internal": 1} == (await lab.figures()).dead_lettered
            assert lab.condition().up is True

    run_virtually(story())


def test_part_of_a_batch_goes_on_beside_other_accounts(tmp_path: Path) -> None:
    """Events asked for again hold up their own account alone."""

    async def story() -> None:
        async with virtual_lab(tmp_path) as lab:
            await _fill(lab, 2, 10)
            sink = Watched(retry(1, 2), retry(0), most_at_once=2)
            async with running(lab, lab.dispatcher(sink, _FIVE)):
                await asyncio.sleep(60)
            assert sorted([*range(10), *range(1000, 1010)]) == sorted(numbers_of(sink.accepted))
            assert_identities(await lab.store.snapshot())

    run_virtually(story())
