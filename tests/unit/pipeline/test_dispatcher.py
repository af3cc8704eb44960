"""The loop of one destination, over a real store: order, no loss, no blame without cause, an end in good time."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    PermanentError,
    StoreCorrupt,
    StoreUnavailable,
    ThrottledError,
    TransientError,
)
from mcwatch.domain.selection import Selection
from mcwatch.pipeline.batches import BatchLimits
from tests.contract.store_kit import assert_identities, numbers_of
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import GoalSink, Lab, lab_at, refused, retry, sent

pytestmark = pytest.mark.timeout(5)
_FIVE = BatchLimits(max_events=5)


async def _drain(lab: Lab, sink: FakeSink, limits: BatchLimits | None = None) -> None:
    """Deliver everything that waits."""
    dispatcher = lab.dispatcher(sink, limits)
    dispatcher.drain()
    await dispatcher.run(lab.accounts)


async def test_everything_arrives_in_order(lab: Lab) -> None:
    """All events of an account arrive in the order recorded, in batches within the limit, and the figures say so."""
    for at in range(0, 21, 3):
        await lab.append(range(at, at + 3))
    sink = FakeSink()
    await _drain(lab, sink, _FIVE)
    assert list(range(21)) == numbers_of(sink.accepted)
    assert [5, 5, 5, 5, 1] == [len(batch) for batch in sink.batches]
    assert 21 == await lab.position()
    assert 21 == (await lab.figures()).delivered
    assert 5.0 == lab.metric("delivery_requests_total", destination="hook", outcome="ok")
    assert not sink.is_open
    await _drain(lab, sink)
    assert 5 == len(sink.batches), "nothing is sent twice"


async def test_events_that_come_later_are_delivered(lab: Lab) -> None:
    """A running dispatcher wakes for events committed while it waits, page after page."""
    sink = GoalSink(goal=30)
    dispatcher = lab.dispatcher(sink)
    async with asyncio.TaskGroup() as group:
        group.create_task(lab.deliver_until_reached(dispatcher, sink))
        for at in range(0, 30, 2):
            await lab.append(range(at, at + 2))
    assert list(range(30)) == numbers_of(sink.accepted)


async def test_order_holds_per_account(lab: Lab) -> None:
    """With several accounts each one's events keep their order."""
    corp = await lab.account("corp")
    for at in range(0, 20, 4):
        await lab.append(range(at, at + 4))
        await lab.append(range(100 + at, 104 + at), corp)
    sink = FakeSink()
    await _drain(lab, sink, _FIVE)
    arrived = numbers_of(sink.accepted)
    assert list(range(20)) == [number for number in arrived if number < 100]
    assert list(range(100, 120)) == [number for number in arrived if number >= 100]
    assert_identities(await lab.store.snapshot())


async def test_passing_failure_loses_and_reorders_nothing(lab: Lab) -> None:
    """After failures of every passing kind the same events are sent again, in order, with what has come since."""
    await lab.append(range(10))
    errors = [TransientError("down"), ThrottledError("slow", retry_after_secs=7.0), TransientError("down")]
    sink = GoalSink(*errors, goal=10)
    await lab.deliver_until_reached(lab.dispatcher(sink, _FIVE), sink)
    assert list(range(10)) == numbers_of(sink.accepted)
    assert [[0, 1, 2, 3, 4]] * 4 == sent(sink)[:4]
    assert lab.clock.monotonic() >= 7.0
    assert lab.condition().up is True
    assert 1.0 == lab.metric("delivery_requests_total", destination="hook", outcome="throttled")
    assert 10 == (await lab.figures()).delivered


async def test_trouble_is_reported_while_it_lasts(lab: Lab) -> None:
    """A destination that fails is down with the reason; the first success reports the recovery."""
    await lab.append(range(1))
    sink = GoalSink(TransientError("the receiver is away"), requests=1)
    with capture_logs() as logs:
        await lab.deliver_until_reached(lab.dispatcher(sink), sink)
    assert ["component_down"] == [entry["event"] for entry in logs if entry["log_level"] == "warning"][:1]
    assert "the receiver is away" == lab.condition().last_error
    assert 1.0 == lab.metric("delivery_requests_total", destination="hook", outcome="server")


