"""Sending beside the log: each event comes to its end, or the command hears why not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import AuthError, FailureReason, PermanentError, ThrottledError, TransientError
from mcwatch.domain.redaction import Redaction
from mcwatch.domain.redaction_rules import Action
from mcwatch.domain.selection import Selection
from mcwatch.formats.json import JsonFormat
from mcwatch.pipeline.batches import BatchLimits, View
from mcwatch.pipeline.delivery import MASS_REFUSAL
from mcwatch.pipeline.rendering import NATIVE, Rendering
from mcwatch.pipeline.resending import Resender
from tests.contract.store_kit import native, numbers_of
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab, refused, retry, sent
from tests.unit.pipeline.receiver import ReceiptSink, Virtually, running

pytestmark = pytest.mark.timeout(10)
_UNTIL = 60.0


_VIEW = View(Selection(), Rendering(NATIVE, JsonFormat()))


@asynccontextmanager
async def _opened(lab: Lab, sink: FakeSink, view: View = _VIEW) -> AsyncIterator[Resender]:
    outlet = lab.outlet(sink)
    async with outlet.opened():
        yield Resender(outlet, view)


def _events(*numbers: int) -> list[bytes]:
    return [native(number, pad=40) for number in numbers]


class Poisoned(FakeSink):
    """Refuses every batch that holds one of some events, without a word which."""

    def __init__(self, *poison: int, most_at_once: int = 1) -> None:
        super().__init__(most_at_once=most_at_once)
        self.poison = set(poison)

    async def deliver(self, batch: Batch) -> Verdicts:
        """Refuse, or accept."""
        if self.poison & set(numbers_of(batch.native)):
            self.batches.append(batch)
            raise PermanentError("not with me", reason=FailureReason.TOO_LARGE)
        return await super().deliver(batch)


def test_all_is_accepted(virtually: Virtually) -> None:
    """What is accepted is counted as sent again, with the identities it had, and no position moves."""

    async def story(lab: Lab) -> None:
        sink = FakeSink()
        async with _opened(lab, sink) as resender:
            resent = await resender.send_events(_events(3, 1), _UNTIL)
        assert ({}, 2) == (resent.refused, resent.accepted)
        assert [[3, 1]] == sent(sink)
        assert 2.0 == lab.metric("events_resent_total", destination="hook")
        assert 0 == await lab.position()
        assert 0 == (await lab.figures()).delivered

    virtually(story)


def test_refusals_by_name(virtually: Virtually) -> None:
    """Events refused by name are returned, those asked for again are sent until they are taken."""

    async def story(lab: Lab) -> None:
        sink = FakeSink(Verdicts(refused(1).refused, frozenset({2})), retry(0))
        async with _opened(lab, sink) as resender:
            resent = await resender.send_events(_events(0, 1, 2), _UNTIL)
        assert [[0, 1, 2], [2], [2]] == sent(sink)
        assert {1: "no to 1"} == {index: refusal.detail for index, refusal in resent.refused.items()}
        assert 2 == resent.accepted

    virtually(story)


def test_refused_alone_without_a_witness(virtually: Virtually) -> None:
    """Nothing comes after it here, so the receiver's word stands, with its reason and words."""

    async def story(lab: Lab) -> None:
        async with _opened(lab, Poisoned(7)) as resender:
            resent = await resender.send_events(_events(7), _UNTIL)
            assert [(FailureReason.TOO_LARGE, "not with me")] == [
                (one.reason, one.detail) for one in resent.refused.values()
            ]
            assert not resender.outlet.gate.is_closed
        assert lab.condition().up is None

    virtually(story)


def test_only_those_refused_are_called_so(virtually: Virtually) -> None:
    """An event asked for again beside one refused without a witness is sent again, not given up."""

    async def story(lab: Lab) -> None:
        class Sink(Poisoned):
            async def deliver(self, batch: Batch) -> Verdicts:
                if numbers_of(batch.native) == [0, 1] and len(self.batches) < 6:
                    self.batches.append(batch)
                    return retry(0, 1)
                return await super().deliver(batch)

        sink = Sink(2, 3)
        async with _opened(lab, sink) as resender:
            resent = await resender.send_events(_events(0, 1, 2, 3), _UNTIL)
        assert [2, 3] == sorted(resent.refused)
        assert [0, 1] == numbers_of(sink.accepted)

    virtually(story)


