"""No entry is misjudged: the real queue source, ingest and store against moving queues and an adversary.

The rule, told a second time and more simply (:class:`Reference`), predicts from the pages that were committed which
events each of them makes. Beside it: an entry that was in a queue all the while a complete snapshot was read is alive,
save one that slipped between the pages of a moving list; a cut list is never a complete snapshot.
"""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from mcwatch.domain.event import QUEUE, prefix, timestamp
from mcwatch.domain.lifecycle.queue import entry_key
from mcwatch.domain.page import Page, QueuePage
from mcwatch.domain.record import Record
from mcwatch.pipeline.ingest import Ingested
from mcwatch.sources.lenient import read_row
from mcwatch.sources.processing_queue import ProcessingQueueConfig
from mcwatch.telemetry.metrics import Metrics
from tests.property.api import FAULTS, Adversary, Manner, WorldClient, WorldTime
from tests.property.campaign import campaign
from tests.property.model import START, when
from tests.property.process import Process, Surroundings
from tests.property.queues import Entry, Queue, QueueApi, QueueManner, State, make_entry

INTERVAL = 30.0
_FAST_DISK = "/dev/shm"
_FEED = prefix("acme", QUEUE)


@dataclass
class RefStay:
    """A stay, as far as committed pages tell. ``seen`` holds the times of the commits of polls that showed it."""

    visit: int
    first_seen: str
    states: set[State]
    seen: list[str] = field(default_factory=list)
    seen_for_sure: int = 0
    misses: int = 0
    polls: int = 0
    clock_set_back: bool = False


class Reference:
    """What each committed page means, by the contract's words."""

    def __init__(self, gone_after: int) -> None:
        self._gone_after = gone_after
        self.live: dict[tuple[str, str], RefStay] = {}
        self._visits: dict[tuple[str, str], int] = {}
        self._poll: set[tuple[str, str]] = set()
        self.left: dict[tuple[str, str], RefStay] = {}

    def page(self, page: QueuePage, wall: str, *, first: bool) -> tuple[list[tuple[str, str, int]], set[str]]:
        """Return (kind, name, visit) of the events of the rows, and the names that leave."""
        if first:
            self._poll = set()
        events = []
        for row in page.rows:
            name = (page.queue, str(row.id or row.subject))
            locked = None if row.locked_until is None else int(row.locked_until.timestamp())
            state = State(row.attempts, row.info, locked)
            stay = self.live.get(name)
            self._poll.add(name)
            if stay is None:
                stay = self.live[name] = RefStay(self._visits.get(name, 0), wall, {state})
                events.append(("queue.entered", name[1], stay.visit))
            elif state not in stay.states:
                stay.states.add(state)
                events.append(("queue.changed", name[1], stay.visit))
            stay.misses = 0
        for name in self._poll:
            self.live[name].seen.append(wall)
        self.left = {}
        if page.present is not None:
            for name in [name for name in self.live if name[0] == page.queue]:
                self._complete(name)
        return events, {name for _, name in self.left}

    def _complete(self, name: tuple[str, str]) -> None:
        stay = self.live[name]
        if name in self._poll:
            stay.polls += 1
            stay.seen_for_sure = len(stay.seen) - 1
            return
        stay.misses += 1
        if stay.misses == self._gone_after:
            self.left[name] = self.live.pop(name)
            self._visits[name] = stay.visit + 1