async def test_events_asked_for_again_are_sent_alone(lab: Lab) -> None:
    """Events the receiver wants again are sent again without those it has, and the position waits for them."""
    await lab.append(range(6))
    sink = GoalSink(retry(1, 3), retry(1), goal=6)
    await lab.deliver_until_reached(lab.dispatcher(sink), sink)
    assert [[0, 1, 2, 3, 4, 5], [1, 3], [3]] == sent(sink)
    assert [1, 3, 6] == [one.progress[0].position for one in lab.store.settled]
    assert 6 == (await lab.figures()).delivered


async def test_refused_credential_parks_without_dead_letters(lab: Lab) -> None:
    """While the credential is refused the destination is tried slowly; nothing is given up, and it recovers."""
    await lab.append(range(3))
    sink = GoalSink(*[AuthError("who are you?", remedy="check the token")] * 4, goal=3)
    await lab.deliver_until_reached(lab.dispatcher(sink), sink)
    assert 5 == len(sink.batches)
    assert lab.clock.monotonic() >= 0.9 * (30 + 60 + 120 + 240)
    figures = await lab.figures()
    assert (3, {}, 0) == (figures.delivered, figures.dead_lettered, figures.dead_letters)


async def test_refused_event_is_a_dead_letter(lab: Lab) -> None:
    """A refused event is kept with the reason in the transaction that passes it, and its neighbours are delivered."""
    await lab.append(range(4))
    sink = FakeSink(refused(2))
    with capture_logs() as logs:
        await _drain(lab, sink)
    figures = await lab.figures()
    assert (3, {"refused": 1}, 1, 0) == (
        figures.delivered,
        figures.dead_lettered,
        figures.dead_letters,
        figures.waiting,
    )
    (letter,) = await lab.store.dead_letters("hook", 10)
    assert (f"{2:032x}", "no to 2") == (letter.event_id, letter.detail)
    assert [f"{2:032x}"] == [entry["event_id"] for entry in logs if entry["log_level"] == "error"]
    assert not any("no to 2" in str(entry) for entry in logs), "the receiver's words stay in the dead letter"


async def test_lone_refusal_waits_for_a_witness(lab: Lab) -> None:
    """An event refused alone is read again with those that follow, and given up once one of them is accepted."""
    await lab.append(range(1))

    class Poisoned(GoalSink):
        async def deliver(self, batch: Batch) -> Verdicts:
            if 0 in numbers_of(batch.native):
                self.batches.append(batch)
                self.reached.set()
                raise PermanentError("not with me")
            return await super().deliver(batch)

    sink = Poisoned()
    dispatcher = lab.dispatcher(sink)
    await lab.deliver_until_reached(dispatcher, sink)
    assert 0 == await lab.position()
    assert lab.condition().up is False, "it has never accepted anything"
    await lab.append(range(1, 3))
    await _drain(lab, sink)
    assert 3 == await lab.position()
    assert [1, 2] == numbers_of(sink.accepted)
    assert {"refused": 1} == (await lab.figures()).dead_lettered


async def test_nothing_selected_moves_without_a_request(lab: Lab) -> None:
    """A batch of which nothing is wanted moves the position, counts, and sends nothing."""
    await lab.append(range(7))
    sink = FakeSink()
    dispatcher = lab.dispatcher(sink, selection=Selection(kinds=("queue.*",)))
    dispatcher.drain()
    await dispatcher.run(lab.accounts)
    assert [] == sink.batches
    assert 7 == await lab.position()
    assert 7 == (await lab.figures()).not_selected
    assert lab.condition().up is None


async def test_settlement_waits_for_the_store(lab: Lab) -> None:
    """While the store cannot record it, what was accepted is not sent again, and the position moves when it can."""
    await lab.append(range(3))
    lab.store.settle_errors = [StoreUnavailable("full")] * 5
    sink = FakeSink()
    await _drain(lab, sink)
    assert [[0, 1, 2]] == sent(sink)
    assert 3 == await lab.position()
    assert 5.0 == sum(secs for secs in lab.clock.sleeps if secs == 1.0)