def test_dead_letters_refused_again_say_nothing_of_the_destination(virtually: Virtually) -> None:
    """Many letters refused one by one stay refused; the destination is neither down nor paused by it."""

    async def story(lab: Lab) -> None:
        count = 3 * MASS_REFUSAL
        async with _opened(lab, Poisoned(*range(count))) as resender:
            resent = await resender.send_events(_events(*range(count)), _UNTIL)
            assert count == len(resent.refused)
            assert not resender.outlet.gate.is_closed
            resent = await resender.send_events(_events(5, 99), _UNTIL)
            assert [0] == sorted(resent.refused)
        assert lab.condition().up is not False

    virtually(story)


def test_a_destination_that_refuses_all_of_a_replay_is_said_to(virtually: Virtually) -> None:
    """Events that were accepted once and are all refused now mean trouble: nothing is given up, the command hears."""

    async def story(lab: Lab) -> None:
        await lab.append(range(30))
        async with _opened(lab, Poisoned(*range(30))) as resender:
            inflight = await lab.reader().piece(lab.acme, 0, 30, "acme")
            with pytest.raises(TransientError, match="does not take events") as caught:
                await resender.send([inflight], _UNTIL)
        assert "run the same command again" in caught.value.remedy

    virtually(story)


def test_passing_trouble_is_waited_out(virtually: Virtually) -> None:
    """The destination's own gate holds: what passes is waited for."""

    async def story(lab: Lab) -> None:
        sink = FakeSink(TransientError("down"), ThrottledError("slow", retry_after_secs=20))
        async with _opened(lab, sink) as resender:
            resent = await resender.send_events(_events(1), _UNTIL)
        assert 1 == resent.accepted
        assert 20 <= lab.clock.monotonic() < 25

    virtually(story)


def test_trouble_that_lasts_is_said(virtually: Virtually) -> None:
    """After the time given, or when the gate stays closed for longer than that, the command hears why."""

    async def story(lab: Lab) -> None:
        sink = FakeSink()
        sink.outage = TransientError("down")
        async with _opened(lab, sink) as resender:
            with pytest.raises(TransientError, match="does not take events"):
                await resender.send_events(_events(1), _UNTIL)
            assert lab.clock.monotonic() < 130
        sink = FakeSink(ThrottledError("slow", retry_after_secs=2000))
        async with _opened(lab, sink) as resender:
            started = lab.clock.monotonic()
            with pytest.raises(TransientError, match="not tried again so soon"):
                await resender.send_events(_events(1), started + _UNTIL)
            assert started == lab.clock.monotonic()

    virtually(story)


def test_a_refused_credential_is_said_at_once(virtually: Virtually) -> None:
    """Waiting does not mend it; the destination is down for its own deliveries too."""

    async def story(lab: Lab) -> None:
        async with _opened(lab, FakeSink(AuthError("who?"))) as resender:
            with pytest.raises(AuthError):
                await resender.send_events(_events(1), _UNTIL)
            assert resender.outlet.gate.is_closed
        assert lab.condition().up is False

    virtually(story)


def test_receipts_are_waited_for(virtually: Virtually) -> None:
    """With acknowledgements an event counts once it is confirmed; a question that fails is asked again."""

    async def story(lab: Lab) -> None:
        sink = ReceiptSink(timeout_secs=300)
        sink.indexers.outage = TransientError("away")
        sink.indexers.stores_all = True
        async with _opened(lab, sink) as resender:
            sending = asyncio.ensure_future(resender.send_events(_events(1, 2), _UNTIL))
            await asyncio.sleep(12)
            assert not sending.done()
            sink.indexers.outage = None
            sink.indexers._told.clear()
            assert 2 == (await sending).accepted
        assert 1 == len(sink.batches)

    virtually(story)


