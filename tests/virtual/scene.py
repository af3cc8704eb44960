"""A simulated Mimecast, a daemon and a receiver together in virtual time, and the checks at the end of every run."""

import math
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from mcwatch.domain.errors import McwatchError
from mcwatch.domain.event import FINDER
from mcwatch.pipeline.poller import PollWatch
from mcwatch.settings import Settings
from mcwatch.simulator import Simulator, SimulatorConfig
from mcwatch.sources.message_finder import MessageFinderConfig
from tests.virtual.clock import VirtualClock
from tests.virtual.daemon import Daemon, Span
from tests.virtual.loop import virtual_loop
from tests.virtual.receiver import Receiver, ReceiverConfig, Row
from tests.virtual.threads import tied_to_virtual_time
from tests.virtual.witness import Witness, row_of
from tests.virtual.world import Promise, Tier, mail_lives, promised_and_missing, shown_and_missing, told

MONDAY = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
RESCANS = (Tier(10 * MINUTE, HOUR), Tier(2 * HOUR, DAY), Tier(DAY, 16 * DAY))
"""The contract's defaults (section 4)."""
_RECOVERY_SECS = 15 * MINUTE
"""An account that was down is tried again after five minutes at most; then what came due meanwhile is read."""
SLACK_SECS = 45 * MINUTE
"""What a tier is granted on top of its period where polls fail."""
_ODD_ID = re.compile(r"(odd|latin)-\d+|None")
HAS_RESCANS = "rescans" in MessageFinderConfig.model_fields


@dataclass(frozen=True)
class Plan:
    """How a run is set up; durations in seconds."""

    simulator: SimulatorConfig
    start: datetime = MONDAY
    interval: float = 5 * MINUTE
    overlap: float = 5 * MINUTE
    initial_look_back: float = DAY
    requests_per_minute: int = 120
    domains: Sequence[str] = ()
    """Empty: those of the simulated account."""
    receiver_failing_share: float = 0.02
    storm_slack_secs: float = SLACK_SECS
    """The same for tiers that look back a day or more, while a third of all requests go wrong."""

    @property
    def tiers(self) -> Sequence[Tier]:
        """All repeated looks, the fresh window among them."""
        fresh = Tier(self.interval, self.overlap)
        return (fresh, *RESCANS) if HAS_RESCANS else (fresh,)

    def settings(self, base_url: str, folder: Path, receiver: Receiver) -> Settings:
        """Return the daemon's settings."""
        account = self.simulator.accounts[0]
        finder: dict[str, object] = {
            "type": "message_finder",
            "interval": _written(self.interval),
            "domains": list(self.domains or account.domains),
            "overlap": _written(self.overlap),
            "initial_look_back": _written(self.initial_look_back),
        }
        if HAS_RESCANS:
            finder["rescans"] = [
                {"every": _written(tier.every), "look_back": _written(tier.look_back)} for tier in RESCANS
            ]
        auth = {"type": "oauth2", "client_id": account.client_id, "client_secret": account.client_secret}
        settings = Settings.model_validate(
            {
                "http": {"listen": "127.0.0.1:0"},
                "store": {"url": f"sqlite:///{folder / 'mcwatch.db'}", "reserve": 0},
                "accounts": [
                    {
                        "name": account.name,
                        "api": {
                            "base_url": base_url,
                            "auth": auth,
                            "max_requests_per_minute": self.requests_per_minute,
                        },
                        "sources": [{"type": "processing_queue", "interval": _written(self.interval)}, finder],
                    }
                ],
                "destinations": [{"name": "out", "sink": {"type": "stdout"}}],
            }
        )
        [destination] = settings.destinations
        in_memory = destination.model_copy(update={"sink": ReceiverConfig(receiver)})
        return settings.model_copy(update={"destinations": [in_memory]})