async def test_store_that_cannot_be_read_is_asked_again(lab: Lab) -> None:
    """Events that could not be read are read again after a moment, although no new event wakes the loop."""
    await lab.append(range(3))
    lab.store.read_errors = [StoreUnavailable("busy")] * 3
    sink = GoalSink(goal=3)
    await lab.deliver_until_reached(lab.dispatcher(sink), sink)
    assert [0, 1, 2] == numbers_of(sink.accepted)


async def test_untrustworthy_store_ends_the_loop(lab: Lab) -> None:
    """A store that cannot be trusted is not read around: the error comes out."""
    await lab.append(range(3))
    lab.store.read_errors = [StoreCorrupt("damaged")]
    with pytest.raises(StoreCorrupt):
        await lab.dispatcher(FakeSink()).run(lab.accounts)


async def test_defect_in_a_sink_is_survived(lab: Lab) -> None:
    """An error nobody foresaw in a sink is logged with its traceback and the batch is sent again."""
    await lab.append(range(3))

    class Defective(GoalSink):
        async def deliver(self, batch: Batch) -> Verdicts:
            if not self.batches:
                self.batches.append(batch)
                raise ZeroDivisionError
            return await super().deliver(batch)

    sink = Defective(goal=3)
    with capture_logs() as logs:
        await lab.deliver_until_reached(lab.dispatcher(sink), sink)
    assert [0, 1, 2] == numbers_of(sink.accepted)
    assert ["delivery_defect"] == [entry["event"] for entry in logs if entry["log_level"] == "error"]
    assert {} == (await lab.figures()).dead_lettered


async def test_defect_in_a_format_is_survived(lab: Lab) -> None:
    """A format that fails stops its destination alone, which is down and tries again."""
    await lab.append(range(3))

    class Defective:
        content_type = "text/plain"
        failures = 10  # two times the batch, each of its events alone, and the batch again

        def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
            if self.failures:
                self.failures -= 1
                raise ZeroDivisionError
            return native

    sink = GoalSink(goal=3)
    with capture_logs() as logs:
        await lab.deliver_until_reached(lab.dispatcher(sink, form=Defective()), sink)
    assert [[0, 1, 2]] == sent(sink)
    assert ["render_defect", "batch_defect"] * 2 == [entry["event"] for entry in logs if entry["log_level"] == "error"]
    assert "ZeroDivisionError" in lab.condition().last_error
    assert lab.condition().up is True


async def test_drain_ends_at_once_when_the_destination_is_down(tmp_path: Path) -> None:
    """A dispatcher waiting at its closed gate returns when asked to drain, without another attempt."""
    async with lab_at(tmp_path, manual=True) as lab:
        await lab.append(range(3))
        sink = GoalSink(AuthError("who are you?"), requests=1)
        await lab.deliver_until_reached(lab.dispatcher(sink), sink)
        assert 1 == len(sink.batches)
        assert 0.0 == lab.clock.monotonic()
        assert 0 == await lab.position()
        assert 3 == (await lab.figures()).waiting


async def test_drain_ends_a_dispatcher_that_waits(tmp_path: Path) -> None:
    """A dispatcher with nothing to do returns when asked to drain."""
    async with lab_at(tmp_path, manual=True) as lab:
        await lab.append(range(1))
        sink = GoalSink(goal=1)
        dispatcher = lab.dispatcher(sink)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(dispatcher.run(lab.accounts))
            await sink.reached.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not running.done()
            dispatcher.drain()


