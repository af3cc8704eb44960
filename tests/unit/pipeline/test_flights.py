"""Batches on their way: a model of everything that may happen to them, over a real store, and their cost in numbers."""

import asyncio
import random
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcwatch.domain.delivery import Batch, Refusal, Verdicts
from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    PermanentError,
    StoreUnavailable,
    ThrottledError,
    TransientError,
)
from mcwatch.domain.outbox import Receipt
from mcwatch.domain.page import Feed
from mcwatch.domain.selection import Selection
from mcwatch.pipeline.batches import BatchLimits
from mcwatch.pipeline.dispatcher import Dispatcher
from mcwatch.pipeline.flights import Flights
from mcwatch.pipeline.inflight import InFlight, Segment
from tests.contract.store_kit import append, assert_identities, native, numbers_of
from tests.fakes.clock import START
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab
from tests.unit.pipeline.receiver import virtual_lab
from tests.virtual.loop import run_virtually, virtual_loop

_SPAN = 10_000
"""The events of the n-th account are numbered from n times this on."""

_MOODS = ["fair", "foul", "sick", "slow", "dead"]
"""Accepts; answers by event, as it comes; refuses batches with certain events and does not say which; answers batches
of more than one event too late; is down."""
_INDEXERS = ["yes", "no", "deaf", "lossy"]
"""Confirm all; nothing; cannot be asked; forget what they said in an answer that gets lost."""


@dataclass(frozen=True)
class World:
    """What stays the same in one run."""

    accounts: int
    has_receipts: bool
    most_at_once: int
    selects: bool
    limits: BatchLimits
    timeout_secs: float


_WORLDS = st.builds(
    World,
    accounts=st.integers(1, 3),
    has_receipts=st.booleans(),
    most_at_once=st.integers(1, 3),
    selects=st.booleans(),
    limits=st.builds(
        BatchLimits,
        max_events=st.integers(1, 5),
        linger_secs=st.sampled_from([0.0, 0.0, 1.0]),
        max_in_flight=st.integers(1, 4),
    ),
    timeout_secs=st.sampled_from([2.0, 30.0]),
)
_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 2), st.integers(1, 7)),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.3, 1.0, 5.0, 40.0])),
        st.tuples(st.just("crash"), st.integers(0, 60)),
        st.tuples(st.just("drain")),
        st.tuples(st.just("mood"), st.sampled_from(_MOODS)),
        st.tuples(st.just("indexers"), st.sampled_from(_INDEXERS)),
        st.tuples(st.just("busy"), st.integers(1, 3)),
        st.tuples(st.just("skip")),
    ),
    min_size=3,
    max_size=14,
)


