"""No message missed: the real finder source, ingest and store against a model world and an adversary.

The invariant. Call a poll *clean* when it came within one interval of the one before, met no failure and ended within
its interval, so that it did all that was due; and a time clean in which every poll was. Then every (id, state) that the
API showed, as a row of a search that was configured, throughout one whole ``every`` of some tier, all of that time
being clean and the row's ``received`` in the tier's ``look_back`` (up to its end), is in the outbox, and no (id, state)
is there twice, whatever happens before, between and after. The overlap is such a tier too, over three intervals. Times
in which the daemon was stopped, the API failed, the machine slept or the searches changed are not clean.

Excused is what no sign in the API's answers tells of: rows behind a hidden cap in the two answers that are believed
before it is found out, rows that slip between the pages of a moving list whose length does not change; and what was
said to be incomplete. At every step: the ledger is what the committed pages brought, no range counts as read of which a
row shown all the while was not recorded, nothing that was not read is no longer owed, and no more than two answers are
believed that a hidden cap has cut.

``MCWATCH_PROPERTY_EXAMPLES=2000 pytest tests/property --hypothesis-seed=1`` is a longer run; a failure prints the steps
that lead to it, which ``@reproduce_failure`` repeats.
"""

import asyncio
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from mcwatch.domain.page import FinderPage, Page
from mcwatch.domain.window.coverage import Cover, missing
from mcwatch.domain.window.ranges import Window
from mcwatch.pipeline.ingest import Ingested
from mcwatch.sources.message_finder.config import MessageFinderConfig
from mcwatch.sources.message_finder.searches import Search
from mcwatch.sources.message_finder.source import MessageFinderSource
from mcwatch.telemetry.metrics import Metrics
from tests.property.api import FAULTS, Adversary, FinderApi, Manner, WorldClient, WorldTime
from tests.property.campaign import campaign
from tests.property.model import DAY, DOMAINS, START, Arrival, World, when
from tests.property.process import Polled, Process, Surroundings
from tests.property.truth import CleanSpan, Look, Truth, broken_promises

INTERVAL = 60.0
_SLACK = 5.0
_FAST_DISK = "/dev/shm"

MANNERS: Sequence[tuple[dict[str, Any], int]] = (
    ({"paging": "pages", "cap": 1000}, 25),
    ({"paging": "pages", "cap": 7}, 25),
    ({"paging": "pages", "cap": 3}, 500),
    ({"paging": "announced", "cap": 30}, 50),
    ({"paging": "silent", "cap": 25}, 25),
    ({"paging": "silent", "cap": 100}, 500),
    ({"paging": "hidden", "cap": 23}, 200),
    ({"paging": "hidden", "cap": 137}, 500),
    ({"paging": "stops", "cap": 10}, 25),
)
"""How the API pages, with the ``page_size`` that mcwatch asks for."""

DEPTHS: Sequence[dict[str, Any]] = (
    {"rescans": [["5m", "30m"], ["20m", "2h"]], "max_window": "10m", "initial_look_back": "1h", "overlap": "5m"},
    {"rescans": [["30m", "6h"]], "max_window": "1h", "initial_look_back": "6h", "overlap": "6m"},
    {"rescans": [["5m", "30m"], ["1h", "24h"]], "max_window": "6h", "initial_look_back": "24h", "overlap": "0s"},
)

_LONGEST_STOP_SECS = {"10m": 30_000.0, "1h": 3e5, "6h": 3e6}

SEARCHES: Sequence[dict[str, Any]] = (
    {},
    {"domains": list(DOMAINS[:1])},
    {"domains": list(DOMAINS[:2]), "searches": [{"sender_ip": "198.51.100.7"}]},
    {"searches": [{"to": DOMAINS[0]}], "routes": ["inbound", "internal"]},
    {"domains": "discover"},
)

