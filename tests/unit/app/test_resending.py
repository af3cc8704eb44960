"""Replays and retries: which events, with which identity, and what is said when it does not work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from mcwatch.app import offline
from mcwatch.app.offline import offline_routes
from mcwatch.app.resending import Resending, Way
from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import AuthError, McwatchError, PermanentError, TransientError
from mcwatch.domain.outbox import LetterChoice, Progress, Settlement
from mcwatch.domain.redaction import Redaction
from mcwatch.domain.redaction_rules import Action
from mcwatch.domain.resending import LetterRequest, ReplayedStep, ReplayPlan, ReplayRequest, ReplayStep, RetriedStep
from mcwatch.domain.selection import Selection
from mcwatch.formats.json import JsonFormat
from mcwatch.httpserver.control import ControlRequest
from mcwatch.pipeline.batches import BatchLimits, BatchReader, View
from mcwatch.pipeline.outlet import Outlet, Senses
from mcwatch.pipeline.rendering import NATIVE, Rendering
from mcwatch.pipeline.resending import Resender
from tests.contract.store_kit import SqliteEngine, append, append_numbers, native, numbers_of, rejected
from tests.fakes.clock import START
from tests.fakes.sink import FakeSink
from tests.unit.app.settings import account, settings
from tests.unit.pipeline.lab import Lab, refused, sent
from tests.unit.pipeline.receiver import ReceiptSink, running, virtual_lab
from tests.virtual.loop import run_virtually

pytestmark = pytest.mark.timeout(10)
_MINUTE = timedelta(minutes=1)
Story = Callable[[Lab], Awaitable[None]]
Virtually = Callable[[Story], None]


@pytest.fixture
def virtually(tmp_path: Path) -> Virtually:
    """Run a story in a lab in virtual time."""

    def run(story: Story) -> None:
        async def main() -> None:
            async with virtual_lab(tmp_path) as lab:
                await story(lab)

        run_virtually(main())

    return run


@asynccontextmanager
async def _resending(lab: Lab, sink: FakeSink, view: View | None = None, most: int = 500) -> AsyncIterator[Resending]:
    """Open what replays and retries to hook go through, without a daemon."""
    view = view or View(Selection(), Rendering(NATIVE, JsonFormat()))
    reader = BatchReader("hook", lab.store, lab.cache, view, BatchLimits(max_events=most))
    async with Resending(lab.store, lab.clock, serves=False) as resending:
        resending.put("hook", Way(reader, Resender(lab.outlet(sink), view)))
        yield resending


async def _pages(lab: Lab, pages: int) -> None:
    """Record three events each minute, from the start of time on."""
    for at in range(pages):
        await lab.append(range(3 * at, 3 * at + 3))
        await asyncio.sleep(60)


async def _pass(lab: Lab, position: int) -> None:
    before = await lab.position()
    await lab.store.settle(Settlement("hook", [Progress(lab.acme, position, position - before, 0)]))


def _request(first: float, last: float, destination: str = "hook") -> ReplayRequest:
    return ReplayRequest(destination=destination, start=START + first * _MINUTE, end=START + last * _MINUTE)


async def _replayed(resending: Resending, plan: ReplayPlan) -> list[ReplayedStep]:
    done, left = [], list(plan.steps)
    while left:
        done.append(await resending.replay(left.pop(0)))
        left = done[-1].rest + left
    return done


def test_a_range_is_sent_again(virtually: Virtually) -> None:
    """Exactly the events recorded in it, with their identities; positions and figures stay."""

    async def story(lab: Lab) -> None:
        await _pages(lab, 4)
        await _pass(lab, 12)
        before = await lab.figures()
        sink = FakeSink()
        async with _resending(lab, sink) as resending:
            plan = await resending.plan(_request(1, 3))
            assert ([(3, 9)], 6, []) == ([(one.start, one.end) for one in plan.steps], plan.events, plan.notes)
            (done,) = await _replayed(resending, plan)
        assert (6, 0, {}, []) == (done.sent, done.not_selected, done.refused, done.rest)
        assert [list(range(3, 9))] == sent(sink)
        assert [native(at) for at in range(3, 9)] == list(sink.batches[0].payloads)
        assert before == await lab.figures()
        assert 6.0 == lab.metric("events_resent_total", destination="hook")

    virtually(story)


def test_a_clock_that_ran_ahead_for_a_while_leaves_nothing_out(virtually: Virtually) -> None:
    """One page stamped a day ahead, in the middle of the range, does not end it."""

    async def story(lab: Lab) -> None:
        await _pages(lab, 2)
        lab.clock.jump(86400)
        await lab.append(range(6, 9))
        lab.clock.jump(-86400)
        await asyncio.sleep(60)
        await lab.append(range(9, 12))
        await _pass(lab, 12)
        async with _resending(lab, FakeSink()) as resending:
            plan = await resending.plan(_request(1, 99))
        assert [(3, 12)] == [(one.start, one.end) for one in plan.steps]

    virtually(story)


def test_what_waits_anyway_is_left_to_the_destination(virtually: Virtually) -> None:
    """Nothing behind the position is sent, and the plan says how much that is."""

    async def story(lab: Lab) -> None:
        await _pages(lab, 3)
        await _pass(lab, 4)
        async with _resending(lab, FakeSink()) as resending:
            plan = await resending.plan(_request(1, 99))
            assert [(3, 4)] == [(one.start, one.end) for one in plan.steps]
            assert ["5 events of the range wait for the destination anyway and are left to it"] == plan.notes
            plan = await resending.plan(_request(2, 99))
            assert [] == plan.steps
            assert plan.notes[0].startswith("3 events")

    virtually(story)


def test_what_is_not_kept_any_more_is_said(virtually: Virtually) -> None:
    """A range that reaches back before the oldest event kept may be incomplete."""

    async def story(lab: Lab) -> None:
        await _pages(lab, 1)
        await _pass(lab, 3)
        await asyncio.sleep(25 * 3600)
        await lab.append(range(3, 5))
        await _pass(lab, 5)
        await lab.store.expire(lab.clock.now())
        async with _resending(lab, FakeSink()) as resending:
            plan = await resending.plan(_request(-60, 99 * 60))
        assert [(3, 5)] == [(one.start, one.end) for one in plan.steps]
        assert "store.keep_delivered" in plan.notes[0]

    virtually(story)


def test_events_that_expire_meanwhile_are_said(virtually: Virtually) -> None:
    """A step whose events have gone since the plan fails with the remedy, and leaves no hole without a word."""

    async def story(lab: Lab) -> None:
        await _pages(lab, 2)
        await _pass(lab, 6)
        async with _resending(lab, FakeSink()) as resending:
            plan = await resending.plan(_request(0, 99))
            await asyncio.sleep(25 * 3600)
            await lab.store.expire(lab.clock.now())
            with pytest.raises(McwatchError, match="not kept any more") as caught:
                await _replayed(resending, plan)
        assert "keep_delivered" in caught.value.remedy

    virtually(story)


def test_several_accounts_and_long_ranges(virtually: Virtually) -> None:
    """Each account has steps of its own, none too long to say how far it has come."""

    async def story(lab: Lab) -> None:
        corp = await lab.account("corp")
        await lab.append(range(12_000))
        await lab.append(range(20_000, 20_003), corp)
        await _pass(lab, 12_000)
        await lab.store.settle(Settlement("hook", [Progress(corp.account_id, 3, 3, 0)]))
        sink = FakeSink()
        async with _resending(lab, sink, most=5_000) as resending:
            plan = await resending.plan(_request(0, 9))
            assert [("acme", 0, 10_000), ("acme", 10_000, 12_000), ("corp", 0, 3)] == [
                (one.account, one.start, one.end) for one in plan.steps
            ]
            await _replayed(resending, plan)
        assert [*range(12_000), 20_000, 20_001, 20_002] == numbers_of(sink.accepted)
        assert 12_003.0 == lab.metric("events_resent_total", destination="hook")

    virtually(story)


def test_a_step_ends_after_a_minute(virtually: Virtually) -> None:
    """What is left of a long step is handed back, so that nobody waits for it without a sign of life."""

    async def story(lab: Lab) -> None:
        class Slow(FakeSink):
            async def deliver(self, batch: Batch) -> Verdicts:
                await asyncio.sleep(25)
                return await super().deliver(batch)

        await lab.append(range(10))
        await _pass(lab, 10)
        sink = Slow()
        async with _resending(lab, sink, most=2) as resending:
            plan = await resending.plan(_request(0, 9))
            done = await resending.replay(plan.steps[0])
            assert (6, [(6, 10)]) == (done.sent, [(one.start, one.end) for one in done.rest])
            await _replayed(resending, ReplayPlan(destination="hook", steps=done.rest))
        assert list(range(10)) == numbers_of(sink.accepted)

    virtually(story)


def test_select_and_redact_hold_for_replays(virtually: Virtually) -> None:
    """A replay shows a destination no more than it was ever shown."""

    async def story(lab: Lab) -> None:
        events = [native(at, kind="message.seen" if at % 2 else "queue.left", pad=40) for at in range(6)]
        await append(lab.store, lab, lab.feed, events)
        await _pass(lab, 6)
        redaction = Redaction(b"key", {"subject": Action.DROP})
        view = View(Selection(kinds=("message.*",)), Rendering("redacted", JsonFormat(), redaction))
        sink = FakeSink()
        async with _resending(lab, sink, view) as resending:
            (done,) = await _replayed(resending, await resending.plan(_request(0, 9)))
        assert (3, 3) == (done.sent, done.not_selected)
        assert [[1, 3, 5]] == sent(sink)
        assert not any(b"x" * 40 in payload for payload in sink.batches[0].payloads)

    virtually(story)


def test_nothing_selected_needs_no_request(virtually: Virtually) -> None:
    """A range of which the destination wants nothing is passed."""

    async def story(lab: Lab) -> None:
        await lab.append(range(6))
        await _pass(lab, 6)
        view = View(Selection(kinds=("queue.*",)), Rendering(NATIVE, JsonFormat()))
        sink = FakeSink()
        async with _resending(lab, sink, view) as resending:
            (done,) = await _replayed(resending, await resending.plan(_request(0, 9)))
        assert (0, 6, []) == (done.sent, done.not_selected, sink.batches)

    virtually(story)


def test_refused_events_are_counted_and_are_no_dead_letters(virtually: Virtually) -> None:
    """They were delivered once: the replay says by reason what was refused, and keeps nothing."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))
        await _pass(lab, 4)
        async with _resending(lab, FakeSink(refused(1, 2))) as resending:
            (done,) = await _replayed(resending, await resending.plan(_request(0, 9)))
        assert (2, {"refused": 2}) == (done.sent, done.refused)
        assert [] == await lab.store.dead_letters(None, 10)

    virtually(story)