class Model(FakeSink):
    """A receiver with moods, which checks what it is given; it lives on when the daemon is killed."""

    def __init__(self, world: World, rng: random.Random) -> None:
        super().__init__(most_at_once=world.most_at_once)
        self.world, self.rng = world, rng
        self.mood, self.indexers = rng.choice(_MOODS), rng.choice(_INDEXERS)
        self.timeout_secs = world.timeout_secs
        if world.has_receipts:
            self.acknowledgements = self
        self.certain: set[int] = set()
        """What the sender was told is stored."""
        self.protected: dict[int, float] = {}
        """What a kept receipt says may be stored, until when it is not to be sent again."""
        self._first_sent: dict[int, int] = defaultdict(lambda: -1)
        self._in_delivery: set[int] = set()
        self._given: dict[bytes, list[int]] = {}
        self._receipts_total = 0

    async def deliver(self, batch: Batch) -> Verdicts:
        """Answer as it feels; what the answer says may get lost."""
        numbers = numbers_of(batch.native)
        with self._delivering(numbers):
            await asyncio.sleep(self.rng.choice([0, 0, 0.2, 3]))
            verdicts = self._verdicts(numbers)
        taken = [number for at, number in enumerate(numbers) if at not in verdicts.refused and at not in verdicts.retry]
        if self.rng.random() < 0.1:
            raise TransientError("the answer got lost")
        if not self.world.has_receipts:
            self.certain.update(taken)
            return verdicts
        self._receipts_total += 1
        receipt = b"r%d" % self._receipts_total
        self._given[receipt] = taken
        return Verdicts(verdicts.refused, verdicts.retry, receipt) if taken else verdicts

    @contextmanager
    def _delivering(self, numbers: list[int]) -> Iterator[None]:
        accounts = {number // _SPAN for number in numbers}
        assert not accounts & self._in_delivery, "two batches of one account side by side"
        assert len(self._in_delivery) < 100
        now = virtual_loop().time()
        for number in numbers:
            assert now >= self.protected.get(number, 0.0), "sent again although its receipt was kept"
            assert not self.world.selects or number % 3, "nobody wanted it"
        for account in accounts:
            fresh = [one for one in numbers if one // _SPAN == account and one > self._first_sent[account]]
            assert sorted(fresh) == fresh
            if fresh:
                self._first_sent[account] = fresh[-1]
        self._in_delivery |= accounts
        try:
            yield
        finally:
            self._in_delivery -= accounts

    def _verdicts(self, numbers: list[int]) -> Verdicts:
        if self.mood == "dead":
            raise self.rng.choice([TransientError("down"), AuthError("who?"), ThrottledError("slow")])
        if self.mood == "sick" and any(number % 7 == 1 for number in numbers):
            # What stands behind events that cannot be settled is read again together with them.
            self.protected.clear()
            raise PermanentError("one of them")
        if self.mood == "slow" and len(numbers) > 1:
            self.protected.clear()
            raise TransientError("too late", reason=FailureReason.TIMEOUT)
        if self.mood != "foul":
            return Verdicts()
        fates = [self.rng.choice("aaart") for _ in numbers]
        if fates[0] == "t":
            raise TransientError("not now")
        refusal = Refusal(FailureReason.REFUSED, "no")
        if "r" in fates:
            self.protected.clear()
        return Verdicts(
            {at: refusal for at, fate in enumerate(fates) if fate == "r"},
            frozenset(at for at, fate in enumerate(fates) if fate == "t"),
        )

    async def confirmed(self, receipts: Collection[bytes]) -> list[bytes]:
        """Say what is stored, each once."""
        await asyncio.sleep(self.rng.choice([0, 0.1, 4]))
        if self.indexers == "deaf":
            raise TransientError("no answer")
        if self.indexers == "no":
            return []
        told = [one for one in sorted(receipts) if one in self._given]
        if self.indexers == "lossy":
            # What is told in an answer that gets lost is not told again.
            told = [one for one in told if self.rng.random() < 0.5]
            for lost in set(receipts) - set(told):
                self._given.pop(lost, None)
        for one in told:
            self.certain.update(self._given.pop(one))
        return told


@dataclass
class Run:
    """A daemon that is killed and started again over one store."""

    lab: Lab
    world: World
    model: Model
    feeds: list[Feed]
    rng: random.Random
    dispatcher: Dispatcher | None = None
    task: "asyncio.Task[None] | None" = None
    heads: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start a daemon."""
        selection = Selection(kinds=("message.*",)) if self.world.selects else Selection()
        self.dispatcher = self.lab.dispatcher(self.model, self.world.limits, selection)
        self.task = asyncio.ensure_future(self.dispatcher.run(self.lab.accounts))

    async def stop(self) -> None:
        """Kill it."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])
        assert self.task.cancelled() or not self.task.exception(), self.task.exception()
        await self.protect()

    async def protect(self) -> None:
        """Note what the next process must not send again: what has a receipt, without a hole from the position on."""
        self.model.protected.clear()
        if not self.world.has_receipts:
            return
        reached = dict(await self.lab.store.positions("hook"))
        for one in await self.lab.store.receipts("hook"):
            if one.start == reached[one.account_id] and (one.token or not one.delivered):
                reached[one.account_id] = one.end
                first = self._account(one.account_id) * _SPAN
                until = (one.at - START).total_seconds() + self.world.timeout_secs - 0.01
                self.model.protected.update({first + at: until for at in range(one.start, one.end)})

    def _account(self, account_id: int) -> int:
        return next(at for at, feed in enumerate(self.feeds) if feed.account_id == account_id)

    async def act(self, action: tuple[Any, ...]) -> None:
        """Have something happen."""
        await getattr(self, f"_{action[0]}")(*action[1:])

    async def _append(self, account: int, count: int) -> None:
        at = account % len(self.feeds)
        numbers = range(self.heads[at], self.heads[at] + count)
        self.heads[at] += count
        await append(self.lab.store, self.lab, self.feeds[at], [self._native(at, one) for one in numbers])

    async def _wait(self, secs: float) -> None:
        await asyncio.sleep(secs)

    async def _crash(self, steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        await self.stop()
        self.start()

    async def _drain(self) -> None:
        assert self.dispatcher is not None
        assert self.task is not None
        self.dispatcher.drain()
        await asyncio.wait([self.task])
        await self.stop()
        self.start()

    async def _mood(self, mood: str) -> None:
        self.model.mood = mood

    async def _indexers(self, mood: str) -> None:
        self.model.indexers = mood

    async def _busy(self, times: int) -> None:
        self.lab.store.settle_errors += [StoreUnavailable("busy")] * times
        self.lab.store.read_errors += [StoreUnavailable("busy")] * times

    async def _skip(self) -> None:
        assert self.dispatcher is not None
        self.dispatcher.skip()

    def _native(self, account: int, offset: int) -> bytes:
        number = account * _SPAN + offset
        kind = "message.seen" if number % 3 else "queue.left"
        return native(number, account=self.feeds[account].account, kind=kind)

    async def check(self) -> None:
        """Nothing is passed without a reason, no receipt reaches behind the head, and the figures add up."""
        assert self.task is not None
        assert self.dispatcher is not None
        assert not self.task.done(), self.task.exception()
        snapshot = await self.lab.store.snapshot()
        assert_identities(snapshot)
        # First of all: what is asked for later may be younger, and then says more.
        positions = await self.lab.store.positions("hook")
        letters = {int(one.event_id, 16) for one in await self.lab.store.dead_letters("hook", 10_000)}
        skipped = await self.lab.store._threads.read(
            lambda connection: connection.execute("SELECT account_id, start_offset, end_offset FROM skip").fetchall()
        )
        for at, feed in enumerate(self.feeds):
            assert len(self.dispatcher._flights._queues.get(feed.account_id, ())) <= self.world.limits.max_in_flight
            excused = {
                offset
                for account_id, start, end in skipped
                if account_id == feed.account_id
                for offset in range(start, end)
            }
            for offset in range(positions[feed.account_id]):
                number = at * _SPAN + offset
                wanted = not self.world.selects or number % 3
                assert not wanted or offset in excused or number in letters or number in self.model.certain

    async def finish(self) -> None:
        """Once nothing goes wrong any more everything that is left arrives."""
        self.model.mood, self.model.indexers = "fair", "yes"
        await asyncio.sleep(2 * 3600)
        await self.check()
        assert self.heads == [(await self.lab.store.positions("hook"))[feed.account_id] for feed in self.feeds]
        assert [] == await self.lab.store.receipts("hook")


@asynccontextmanager
async def _run(place: Path, world: World, seed: int) -> AsyncIterator[Run]:
    rng = random.Random(seed)
    async with virtual_lab(place) as lab:
        feeds = [lab.feed, *[await lab.account(f"a{at}") for at in range(1, world.accounts)]]
        run = Run(lab, world, Model(world, rng), feeds, rng, heads=[0] * len(feeds))
        run.start()
        try:
            yield run
        finally:
            await run.stop()


@pytest.mark.timeout(60)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(world=_WORLDS, actions=_ACTIONS, seed=st.integers(0, 2**32))
def test_whatever_happens_nothing_is_lost(world: World, actions: list[tuple[Any, ...]], seed: int) -> None:
    """No hole, no event passed that did not come to its end, figures that add up, first sendings in order."""

    async def story(place: Path) -> None:
        async with _run(place, world, seed) as run:
            for action in actions:
                await run.act(action)
                await run.check()
            await run.finish()

    with tempfile.TemporaryDirectory() as place:
        run_virtually(story(Path(place)))


def _flying(accounts: int, batches: int) -> tuple[Flights, list[InFlight]]:
    flights = Flights("hook", dict.fromkeys(range(accounts), 0))
    batch, flying = Batch([b"x"] * 50, [b"x"] * 50), []
    for at in range(batches):
        for account in range(accounts):
            inflight = InFlight([Segment(account, at * 50, 50, range(50), 0.0)], batch)
            flights.add(inflight)
            inflight.hand_over(range(50), b"%d-%d" % (at, account))
            inflight.release()
            flying.append(inflight)
    assert flights.settlement() is None
    return flights, flying


@pytest.mark.timeout(30)
def test_batches_that_stand_still_cost_nothing_at_each_settlement() -> None:
    """What one settlement takes does not grow with the thousands of batches of other accounts on their way."""

    def secs_per_settlement(accounts: int) -> float:
        flights, flying = _flying(accounts, 4)
        started = perf_counter()
        for inflight in flying[:40]:
            inflight.confirm(next(iter(inflight.receipts)))
            settlement = flights.settlement()
            assert settlement is not None
            flights.settled(settlement)
        return perf_counter() - started

    few = min(secs_per_settlement(50) for _ in range(5))
    many = min(secs_per_settlement(2000) for _ in range(5))
    assert many < 8 * few


def test_accounts_with_something_to_send_or_too_much_under_way_are_busy() -> None:
    """An account is busy while a batch of it is open, and at the limit of batches; others are not."""
    flights, flying = _flying(3, 2)
    assert {0, 1, 2} == set(flights.busy(2))
    assert set() == set(flights.busy(3))
    (receipt,) = flying[4].receipts
    flights.reopen(flying[4], receipt)
    assert {1} == set(flights.busy(3))
    flying[4].accept_all()
    assert set() == set(flights.busy(3))


def test_nothing_is_given_up_behind_which_others_stand() -> None:
    """A batch is read again with all behind it, in other accounts too; then reading goes back to where they began."""
    flights = Flights("hook", {1: 0, 2: 0, 3: 0})
    batch = Batch([b"x"] * 4, [b"x"] * 4)
    both = InFlight([Segment(1, 0, 2, range(2), 0.0), Segment(2, 0, 2, range(2), 0.0)], batch)
    behind = InFlight([Segment(1, 2, 2, range(2), 0.0), Segment(3, 0, 2, range(2), 0.0)], batch)
    behind_that = InFlight([Segment(3, 2, 4, range(4), 0.0)], batch)
    for one in (both, behind, behind_that):
        flights.add(one)
    assert {behind, behind_that} == flights.behind(both)
    assert {behind_that} == flights.behind(behind)
    flights.withdraw({behind, behind_that})
    assert {1: 2, 2: 2, 3: 0} == flights.reading
    assert [True, False, False] == [flights.holds(one) for one in (both, behind, behind_that)]
    assert set() == flights.behind(both)
    flights.withdraw({both})
    assert {1: 0, 2: 0, 3: 0} == flights.reading
    assert set() == set(flights.busy(1))


def test_reading_goes_back_no_farther_than_the_position() -> None:
    """What a batch has settled before it is given up is not read, nor counted, a second time."""
    flights = Flights("hook", {1: 0})
    inflight = InFlight([Segment(1, 0, 4, range(4), 0.0)], Batch([b"x"] * 4, [b"x"] * 4))
    flights.add(inflight)
    inflight.accept([0, 1])
    settlement = flights.settlement()
    assert settlement is not None
    flights.settled(settlement)
    flights.withdraw({inflight})
    assert {1: 2} == flights.reading == flights.positions


def test_receipts_of_accounts_that_are_not_known_are_left_out() -> None:
    """What follows no position is not taken up."""
    flights = Flights("hook", {1: 5})
    known, strange, hole = (Receipt(*one, b"r", START) for one in ((1, 5, 7, 2), (2, 0, 3, 3), (1, 8, 9, 1)))
    assert 1 == len(flights.restore([known, hole, strange]))
    assert {1: 7} == flights.reading
    assert [b"r"] == [receipt for receipt, _ in flights.receipts()]