_MANNERS = st.builds(
    lambda paging, others: (Manner(**paging[0], **others), paging[1]),
    st.sampled_from(MANNERS),
    st.fixed_dictionaries(
        {
            "totals": st.sampled_from(["none", "right", "page"]),
            "size_told": st.sampled_from(["none", "asked", "zero"]),
            "bounds": st.tuples(st.booleans(), st.booleans()),
            "narrowing": st.sampled_from(["known", "ignored", "refused"]),
            "history_days": st.sampled_from([30.0, 30.0, 12.0]),
            "token_tells_time": st.booleans(),
            "latency_secs": st.sampled_from([0.0, 0.05, 0.4]),
        }
    ),
)
_REQUESTS = st.dictionaries(st.integers(1, 25), st.sampled_from(FAULTS), max_size=4)
_COMMITS = st.dictionaries(st.integers(1, 25), st.sampled_from(["crash", "crash_committed", "unavailable"]), max_size=2)
_SEEDS = st.integers(0, 2**16)


class FinderWorld(RuleBasedStateMachine):
    """One account, its mail and its daemon, from the first poll on."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(dir=_FAST_DISK if Path(_FAST_DISK).is_dir() else None))
        self.process: Process | None = None
        self.clean: list[CleanSpan] = []
        self.is_clean = False
        self.bursts = 0
        self.failed = False

    @initialize(
        manner=_MANNERS,
        depth=st.integers(0, len(DEPTHS) - 1),
        searches=st.integers(0, len(SEARCHES) - 1),
        machine_ahead=st.sampled_from([0.0, -7200.0, 40 * 86400.0]),
    )
    def begin(self, manner: tuple[Manner, int], depth: int, searches: int, machine_ahead: float) -> None:
        """Start the daemon for the first time."""
        self.manner, self.page_size = manner
        self.depth, self.wanted = DEPTHS[depth], SEARCHES[searches]
        self.world, self.time, self.adversary, self.metrics = World(), WorldTime(START), Adversary(), Metrics()
        self.time.clock.jump(machine_ahead)
        self.api = FinderApi(self.world, self.manner, self.time)
        self.api.domains = list(DOMAINS[:2])
        self.truth = Truth(self.world, self.api, self.manner, self.time)
        self._start(self.folder / "1.db")

    # -- what happens in the world

    @rule(
        seed=_SEEDS,
        count=st.integers(1, 30),
        spread=st.sampled_from([5, 60, 600, 600, 7200, 80_000]),
        twins=st.booleans(),
    )
    def mail_comes(self, seed: int, count: int, spread: int, twins: bool) -> None:
        """Mail is received; some of it appears late, changes, disappears."""
        self.world.arrive(random.Random(seed), self.time.now, Arrival(count, spread, twins))

    @precondition(lambda self: self.bursts < 2)
    @rule(seed=_SEEDS, more=st.integers(-1, 20))
    def second_is_crowded(self, seed: int, more: int) -> None:
        """One second gets more mail than an answer can show."""
        self.bursts += 1
        count = (self.manner.cap if self.manner.cap < 200 else self.page_size) + more
        self.world.arrive(random.Random(seed), self.time.now, Arrival(count, 0, hasty=True))

    @rule(names=st.sets(st.sampled_from(DOMAINS), min_size=0))
    def domains_change(self, names: set[str]) -> None:
        """The account's internal domains are others now."""
        self.api.domains = sorted(names)

    # -- what happens to the daemon

    @rule(polls=st.integers(1, 12))
    def time_passes(self, polls: int) -> None:
        """Nothing goes wrong."""
        for _ in range(polls):
            self._poll()

    @rule(requests=_REQUESTS, commits=_COMMITS, polls=st.integers(1, 3))
    def adversary_strikes(self, requests: dict[int, str], commits: dict[int, str], polls: int) -> None:
        """Requests and commits fail, the process is killed at any step."""
        if self.manner.paging == "hidden":
            # A row more than the cap lets through would not be a cap.
            requests = {at: fault for at, fault in requests.items() if fault != "odd"}
        self.adversary.plan(requests, commits)
        for _ in range(polls):
            self._poll()
        self.adversary.plan()

    @rule(fault=st.sampled_from(["moves", "token_dies", "cut"]), first=st.integers(1, 8), count=st.integers(1, 8))
    def paging_fails(self, fault: str, first: int, count: int) -> None:
        """The list moves while it is paged, its tokens die, or it ends early, again and again."""
        self.adversary.plan(dict.fromkeys(range(first, first + count), fault))
        self._poll()
        self.adversary.plan()

    @rule(secs=st.sampled_from([1.0, 90.0, 600.0, 4_000.0, 30_000.0, 3e5, 1.06e6, 3e6]), kill=st.booleans())
    def daemon_stops(self, secs: float, kill: bool) -> None:
        """The daemon is stopped or killed, and started again later."""
        file = self.runner.run(self._kill() if kill else self._running.stop())
        # To catch up on weeks in small windows takes too long for a test.
        self.time.clock.advance(min(secs, _LONGEST_STOP_SECS[self.depth["max_window"]]))
        self._start(file)

    @rule(secs=st.sampled_from([1.0, 90.0, 3_600.0, 20_000.0]))
    def machine_sleeps(self, secs: float) -> None:
        """Time passes for the API alone: its clock seems to jump."""
        self.time.sleep(secs)
        self.is_clean = False

    @rule(secs=st.sampled_from([-3_600.0, 3_600.0, -86_400.0 * 365, 86_400.0 * 30]))
    def wall_clock_is_set(self, secs: float) -> None:
        """Somebody sets this machine's clock."""
        self.time.clock.jump(secs)

    @rule(searches=st.integers(0, len(SEARCHES) - 1))
    def searches_change(self, searches: int) -> None:
        """The daemon is started again with another configuration."""
        self.wanted = SEARCHES[searches]
        self._start(self.runner.run(self._running.stop()))

    @rule()
    def store_is_swept(self) -> None:
        """What is past its time is removed, by the right time."""
        self.runner.run(self._sweep())

    async def _sweep(self) -> None:
        while await self._running.store.expire(when(self.time.now)):
            pass

    @rule(hours_ago=st.sampled_from([0, 1, 5, 30, 200]), hours=st.integers(1, 3))
    def past_is_read_again(self, hours_ago: int, hours: int) -> None:
        """Somebody reads a past range again (backfill)."""
        hours = hours if self.depth is not DEPTHS[0] else 1
        self.failed = True
        self.runner.run(self._backfill(hours_ago, hours))
        self.failed = False
        self.is_clean = False

    async def _backfill(self, hours_ago: int, hours: int) -> None:
        until = when(int(self.time.now)) - timedelta(hours=hours_ago)
        searches = self._source.searches(await self._running.progress())[:2]
        self._learn(searches)
        for search in searches:
            window, progress = Window(until - timedelta(hours=hours), until), await self._running.progress()
            await self._running.commit_all(self._source.read_range(search, window, progress))
        await self._judge(Polled(killed=True))
        self.api.passes.clear()

    # -- how it is done

    @property
    def _running(self) -> Process:
        assert self.process is not None
        return self.process

    async def _kill(self) -> Path:
        return await self._running.kill()

    def _start(self, file: Path) -> None:
        rescans = [{"every": every, "look_back": look_back} for every, look_back in self.depth["rescans"]]
        options = {**self.depth, **self.wanted, "rescans": rescans, "page_size": self.page_size}
        self.config = MessageFinderConfig.model_validate({"type": "message_finder", "interval": "60s", **options})
        self.truth.routes = self.wanted.get("routes")
        around = Surroundings(self.folder, self.time.clock, self.metrics, self.adversary, self._watch)
        client = WorldClient(self.api, self.manner, self.time, self.adversary, self.metrics)
        self.process = None
        self.process = self.runner.run(Process.start(around, self.config.build, client, file))
        self.truth.began()
        self.is_clean = False

    def _watch(self, page: Page, outcome: Ingested) -> None:
        assert isinstance(page, FinderPage)
        self._learn(ledger.search for ledger in self._source._ledgers.values())
        self.truth.committed(page, outcome)

    def _learn(self, searches: Iterable[Search]) -> None:
        self.truth.searches.update((search.name, search.options) for search in searches)

    @property
    def _source(self) -> MessageFinderSource:
        source = self._running.source
        assert isinstance(source, MessageFinderSource)
        return source

    def _poll(self) -> Polled:
        """Poll, judge, and wait for the next poll's time."""
        begun_at, begun_mono = self.time.now, self.time.clock.monotonic()
        self.failed = True
        polled = self.runner.run(self._running.poll())
        took = self.time.clock.monotonic() - begun_mono
        active = self.runner.run(self._judge(polled))
        self.api.passes.clear()
        self._note(polled.error is None and not polled.killed and took <= INTERVAL, begun_at, active)
        if polled.killed:
            self._start(self.runner.run(self._kill()))
        self.time.clock.advance(max(0.0, INTERVAL - took))
        self.failed = False
        return polled

    async def _judge(self, polled: Polled) -> list[Search]:
        progress = await self._running.progress()
        active = self._source.searches(progress)
        sinces = {
            name: datetime.fromisoformat(since)
            for name, body in progress.cursors.items()
            if name != "domains" and (since := msgspec.json.decode(body).get("since"))
        }
        self.truth.ledger(progress, sinces)
        reading = self._source.reading()
        if not polled.killed and len(reading.searches) == len(active):
            for search, read in zip(active, reading.searches, strict=True):
                self.truth.covered_until(search.name, read.covered_until, when(self.time.now))
        return active

    def _note(self, clean: bool, begun_at: float, active: Sequence[Search]) -> None:
        filters = [search.options for search in active]
        if not clean:
            self.is_clean = False
            return
        if self.is_clean and self.clean[-1].searches == filters:
            self.clean[-1] = CleanSpan(self.clean[-1].begin, self.time.now, filters, self.truth.routes)
        else:
            self.clean.append(CleanSpan(begun_at, self.time.now, filters, self.truth.routes))
        self.is_clean = True

    # -- the end

    def teardown(self) -> None:
        """Let the adversary rest for a period of the longest tier, then judge all that was promised."""
        try:
            if self.process is not None:
                if not self.failed:
                    self._end()
                self.runner.run(self._running.stop())
        finally:
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        self.api.domains = self.api.domains or list(DOMAINS[:1])
        tiers = [rescan.tier() for rescan in self.config.rescans]
        longest = max(tier.every for tier in tiers).total_seconds()
        for _ in range(3 + int((longest + _SLACK) / INTERVAL)):
            polled = self._poll()
            assert polled.error is None, f"a calm poll failed: {polled.error}"
        looks = [Look(tier.every.total_seconds() + _SLACK, tier.look_back.total_seconds()) for tier in tiers]
        looks.append(Look(3 * INTERVAL + _SLACK, self.config.overlap))
        _, broken = broken_promises(self.truth, looks, self.clean)
        assert not broken, f"{len(broken)} states were promised and are not in the outbox: {broken[:3]}"
        self.runner.run(self._judge_end())

    async def _judge_end(self) -> None:
        """Nothing is owed any more but the last interval, and the outbox holds each event once."""
        progress, now = await self._running.progress(), when(self.time.now)
        for search in self._source.searches(progress):
            since = self.truth.claims[search.name].since
            assert since is not None
            owed = missing(progress.coverage[search.name], since, now - timedelta(seconds=2 * INTERVAL))
            owed = [window for window in owed if window.end > now - timedelta(days=27)]
            assert not owed, f"{search.name}: still owed: {owed}"
        ids = [event["event_id"] async for event in self._outbox()]
        assert self.truth.event_ids == set(ids)
        assert len(ids) == len(set(ids))

    async def _outbox(self) -> AsyncIterator[dict[str, Any]]:
        process, position = self._running, 0
        while rows := await process.store.read(process.feed.account_id, position, 1 << 22):
            for row in rows:
                for line in (row.lines or b"").splitlines():
                    yield msgspec.json.decode(line)
                position = row.first_offset + row.count


@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("_silence")
def test_no_state_of_the_model_world_is_missed() -> None:
    """Whatever the adversary does, what was shown for a whole period is recorded once, and no claim is false."""
    run_state_machine_as_test(
        FinderWorld,
        settings=campaign(steps=25),
    )


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("_silence")
def test_what_a_short_history_lost_during_a_stop_is_a_gap() -> None:
    """Where the API answers for 12 days only, a daemon that had just begun and stops for longer says what it lost."""
    state = FinderWorld()
    try:
        manner = Manner(history_days=12.0)
        state.begin(manner=(manner, 25), depth=1, searches=0, machine_ahead=0.0)
        state.time_passes(polls=3)
        file = state.runner.run(state._running.stop())
        state.time.clock.advance(12 * DAY + 5 * 3600)
        state._start(file)
        state.time_passes(polls=3)
        gaps = state.truth.claims["all"].known(Cover.GAP)
        assert [when(START + 2 * INTERVAL)] == [gap.start for gap in gaps]
    finally:
        state.teardown()