def test_a_replay_waits_for_acknowledgements(virtually: Virtually) -> None:
    """What is sent again counts once it is confirmed, and leaves no receipt in the store."""

    async def story(lab: Lab) -> None:
        await lab.append(range(4))
        await _pass(lab, 4)
        sink = ReceiptSink()
        async with _resending(lab, sink, most=2) as resending:
            replay = asyncio.ensure_future(_replayed(resending, await resending.plan(_request(0, 9))))
            await asyncio.sleep(20)
            assert not replay.done()
            assert [[0, 1], [2, 3]] == sent(sink), "several batches wait together"
            assert all(len(asked) == 2 for _, asked in sink.indexers.asked)
            sink.indexers.stores_all = True
            assert 4 == (await replay)[0].sent
        assert [] == await lab.store.receipts("hook")

    virtually(story)


@pytest.mark.parametrize("error", [AuthError("who?"), PermanentError("gone")])
def test_trouble_of_the_destination_is_said(virtually: Virtually, error: PermanentError) -> None:
    """A credential refused comes out as it is; a destination that refuses all of many events as not taking them."""

    async def story(lab: Lab) -> None:
        await lab.append(range(20))
        await _pass(lab, 20)
        sink = FakeSink()
        sink.outage = error
        async with _resending(lab, sink) as resending:
            plan = await resending.plan(_request(0, 9))
            with pytest.raises(AuthError if isinstance(error, AuthError) else TransientError):
                await _replayed(resending, plan)

    virtually(story)