def test_what_is_never_confirmed_is_sent_again_and_then_said(virtually: Virtually) -> None:
    """Overdue events go again while there is time; then the command hears of it, and nothing goes round for ever."""

    async def story(lab: Lab) -> None:
        sink = ReceiptSink(timeout_secs=20)
        async with _opened(lab, sink) as resender:
            with pytest.raises(TransientError, match="does not acknowledge"):
                await resender.send_events(_events(1, 2), _UNTIL)
        assert 2 <= len(sink.batches) <= 4
        assert lab.clock.monotonic() < 120

    virtually(story)


def test_what_is_never_confirmed_in_a_long_time(virtually: Virtually) -> None:
    """A time-out longer than the step is waited for once."""

    async def story(lab: Lab) -> None:
        sink = ReceiptSink(timeout_secs=300)
        async with _opened(lab, sink) as resender:
            with pytest.raises(TransientError, match="does not acknowledge"):
                await resender.send_events(_events(1), _UNTIL)
        assert 1 == len(sink.batches)
        assert 300 <= lab.clock.monotonic() < 320

    virtually(story)


def test_what_is_sent_again_is_redacted(virtually: Virtually) -> None:
    """A dead letter holds the native event, and its receiver sees no more than before."""

    async def story(lab: Lab) -> None:
        redaction = Redaction(b"key", {"subject": Action.DROP})
        view = View(Selection(), Rendering("json redacted", JsonFormat(), redaction))
        sink = FakeSink()
        async with _opened(lab, sink, view) as resender:
            await resender.send_events(_events(1, 2), _UNTIL)
        assert [1, 2] == [int(head.event_id, 16) for head in sink.batches[0].heads]
        assert not any(b"x" * 40 in payload for payload in sink.batches[0].payloads)

    virtually(story)


def test_nothing_goes_into_a_sink_that_is_not_open(virtually: Virtually) -> None:
    """While the daemon starts or stops the command is told to come again."""

    async def story(lab: Lab) -> None:
        sink = FakeSink()
        with pytest.raises(TransientError, match="starting or stopping"):
            await Resender(lab.outlet(sink), _VIEW).send_events(_events(1), _UNTIL)
        assert [] == sink.batches

    virtually(story)


def test_a_sink_that_takes_one_batch_gets_one(virtually: Virtually) -> None:
    """What is sent again waits for its turn among the destination's own deliveries, and they for it."""

    async def story(lab: Lab) -> None:
        await lab.append(range(20))
        now: list[int] = []

        class Slow(FakeSink):
            async def deliver(self, batch: Batch) -> Verdicts:
                now.append(1)
                assert 1 == len(now)
                await asyncio.sleep(1)
                now.pop()
                return await super().deliver(batch)

        sink = Slow()
        dispatcher = lab.dispatcher(sink, BatchLimits(max_events=2))
        async with running(lab, dispatcher):
            await asyncio.sleep(0.5)
            resender = Resender(dispatcher.outlet, _VIEW)
            for number in (100, 101, 102):
                await resender.send_events(_events(number), lab.clock.monotonic() + _UNTIL)
            await asyncio.sleep(20)
        assert 20 == await lab.position()
        assert {100, 101, 102} <= set(numbers_of(sink.accepted))
        assert [*range(20)] == [one for one in numbers_of(sink.accepted) if one < 100]

    virtually(story)


def test_a_command_that_goes_away_leaves_the_sink_usable(virtually: Virtually) -> None:
    """What was asked for ends with whoever asked; the destination's own deliveries go on."""

    async def story(lab: Lab) -> None:
        class Slow(FakeSink):
            async def deliver(self, batch: Batch) -> Verdicts:
                await asyncio.sleep(5)
                return await super().deliver(batch)

        sink = Slow()
        dispatcher = lab.dispatcher(sink)
        async with running(lab, dispatcher):
            await asyncio.sleep(0.5)
            sending = asyncio.ensure_future(Resender(dispatcher.outlet, _VIEW).send_events(_events(100), _UNTIL))
            await asyncio.sleep(1)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await lab.append(range(3))
            await asyncio.sleep(10)
        assert [0, 1, 2] == numbers_of(sink.accepted)

    virtually(story)


