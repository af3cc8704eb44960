"""The loop of one source: when it polls, what it reports, and that nothing ends it."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    LeaseLost,
    MisconfiguredError,
    PermanentError,
    StoreCorrupt,
    StoreUnavailable,
    ThrottledError,
    TransientError,
)
from mcwatch.domain.page import Feed, FeedProgress, FinderPage, Page, QueuePage
from mcwatch.pipeline.backpressure import Backpressure
from mcwatch.pipeline.poller import Poller
from mcwatch.telemetry.health import STORE, Component
from tests.fakes.source import FakeSource, Step
from tests.unit.pipeline.lab import Lab, page, row

pytestmark = pytest.mark.timeout(5)
FINDER = "message_finder"
QUEUE = "processing_queue"


class _Pressure(Backpressure):
    """A backpressure that holds whatever a test says."""

    held: Callable[[str], bool] = staticmethod(lambda source: False)

    def holds(self, source: str) -> bool:
        return self.held(source)


def _pressure(lab: Lab) -> _Pressure:
    return _Pressure(lab.store, 100, clock=lab.clock, metrics=lab.metrics, health=lab.health)


async def _run_polls(poller: Poller, source: FakeSource, count: int) -> None:
    """Run the loop until it has begun ``count`` polls."""
    task = asyncio.ensure_future(poller.run(random.Random(1)))
    while len(source.asked) < count:  # noqa: ASYNC110 - the store's threads are real, its answers come when they come
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_poll_commits_pages_and_counts(lab: Lab) -> None:
    """A poll commits page after page with their cursors, and health, metrics and one log line say how it went."""
    source = FakeSource(FINDER, [page([row(1), row(2)]), page([row(2), row(3)], all=b"7")])
    poller = lab.poller(source, lab.feed)
    with capture_logs() as logs:
        assert await poller.poll_once() is None
    assert [{}] == source.asked
    assert {lab.acme: 3} == dict(lab.store.heads())
    (line,) = [entry for entry in logs if entry["event"] == "poll_done"]
    assert (2, 4, 3, 1, 0, 3) == tuple(
        line[name] for name in ("pages", "received", "new", "duplicate", "undecodable", "events")
    )
    assert lab.health.condition(Component.of_source("acme", FINDER)).up
    assert lab.health.condition(Component.of_account("acme")).up
    assert 1.0 == lab.metric("polls_total", account="acme", source=FINDER, outcome="ok")
    assert 3.0 == lab.metric("events_total", account="acme", kind="message.seen")
    stamp = lab.metric("poll_last_success_timestamp_seconds", account="acme", source=FINDER)
    assert lab.clock.now().timestamp() == stamp
    await poller.poll_once()
    assert {"all": b"7"} == source.asked[1]


async def test_polls_keep_to_a_grid(lab: Lab) -> None:
    """Polls are due at whole intervals from the first; a poll that takes longer skips what it missed."""
    source = FakeSource(FINDER, interval_secs=30.0)
    begun: list[float] = []
    poll_once = (poller := lab.poller(source, lab.feed)).poll_once

    async def timed() -> float | None:
        begun.append(lab.clock.monotonic())
        pause = await poll_once()
        lab.clock.advance({1: 29.0, 2: 65.0}.get(len(begun), 1.0))
        return pause

    poller.poll_once = timed  # type: ignore[method-assign]  # to take time
    await _run_polls(poller, source, 5)
    first = begun[0]
    assert 0 <= first <= 2.0
    assert [0.0, 30.0, 120.0, 150.0, 180.0] == pytest.approx([at - first for at in begun[:5]])


async def test_permanent_failure_is_probed_slowly(lab: Lab) -> None:
    """A source that is refused is tried after 30 s, 60 s and so on, and at its interval again once it works."""
    errors: list[list[Step]] = [[AuthError("no")], [MisconfiguredError("no")], [AuthError("no")], [], [AuthError("no")]]
    poller = lab.poller(FakeSource(FINDER, *errors), lab.feed)
    assert [30.0, 60.0, 120.0, None, 30.0] == [await poller.poll_once() for _ in range(5)]


async def test_a_ledger_put_in_order_is_no_answer(lab: Lab) -> None:
    """A refused source is probed slowly even where it has put its ledger in order before it asked."""
    settled = FinderPage(rows=(), cursors={"search": b"1"}, answered=False)
    poller = lab.poller(FakeSource(FINDER, [settled, AuthError("no")], [AuthError("no")]), lab.feed)
    assert [30.0, 60.0] == [await poller.poll_once() for _ in range(2)]


async def test_an_empty_answer_is_an_answer(lab: Lab) -> None:
    """A source of which a part was read, if only that there is nothing, keeps its pace when the rest is refused."""
    poller = lab.poller(FakeSource(FINDER, [FinderPage(rows=()), AuthError("no")]), lab.feed)
    assert await poller.poll_once() is None


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TransientError("no"), "server"),
        (TransientError("no", reason=FailureReason.TIMEOUT), "timeout"),
        (ThrottledError("no"), "throttled"),
    ],
)
async def test_passing_failure_keeps_the_interval(lab: Lab, error: Exception, outcome: str) -> None:
    """After passing trouble the next poll is due as usual; source and account are down until one works."""
    source = FakeSource(FINDER, [page([row(1)], all=b"1"), error])
    poller = lab.poller(source, lab.feed)
    assert await poller.poll_once() is None
    assert {lab.acme: 1} == dict(lab.store.heads()), "the page before stays good"
    assert 1.0 == lab.metric("polls_total", account="acme", source=FINDER, outcome=outcome)
    assert lab.health.condition(Component.of_source("acme", FINDER)).up is False
    assert lab.health.condition(Component.of_account("acme")).up is False
    await poller.poll_once()
    assert lab.health.condition(Component.of_source("acme", FINDER)).up


async def test_store_trouble_is_not_the_sources_fault(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes no pages ends the poll, is what is down, and the loop goes on."""

    async def refuse(feed: Feed, work: object) -> None:
        raise StoreUnavailable("the disk is full", remedy="make room")

    source = FakeSource(FINDER, [page([row(1)])], [page([row(1)])])
    poller = lab.poller(source, lab.feed)
    with monkeypatch.context() as patch:
        patch.setattr(lab.store, "commit_page", refuse)
        assert await poller.poll_once() is None
    assert lab.health.condition(STORE).up is False
    assert lab.health.condition(Component.of_source("acme", FINDER)).up is None
    assert 1 == source.closed, "the source is told that nobody reads on"
    await poller.poll_once()
    assert {lab.acme: 1} == dict(lab.store.heads())
    assert lab.health.condition(STORE).up