def test_a_command_that_goes_away_in_the_middle_of_a_step(virtually: Virtually) -> None:
    """The daemon's own deliveries go on; the positions are as they were."""

    async def story(lab: Lab) -> None:
        class Slow(FakeSink):
            async def deliver(self, batch: Batch) -> Verdicts:
                await asyncio.sleep(5)
                return await super().deliver(batch)

        await lab.append(range(4))
        await _pass(lab, 4)
        sink = Slow()
        dispatcher = lab.dispatcher(sink)
        view = View(Selection(), Rendering(NATIVE, JsonFormat()))
        resending = Resending(lab.store, lab.clock, serves=True)
        resending.put("hook", Way(lab.reader(), Resender(dispatcher.outlet, view)))
        async with running(lab, dispatcher):
            await asyncio.sleep(1)
            replay = asyncio.ensure_future(_replayed(resending, await resending.plan(_request(0, 9))))
            await asyncio.sleep(1)
            replay.cancel()
            with pytest.raises(asyncio.CancelledError):
                await replay
            await lab.append(range(4, 6))
            await asyncio.sleep(20)
        assert [4, 5] == numbers_of(sink.accepted)
        assert 6 == await lab.position()

    virtually(story)


def test_a_wrong_request_is_said(virtually: Virtually) -> None:
    """A name that is not configured has the nearest one or all of them in its remedy; so has a range turned round."""

    async def story(lab: Lab) -> None:
        async with _resending(lab, FakeSink()) as resending:
            with pytest.raises(PermanentError, match="no destination") as caught:
                await resending.plan(_request(0, 1, "hok"))
            assert "did you mean hook?" == caught.value.remedy
            with pytest.raises(PermanentError, match="no destination") as caught:
                await resending.plan(_request(0, 1, "splunk"))
            assert "the destinations are hook" == caught.value.remedy
            with pytest.raises(PermanentError, match="ends before it begins"):
                await resending.plan(_request(1, 1))
            step = ReplayStep(destination="x", account="acme", account_id=1, start=0, end=1)
            with pytest.raises(PermanentError, match="no destination"):
                await resending.replay(step)

    virtually(story)