class QueueWorld(RuleBasedStateMachine):
    """One account, its queues and its daemon."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(dir=_FAST_DISK if Path(_FAST_DISK).is_dir() else None))
        self.process: Process | None = None
        self.entries: list[Entry] = []
        self.event_ids: set[str] = set()
        self.passes_seen: dict[str, object] = {}
        self.failed = False

    @initialize(
        manner=st.builds(QueueManner, st.sampled_from([2, 5, 100, 1000]), st.booleans(), st.booleans()),
        gone_after=st.integers(1, 3),
        latency_secs=st.sampled_from([0.0, 0.1, 2.0]),
    )
    def begin(self, manner: QueueManner, gone_after: int, latency_secs: float) -> None:
        """Start the daemon for the first time."""
        if not manner.pages and not manner.totals:
            # A cap that nothing tells of: the round number is what gives it away.
            manner = QueueManner(100, pages=False, totals=False)
        self.gone_after, self.latency_secs = gone_after, latency_secs
        self.time, self.adversary, self.metrics = WorldTime(START), Adversary(), Metrics()
        self.api = QueueApi(self.entries, manner, self.time)
        self.reference = Reference(gone_after)
        self._start(self.folder / "1.db")

    @rule(seed=st.integers(0, 2**16), count=st.sampled_from([1, 1, 3, 8, 20, 101]))
    def entries_come(self, seed: int, count: int) -> None:
        """Mail enters the queues, now and soon."""
        rng = random.Random(seed)
        first = len(self.entries)
        self.entries += [make_entry(rng, first + number, self.time.now) for number in range(count)]

    @rule(polls=st.integers(1, 8))
    def time_passes(self, polls: int) -> None:
        """Nothing goes wrong."""
        for _ in range(polls):
            self._poll()

    @rule(
        requests=st.dictionaries(st.integers(1, 12), st.sampled_from(FAULTS), max_size=4),
        commits=st.dictionaries(
            st.integers(1, 12), st.sampled_from(["crash", "crash_committed", "unavailable"]), max_size=2
        ),
        polls=st.integers(1, 3),
    )
    def adversary_strikes(self, requests: dict[int, str], commits: dict[int, str], polls: int) -> None:
        """Requests and commits fail, lists are cut, the process is killed at any step."""
        self.adversary.plan(requests, commits)
        for _ in range(polls):
            self._poll()
        self.adversary.plan()

    @rule(secs=st.sampled_from([1.0, 60.0, 4_000.0, 8e5]), kill=st.booleans())
    def daemon_stops(self, secs: float, kill: bool) -> None:
        """The daemon is stopped or killed, and started again later."""
        file = self.runner.run(self._running.kill() if kill else self._running.stop())
        self.time.clock.advance(secs)
        self._start(file)

    @rule(secs=st.sampled_from([-3_600.0, 3_600.0, 86_400.0 * 30]))
    def wall_clock_is_set(self, secs: float) -> None:
        """Somebody sets this machine's clock."""
        self.time.clock.jump(secs)
        for stay in self.reference.live.values():
            stay.clock_set_back = stay.clock_set_back or secs < 0

    @rule()
    def store_is_swept(self) -> None:
        """What is past its time is removed, by the right time."""
        self.runner.run(self._sweep())

    async def _sweep(self) -> None:
        while await self._running.store.expire(when(self.time.now)):
            pass

    @property
    def _running(self) -> Process:
        assert self.process is not None
        return self.process

    def _start(self, file: Path) -> None:
        config = ProcessingQueueConfig.model_validate({"type": "processing_queue", "gone_after": self.gone_after})
        around = Surroundings(self.folder, self.time.clock, self.metrics, self.adversary, self._watch)
        manner = Manner(latency_secs=self.latency_secs)
        client = WorldClient(self.api, manner, self.time, self.adversary, self.metrics)
        self.process = None
        self.process = self.runner.run(Process.start(around, config.build, client, file))

    def _poll(self) -> None:
        begun = self.time.clock.monotonic()
        self.failed = True
        polled = self.runner.run(self._running.poll())
        if polled.killed:
            self._start(self.runner.run(self._running.kill()))
        self.failed = False
        self.time.clock.advance(max(0.0, INTERVAL - (self.time.clock.monotonic() - begun)))

    # -- what must hold

    def _watch(self, page: Page, outcome: Ingested) -> None:
        assert isinstance(page, QueuePage)
        queue = cast("Queue", page.queue)
        read, wall = self.api.last_pass(queue), timestamp(self.time.clock.now())
        first = self.passes_seen.get(queue) is not read
        self.passes_seen[queue] = read
        rows, gone = self.reference.page(page, wall, first=first)
        events = [msgspec.json.decode(line) for line in outcome.lines.splitlines()]
        left = [event for event in events if event["kind"] == "queue.left"]
        told = [(event["kind"], _name(event), event["queue"]["visit"]) for event in events if event not in left]
        assert rows == told
        assert gone == {_name(event) for event in left}
        assert len(gone) == len(left)
        for event in events:
            assert event["event_id"] not in self.event_ids, f"an event id twice: {event}"
            self.event_ids.add(event["event_id"])
            assert queue == event["queue"]["type"]
        for event in left:
            self._judge_left(event["queue"], self.reference.left[queue, _name(event)])
        if page.present is not None:
            self._judge_complete(queue, page.present)

    def _judge_left(self, told: Mapping[str, Any], stay: RefStay) -> None:
        """The end of a stay is when it was last seen for sure, or later, but never when it was not seen."""
        assert max(stay.polls, 1) == told["polls"], f"{told} of {stay}"
        assert told["dwell_secs"] >= 0
        if stay.clock_set_back:
            return
        assert stay.first_seen == told["first_seen_at"], f"{told} of {stay}"
        assert told["last_seen_at"] in stay.seen[stay.seen_for_sure :], f"{told} of {stay}"

    def _judge_complete(self, queue: Queue, present: frozenset[bytes]) -> None:
        read, now = self.api.last_pass(queue), self.time.now
        assert not read.capped, "a cut list counts as complete"
        keys = {entry_key(_FEED, queue, row) for row in _records(read.shown)}
        assert keys == present
        for entry in read.present:
            if entry in read.shown and entry.stays_in(queue, read.begun_at, now):
                assert (queue, entry.name) in self.reference.live

    # -- the end

    def teardown(self) -> None:
        """Let the adversary rest until every entry that is gone must have left."""
        try:
            if self.process is not None:
                if not self.failed:
                    self._end()
                self.runner.run(self._running.stop())
        finally:
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        self.entries[:] = [entry for entry in self.entries if entry.at(self.time.now) is not None][:90]
        for _ in range(self.gone_after + 1):
            self._poll()
        self.runner.run(self._judge_end())

    async def _judge_end(self) -> None:
        """The outbox holds each event once, and whoever is in a queue or in none is known to be."""
        process, position, ids = self._running, 0, []
        while rows := await process.store.read(process.feed.account_id, position, 1 << 22):
            for row in rows:
                ids += [msgspec.json.decode(line)["event_id"] for line in (row.lines or b"").splitlines()]
                position = row.first_offset + row.count
        assert len(ids) == len(set(ids))
        assert self.event_ids == set(ids)


def _name(event: Mapping[str, Any]) -> str:
    return str(event["message"]["id"] or event["message"]["subject"])


def _records(entries: Iterable[Entry]) -> list[Record]:
    rows = [read_row(entry.row(State(None, None, None))) for entry in entries]
    return [row for row in rows if isinstance(row, Record)]


@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("_silence")
def test_no_entry_of_the_model_world_is_misjudged() -> None:
    """Whatever the adversary does, every stay is entered once and left once, and only complete polls end it."""
    run_state_machine_as_test(
        QueueWorld,
        settings=campaign(steps=30),
    )