async def test_untrustworthy_store_ends_the_loop(lab: Lab) -> None:
    """A store that cannot be trusted any more is not polled into."""
    with pytest.raises(StoreCorrupt):
        await lab.poller(FakeSource(FINDER, [StoreCorrupt("damaged")]), lab.feed).poll_once()


async def test_defect_is_logged_once_and_the_poll_tried_again(lab: Lab) -> None:
    """An error nobody foresaw is logged with its traceback, names no data, and the next poll is due as usual."""
    source = FakeSource(FINDER, [ZeroDivisionError("amy@corp.example")], [page([row(1)])])
    poller = lab.poller(source, lab.feed)
    with capture_logs() as logs:
        await _run_polls(poller, source, 3)
    assert ["poll_defect"] == [entry["event"] for entry in logs if entry["log_level"] == "error"]
    condition = lab.health.condition(Component.of_source("acme", FINDER))
    assert "ZeroDivisionError" in condition.last_error
    assert "amy" not in condition.last_error
    assert {lab.acme: 1} == dict(lab.store.heads())
    assert 1.0 == lab.metric("polls_total", account="acme", source=FINDER, outcome="internal")


async def test_resting_asks_nothing(lab: Lab) -> None:
    """While polling must rest no request is made; skipped snapshots are counted, finder polls are not; both say so."""
    pressure = _pressure(lab)
    queue = await lab.store.feed("acme", QUEUE)
    finder_source, queue_source = FakeSource(FINDER), FakeSource(QUEUE)
    pollers = [
        lab.poller(finder_source, lab.feed, pressure, sources=2),
        lab.poller(queue_source, queue, pressure, sources=2),
    ]
    pressure.held = lambda source: True
    with capture_logs() as logs:
        for poller in pollers * 3:
            assert await poller.poll_once() is None
        pressure.held = lambda source: False
        for poller in pollers:
            await poller.poll_once()
    assert (1, 1) == (len(finder_source.asked), len(queue_source.asked))
    assert 3.0 == lab.metric("queue_polls_skipped_total", account="acme")
    told = [entry["event"] for entry in logs if entry["event"].startswith("polling_")]
    assert ["polling_paused", "polling_paused", "polling_resumed", "polling_resumed"] == told


async def test_long_poll_rests_when_the_backlog_is_full(lab: Lab) -> None:
    """A poll that catches up on days stops behind the page that fills the backlog, and does not count as complete."""
    pressure = _pressure(lab)
    pages = [page([row(number)], all=b"%d" % number) for number in range(10)]
    source = FakeSource(FINDER, pages)
    poller = lab.poller(source, lab.feed, pressure)
    pressure.held = lambda source: lab.store.heads()[lab.acme] >= 3
    assert await poller.poll_once() is None
    assert 3 == lab.store.heads()[lab.acme]
    assert {"all": b"2"} == (await lab.store.progress(lab.feed)).cursors
    assert 1 == source.closed
    assert lab.metric("poll_last_success_timestamp_seconds", account="acme", source=FINDER) is None