@dataclass
class Scene:
    """Everything of a run."""

    plan: Plan
    clock: VirtualClock
    simulator: Simulator
    witness: Witness
    receiver: Receiver
    daemon: Daemon
    log: Counter[str] = field(default_factory=Counter)
    """Warnings and worse, by event."""
    outages: list[Span] = field(default_factory=list)
    """When the API was away, or busy with something that goes first."""
    storms: list[Span] = field(default_factory=list)
    """When so many requests were refused that polls failed one after the other."""
    failed_polls: list[Span] = field(default_factory=list)
    """The finder's; what was due in them is read by the next, so that a tier's period is longer by one or two polls."""
    odd_events: int = 0
    """Events of rows that were meant to be unreadable; counted by :meth:`assert_all_shown_arrived`."""

    async def run_for(self, secs: float) -> None:
        """Let time pass."""
        await self.daemon.run_for(secs)

    def lag_secs(self) -> float:
        """Return ``finder_lag_seconds``."""
        metric = self.daemon.application.metrics.finder_lag_seconds
        return max((sample.value for family in metric.collect() for sample in family.samples), default=math.inf)

    async def settle(self, at_most_secs: float) -> float:
        """Let time pass until all that is owed is read and delivered; return when that was."""
        began = self.clock.true_secs()
        while self.clock.true_secs() - began < at_most_secs:
            await self.run_for(self.plan.interval)
            snapshot = await self.daemon.snapshot()
            if self.lag_secs() <= 2 * self.plan.interval and not any(one.waiting for one in snapshot.destinations):
                return self.clock.true_secs()
        raise AssertionError(f"the daemon lags by {self.lag_secs():.0f} s after {at_most_secs:.0f} s: {self.figures()}")

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Refuse all connections to the API meanwhile."""
        async with self.refusals():
            self.simulator.config = replace(self.simulator.config, port=self.simulator.port)
            await self.simulator.__aexit__(None, None, None)
            yield
            await self.simulator.__aenter__()

    @asynccontextmanager
    async def refusals(self) -> AsyncIterator[None]:
        """Take note that the API serves nobody meanwhile."""
        began = self.clock.true_secs()
        yield
        self.outages.append(Span(began, self.clock.true_secs()))

    def up(self, *troubles: Span) -> list[Span]:
        """Return the times in which the daemon ran and was not in trouble, nor recovering from it."""
        times = list(self.daemon.ran())
        for trouble in troubles:
            over_at = trouble.ended_at + _RECOVERY_SECS
            before = [Span(one.began_at, min(one.ended_at, trouble.began_at)) for one in times]
            after = [Span(max(one.began_at, over_at), one.ended_at) for one in times]
            times = [one for one in before + after if one.began_at < one.ended_at]
        return sorted(times, key=lambda one: one.began_at)

    def figures(self) -> str:
        """Return what the run was like, for people."""
        stats, kinds = self.simulator.stats, Counter(one.kind for one in self.receiver.arrivals.values())
        days, faults = virtual_loop().time() / DAY, sum(self.simulator.faults.injected.values())
        return (
            f"seed {self.plan.simulator.seed}: {days:.2f} days in {len(self.daemon.ran())} lives, "
            f"{stats.requests.total()} requests ({dict(stats.requests)}), {stats.rows_shown} rows shown, "
            f"{len(self.simulator.ledger)} different, {self.witness.excused} excused at stops, "
            f"events {dict(kinds)}, {self.receiver.repeats} repeats, {faults} faults, "
            f"{len(self.failed_polls)} finder polls failed, "
            f"log {dict(self.log)}"
        )

    def assert_all_shown_arrived(self) -> None:
        """Check that what was shown was delivered, once, and nothing else."""
        rows = self.receiver.rows()
        assert not self.receiver.differing, "repeats differ from the first sending"
        shown = {row_of(one): one for one, _ in self.simulator.ledger.entries() if one.raw is None}
        lost = [one for one in self.witness.shown() if one.raw is None and row_of(one) not in rows]
        assert not lost, f"{len(lost)} rows were shown and have not arrived, such as {lost[:5]}; {self.figures()}"
        strangers = [row for row in rows if row not in shown]
        # Of the rows meant to be unreadable some can be read after all; their ids say so.
        self.odd_events = sum(_ODD_ID.fullmatch(str(row[1])) is not None for row in strangers)
        invented = [row for row in strangers if not _ODD_ID.fullmatch(str(row[1]))]
        assert not invented, f"{len(invented)} events show no row of the API, such as {invented[:5]}"

    def assert_promises_kept(self) -> int:
        """Check that every state a tier had a whole period to see was delivered; return how many that were.

        Without slack where the API answered; where single polls failed, and through storms, a tier has more time.
        """
        rows = self.receiver.rows()
        calm = Promise(self.plan.tiers, self.up(*self.outages, *self.storms, *self.failed_polls), self.owed_since)
        promises = [calm]
        if self.failed_polls:
            promises.append(replace(calm, up=self.up(*self.outages, *self.storms), slack_secs=SLACK_SECS))
        if self.storms:
            rough = replace(calm, up=self.up(*self.outages), slack_secs=SLACK_SECS)
            far = [tier for tier in self.plan.tiers if tier.look_back >= DAY]
            near = [tier for tier in self.plan.tiers if tier not in far]
            promises.append(replace(rough, tiers=near))
            promises.append(replace(rough, tiers=far, slack_secs=self.plan.storm_slack_secs))
        promised = [self._promised(promise, rows) for promise in promises]
        return promised[0]

    def _promised(self, promise: Promise, rows: Collection[Row]) -> int:
        promised, missing = promised_and_missing(mail_lives(self.simulator, self.clock.true_secs()), promise, rows)
        slack_secs = f"with a slack of {promise.slack_secs:.0f} s"
        assert not missing, f"{slack_secs} {told(missing, rows)}\n{self.figures()}"
        return promised

    @property
    def owed_since(self) -> float:
        """Where the first poll's look back began."""
        return self.daemon.ran()[0].began_at - self.plan.initial_look_back

    def assert_still_shown_arrived(self, since: float, at: float, until: float) -> int:
        """Check the mail received from ``since`` to ``at``; return how many states of it were asked for.

        What was shown all the time from ``at`` to ``until`` must have been delivered.
        """
        rows = self.receiver.rows()
        shown, missing = shown_and_missing(mail_lives(self.simulator, at), Span(at, until), since, rows)
        assert not missing, f"{told(missing, rows)}\n{self.figures()}"
        return shown

    async def assert_covered(self) -> None:
        """Check that the status report owes no more than what came since the last polls, and that of every search."""
        [account] = (await self.daemon.report()).accounts
        searches = [search for source in account.sources for search in source.searches]
        assert len(searches) >= 2 * len(self.plan.domains or self.simulator.config.accounts[0].domains)
        for search in searches:
            assert search.missing_secs <= 2 * self.plan.interval, search
            assert search.lag_secs <= 2 * self.plan.interval, search
            assert 0.0 == search.incomplete_secs, search

    def assert_no_gap(self) -> None:
        """Check that nothing was given up."""
        assert 0.0 == self.daemon.total_gap_secs()

    async def assert_figures_add_up(self) -> None:
        """Check the sums of the contract's section 8, against each other and against what the receiver has."""
        snapshot = await self.daemon.snapshot()
        for feed in snapshot.feeds:
            assert feed.received == feed.new + feed.duplicate + feed.undecodable
        for one in snapshot.destinations:
            gone = one.delivered + sum(one.dead_lettered.values()) + one.not_selected + one.skipped
            assert one.offered == gone + one.waiting
            assert one.offered == len(self.receiver.arrivals)
            assert (0, 0) == (one.waiting, one.skipped)
        shown = sum(one.raw is not None for one, _ in self.simulator.ledger.entries())
        surely = sum(one.raw is not None for one in self.witness.shown())
        kept = sum(snapshot.undecodable_letters.values())
        assert surely <= kept + self.odd_events <= shown, f"{surely} shown, {kept} kept, {self.odd_events} read"