def test_what_is_under_way_ends_before_the_sink_is_closed(virtually: Virtually) -> None:
    """A daemon that stops takes no sink away from under a retry; the next batch of it is not begun."""

    async def story(lab: Lab) -> None:
        class Slow(FakeSink):
            async def deliver(self, batch: Batch) -> Verdicts:
                await asyncio.sleep(5)
                assert self.is_open
                return await super().deliver(batch)

        dispatcher = lab.dispatcher(Slow())
        async with running(lab, dispatcher) as task:
            await asyncio.sleep(0.5)
            resender = Resender(dispatcher.outlet, _VIEW)
            sending = asyncio.ensure_future(resender.send_events(_events(100), _UNTIL))
            await asyncio.sleep(1)
            dispatcher.drain()
            await asyncio.sleep(1)
            with pytest.raises(TransientError, match="starting or stopping"):
                await resender.send_events(_events(101), _UNTIL)
            await task
            assert 1 == (await sending).accepted
        assert 5.0 == lab.clock.monotonic() - 0.5

    virtually(story)


def test_batches_that_wait_together_are_sent_again_one_by_one(virtually: Virtually) -> None:
    """Of several batches only those that are overdue go again, and each one's fate is told."""

    async def story(lab: Lab) -> None:
        await lab.append(range(6))
        sink = ReceiptSink(Verdicts(), refused(0), timeout_secs=10)
        sink.indexers.stored = {b"r0", b"r3"}
        sink.indexers.stored.add(b"r1")
        async with _opened(lab, sink) as resender:
            assert 8 == resender.most_together
            reader = lab.reader()
            batches = [await reader.piece(lab.acme, at, 2, "acme") for at in (0, 2, 4)]
            resent = await resender.send(batches, _UNTIL)
        assert [[0, 1], [2, 3], [4, 5], [4, 5]] == sent(sink)
        assert [(2, []), (1, [0]), (2, [])] == [(one.accepted, sorted(one.refused)) for one in resent]
        assert 5.0 == lab.metric("events_resent_total", destination="hook")

    virtually(story)


def test_old_events_that_are_refused_leave_the_live_feed_alone(virtually: Virtually) -> None:
    """A replay of which nothing is accepted ends by itself; new events are sent at once, and the destination is up."""

    async def story(lab: Lab) -> None:
        sink = Poisoned()
        await lab.append(range(12))
        dispatcher = lab.dispatcher(sink)
        async with running(lab, dispatcher):
            await asyncio.sleep(5)
            assert 12 == len(sink.accepted)
            sink.poison = set(range(12))
            resender = Resender(dispatcher.outlet, _VIEW)
            for _ in range(3):
                piece = await lab.reader().piece(lab.acme, 0, 12, "acme")
                with pytest.raises(TransientError, match="refused"):
                    await resender.send([piece], lab.clock.monotonic() + _UNTIL)
            assert lab.condition().up is True
            assert not dispatcher.outlet.gate.is_closed
            # A newest event that is refused finds no refusals counted before it.
            sink.poison.add(12)
            await lab.append(range(12, 13))
            await asyncio.sleep(0.01)
            assert lab.condition().up is True
            await lab.append(range(13, 20))
            await asyncio.sleep(5)
        assert list(range(13, 20)) == sorted(numbers_of(sink.accepted[12:]))

    virtually(story)


def test_trouble_met_by_a_replay_holds_the_live_feed_too(virtually: Virtually) -> None:
    """A credential that is refused beside the log is refused within it."""

    async def story(lab: Lab) -> None:
        sink = FakeSink(AuthError("who are you?", remedy="check the token"))
        async with _opened(lab, sink) as resender:
            with pytest.raises(AuthError):
                await resender.send_events(_events(1), _UNTIL)
            assert resender.outlet.gate.is_closed
        assert lab.condition().up is False

    virtually(story)