async def test_queue_pages_are_polled(lab: Lab) -> None:
    """A poll of the processing queue goes through the same loop."""
    queue = await lab.store.feed("acme", QUEUE)
    entries = QueuePage(queue="processing", gone_after=2, rows=[row(1)], present=None)
    await lab.poller(FakeSource(QUEUE, [entries]), queue).poll_once()
    assert 1.0 == lab.metric("events_total", account="acme", kind="queue.entered")


async def test_cancelled_poll_keeps_the_page_in_hand(lab: Lab) -> None:
    """A poll that is cancelled while its page commits leaves that page committed and its source closed."""
    source = FakeSource(FINDER, [page([row(1)], all=b"1"), page([row(2)])])
    held, release = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        held.set()
        assert release.wait(5)

    holding = asyncio.ensure_future(lab.store.commit_page(lab.feed, hold))
    assert await asyncio.to_thread(held.wait, 5)
    task = asyncio.ensure_future(lab.poller(source, lab.feed).poll_once())
    while not source.asked:  # noqa: ASYNC110 - from then on its first page waits for the commit
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    await holding
    await lab.store.ping()
    assert 1 == source.closed
    assert {lab.acme: 1} == dict(lab.store.heads())
    assert {"all": b"1"} == (await lab.store.progress(lab.feed)).cursors


async def test_part_of_a_source_refused_keeps_the_pace(lab: Lab) -> None:
    """A poll that read something and was then refused comes again at the usual time; one that read nothing waits."""
    refusal = PermanentError("no such queue")
    poller = lab.poller(FakeSource(FINDER, [page([row(1)]), refusal], [refusal]), lab.feed)
    assert await poller.poll_once() is None
    assert 30.0 == await poller.poll_once()


async def test_stray_cancellation_is_a_failed_poll(lab: Lab) -> None:
    """A CancelledError that nobody asked for does not end the loop of the source."""

    class Stray(FakeSource):
        async def poll(self, progress: FeedProgress) -> AsyncIterator[Page]:
            self.asked.append(dict(progress.cursors))
            if len(self.asked) == 1:
                raise asyncio.CancelledError
            yield page([row(1)])

    source = Stray(FINDER)
    await _run_polls(lab.poller(source, lab.feed), source, 3)
    assert 1.0 == lab.metric("polls_total", account="acme", source=FINDER, outcome="internal")
    assert {lab.acme: 1} == dict(lab.store.heads())


async def test_an_account_of_another_replica_is_not_polled(lab: Lab) -> None:
    """Nothing is asked of the API for an account that is not held here, and nobody is said to be down."""
    source = FakeSource(FINDER, [page([row(1)])])
    poller = lab.poller(source, lab.feed)
    lab.store.spread({lab.acme})
    assert await poller.poll_once() is None
    assert [] == source.asked
    lab.store.spread(set())
    await poller.poll_once()
    assert 1 == len(source.asked)


async def test_a_page_refused_for_a_lost_lease_is_no_failure(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account is lost between the question and the commit: the poll ends, and no source is marked down."""

    async def refuse(*_: object) -> None:
        raise LeaseLost("another replica holds the account")

    monkeypatch.setattr(lab.store, "commit_page", refuse)
    poller = lab.poller(FakeSource(FINDER, [page([row(1)])]), lab.feed)
    with capture_logs() as logs:
        assert await poller.poll_once() is None
    assert [] == logs
    assert lab.health.condition(STORE).up is not False


async def test_an_account_taken_over_is_polled_soon_and_then_spread(lab: Lab) -> None:
    """With many others begun at once, the first poll comes at once and the second anywhere in the interval after it."""
    asked_at: list[float] = []

    class Timed(FakeSource):
        async def poll(self, progress: FeedProgress) -> AsyncIterator[Page]:
            asked_at.append(lab.clock.monotonic())
            async for step in super().poll(progress):
                yield step

    source = Timed(FINDER, interval_secs=60.0)
    poller = lab.poller(source, lab.feed)
    begun = lab.clock.monotonic()
    task = asyncio.ensure_future(poller.run(random.Random(3), 100, 2.0))
    while len(source.asked) < 3:  # noqa: ASYNC110 - the store's threads are real, its answers come when they come
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    first, second, third = (at - begun for at in asked_at[:3])
    assert first < 2.0
    assert first < second <= 60.0
    assert second + 60.0 == pytest.approx(third)