async def _letters(lab: Lab, count: int) -> None:
    await lab.append(range(count))
    letters = [rejected(lab.acme, number) for number in range(count)]
    await lab.store.settle(Settlement("hook", [Progress(lab.acme, count, 0, 0)], letters))


async def _retried(resending: Resending, request: LetterRequest) -> list[RetriedStep]:
    done = [await resending.retry(request)]
    while done[-1].rest is not None:
        done.append(await resending.retry(done[-1].rest))
    return done


def test_dead_letters_that_are_accepted_are_none_any_more(virtually: Virtually) -> None:
    """All that fit are sent piece by piece, each once, as recorded; those refused again stay with the new words."""

    async def story(lab: Lab) -> None:
        await _letters(lab, 230)
        sink = FakeSink(refused(0, 7))
        async with _resending(lab, sink) as resending:
            done = await _retried(resending, LetterRequest())
        assert [(98, {"refused": 2}), (100, {}), (30, {})] == [(one.delivered, one.refused) for one in done]
        assert [native(at) for at in range(230)] == [line for batch in sink.batches for line in batch.native]
        left = await lab.store.letters(LetterChoice(), 0, 100)
        assert [(1, "no to 0"), (8, "no to 7")] == [(one.letter.id, one.letter.detail) for one in left]
        assert 228.0 == lab.metric("events_resent_total", destination="hook")
        assert {"refused": 230} == (await lab.figures()).dead_lettered

    virtually(story)