def _written(secs: float) -> str:
    return f"{secs:.0f}s"


@asynccontextmanager
async def scene(plan: Plan) -> AsyncIterator[Scene]:
    """Set everything up; to be entered in a :class:`tests.virtual.loop.VirtualLoop`."""
    clock = VirtualClock(virtual_loop(), plan.start)
    seed = str(plan.simulator.seed)
    receiver = Receiver(clock, random.Random(f"receiver|{seed}"), plan.receiver_failing_share)
    log: Counter[str] = Counter()
    with _quick_folder() as folder, tied_to_virtual_time(), _counted_warnings(log):
        simulator = Simulator(plan.simulator, clock.true_secs)
        witness = Witness(simulator)
        async with simulator:
            url = simulator.url
            daemon = Daemon(folder, clock, lambda: plan.settings(url, folder, receiver), seed, witness.life_ended)
            whole = Scene(plan, clock, simulator, witness, receiver, daemon, log)
            with _noted_failures(clock, whole.failed_polls):
                yield whole
                if daemon.running:
                    await daemon.stop()


@contextmanager
def _quick_folder() -> Iterator[Path]:
    """Give a folder in memory where there is one: a disk's fsync would take most of a run's real time."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="mcwatch-", dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _noted_failures(clock: VirtualClock, polls: list[Span]) -> Iterator[None]:
    """Take note of the polls of the finder that failed."""
    failed = PollWatch.failed

    def noted(self: PollWatch, error: McwatchError, total: Counter[str], secs: float) -> float | None:
        if self._feed.source == FINDER:
            polls.append(Span(clock.true_secs() - secs, clock.true_secs()))
        return failed(self, error, total, secs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PollWatch, "failed", noted)
        yield


@contextmanager
def _counted_warnings(log: Counter[str]) -> Iterator[None]:
    """Count warnings and worse instead of printing hundreds of thousands of lines."""

    def count(_logger: object, _method: str, line: MutableMapping[str, Any]) -> str:
        log[str(line["event"])] += 1
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[count], wrapper_class=structlog.make_filtering_bound_logger(30))
    try:
        yield
    finally:
        structlog.configure(**before)