async def test_linger_lets_a_batch_fill_up(tmp_path: Path) -> None:
    """A batch that is not full waits for company, no longer than linger, and not at all when it is full."""
    async with lab_at(tmp_path, manual=True) as lab:
        limits = BatchLimits(max_events=5, linger_secs=10.0)
        sink = GoalSink(goal=3)
        await lab.append(range(2))
        dispatcher = lab.dispatcher(sink, limits)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(dispatcher.run(lab.accounts))
            await lab.clock.asleep.wait()
            await lab.append(range(2, 3))
            while not sink.reached.is_set():
                lab.clock.advance(0.5)
                await asyncio.sleep(0.001)  # the store's threads are real
            assert [[0, 1, 2]] == sent(sink)
            assert 10.0 <= lab.clock.monotonic() < 12.0
            sink.reached.clear()
            sink.goal = 8
            now = lab.clock.monotonic()
            await lab.append(range(3, 8))
            await sink.reached.wait()
            assert now == lab.clock.monotonic()
            dispatcher.drain()
            await running
        assert [[0, 1, 2], [3, 4, 5, 6, 7]] == sent(sink)


async def test_cancelled_delivery_is_sent_again_by_the_next_run(lab: Lab) -> None:
    """A batch whose delivery is cut off by the end of the process is sent again, with the same events."""
    await lab.append(range(3))
    begun = asyncio.Event()

    class Stuck(FakeSink):
        async def deliver(self, batch: Batch) -> Verdicts:
            self.batches.append(batch)
            begun.set()
            await asyncio.Event().wait()
            return ALL_ACCEPTED

    stuck = Stuck()
    task = asyncio.ensure_future(lab.dispatcher(stuck).run(lab.accounts))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not stuck.is_open
    sink = FakeSink()
    await _drain(lab, sink)
    assert [[0, 1, 2]] == sent(stuck) == sent(sink)


async def test_mass_refusal_keeps_everything(lab: Lab) -> None:
    """A destination that refuses all it is given loses nothing: once it relents everything arrives, each event once."""
    await lab.append(range(40))

    class Closed(GoalSink):
        closed = True

        async def deliver(self, batch: Batch) -> Verdicts:
            if self.closed:
                self.batches.append(batch)
                if sum(len(one) == 1 for one in self.batches) >= 20:
                    self.closed = False
                raise PermanentError("never", reason=FailureReason.REFUSED)
            return await super().deliver(batch)

    sink = Closed(goal=40)
    await lab.deliver_until_reached(lab.dispatcher(sink), sink)
    assert list(range(40)) == sorted(numbers_of(sink.accepted))
    assert {} == (await lab.figures()).dead_lettered


async def test_success_makes_the_next_failure_the_first(lab: Lab) -> None:
    """Once a delivery has worked the next refusal is probed as early as the very first one."""
    await lab.append(range(2))
    no = AuthError("who are you?")
    sink = GoalSink(no, no, no, ALL_ACCEPTED, no, goal=2)
    await lab.deliver_until_reached(lab.dispatcher(sink, BatchLimits(max_events=1)), sink)
    probes = [secs for secs in lab.clock.sleeps if secs > 20]
    assert pytest.approx([30, 60, 120, 30], rel=0.1) == probes


async def test_lone_refusal_of_a_remainder_is_read_again_with_others(lab: Lab) -> None:
    """An event asked for again and then refused alone finds its witness in the events behind it."""
    await lab.append(range(2))
    no = PermanentError("not with me")
    sink = GoalSink(retry(0), no, no, no, goal=2)
    await lab.deliver_until_reached(lab.dispatcher(sink), sink)
    assert [[0, 1], [0], [0, 1], [0], [1]] == sent(sink)
    assert 2 == await lab.position()
    assert {"refused": 1} == (await lab.figures()).dead_lettered


async def test_a_wait_for_the_store_leaves_no_mark_where_nothing_is_selected(lab: Lab) -> None:
    """A destination that had only to record what it does not want is not left as down when the store is back."""
    await lab.append(range(3))
    lab.store.settle_errors = [StoreUnavailable("full")]
    dispatcher = lab.dispatcher(FakeSink(), selection=Selection(kinds=("queue.*",)))
    dispatcher.drain()
    await dispatcher.run(lab.accounts)
    assert 3 == await lab.position()
    assert lab.condition().up