def test_letters_that_cannot_be_sent_are_kept(virtually: Virtually) -> None:
    """Of destinations that are gone, and rows that could not be read, nothing is sent: it is said how many."""

    async def story(lab: Lab) -> None:
        await lab.store.enrol({"hook": False, "old": False})
        await lab.append(range(3))
        letters = [rejected(lab.acme, number) for number in range(3)]
        await lab.store.settle(Settlement("old", [Progress(lab.acme, 3, 0, 0)], letters))
        sink = FakeSink()
        async with _resending(lab, sink) as resending:
            (done,) = await _retried(resending, LetterRequest())
        assert [3] == list(done.kept.values())
        assert [] == sink.batches
        assert 3 == await lab.store.dead_letter_count("old")

    virtually(story)


def test_a_destination_that_is_down_does_not_keep_others_from_their_letters(virtually: Virtually) -> None:
    """Letters of several destinations are tried at each; it is said whose stay, and why."""

    async def story(lab: Lab) -> None:
        await _letters(lab, 2)
        await lab.store.enrol({"hook": False, "dead": False})
        letters = [rejected(lab.acme, number) for number in range(2)]
        await lab.store.settle(Settlement("dead", [Progress(lab.acme, 2, 0, 0)], letters))
        sink, dead = FakeSink(), FakeSink()
        dead.outage = AuthError("who?")
        async with _resending(lab, sink) as resending:
            view = View(Selection(), Rendering(NATIVE, JsonFormat()))
            reader = BatchReader("dead", lab.store, lab.cache, view, BatchLimits())
            outlet = Outlet("dead", dead, Senses(lab.clock, lab.metrics, lab.health, lab.rng))
            resending.put("dead", Way(reader, Resender(outlet, view)))
            (done,) = await _retried(resending, LetterRequest())
        assert (2, {"of dead: who?": 2}) == (done.delivered, done.kept)
        assert 2 == await lab.store.dead_letter_count("dead")

    virtually(story)


def test_a_retry_that_fails_leaves_the_letters(virtually: Virtually) -> None:
    """What could not be sent is a dead letter as before, with the words it had."""

    async def story(lab: Lab) -> None:
        await _letters(lab, 3)
        sink = FakeSink()
        sink.outage = AuthError("who?")
        async with _resending(lab, sink) as resending:
            with pytest.raises(AuthError):
                await resending.retry(LetterRequest())
        left = await lab.store.letters(LetterChoice(), 0, 100)
        assert ["the receiver's words"] * 3 == [one.letter.detail for one in left]

    virtually(story)


async def test_without_a_daemon_the_sink_stays_open_from_step_to_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sink is opened once in its life: a replay of several steps and a retry behind it all reach the file."""
    monkeypatch.setattr(offline, "configure", lambda _: None)
    engine = SqliteEngine(tmp_path / "mcwatch.db")
    async with engine.open() as store:
        feed = await store.feed("acme", "processing_queue")
        await store.enrol({"out": False})
        await append_numbers(store, engine, feed, range(8))
        letters = [rejected(feed.account_id, 7)]
        await store.settle(Settlement("out", [Progress(feed.account_id, 8, 7, 0)], letters))
    async with offline_routes(settings(tmp_path, account("acme"))) as routes:
        answers = {route.path: route.answer for route in routes}
        for start in (0, 2, 4, 6):
            step = ReplayStep(destination="out", account="acme", account_id=feed.account_id, start=start, end=start + 2)
            done = await answers["/replay"](ControlRequest({}, msgspec.json.encode(step)))
            assert isinstance(done, ReplayedStep)
            assert 2 == done.sent
        retried = await answers["/dead-letters/retry"](ControlRequest({}, msgspec.json.encode(LetterRequest())))
        assert isinstance(retried, RetriedStep)
        assert 1 == retried.delivered
    assert [*range(8), 7] == numbers_of((tmp_path / "out.ndjson").read_bytes().splitlines())
