"""Any sequence of operations leaves a store that adds up: positions, figures, and every event still owed."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.domain.page import Feed, PageCounts, PageTransaction
from mcwatch.domain.record import Unreadable
from tests.contract.store_engines import ENGINES
from tests.contract.store_kit import (
    FINDER,
    StoreEngine,
    append_numbers,
    assert_identities,
    events_in,
    figures_of,
    rejected,
)

T = TypeVar("T")

pytestmark = pytest.mark.timeout(60)
_ACCOUNTS = ("acme", "corp")
_DESTINATIONS = ("a", "b", "c")
_Split = tuple[int, int, int]


class StoreMachine(RuleBasedStateMachine):
    """Drives a store and a model of it side by side; event numbers are the offsets the model expects."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.engine: StoreEngine = ENGINES[self.kind](self.folder)
        self.runner = asyncio.Runner()
        self.context = self.engine.open()
        self.store = self.do(self.context.__aenter__())
        self.feeds: dict[str, Feed] = {}
        self.heads: dict[str, int] = {}
        self.known: set[str] = set()
        self.configured: set[str] = set()
        self.positions: dict[tuple[str, str], int] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one operation to its end."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Close and remove the store."""
        self.do(self.context.__aexit__(None, None, None))
        self.runner.close()
        shutil.rmtree(self.folder)

    @initialize()
    def first_account(self) -> None:
        """Begin with one account, as every configuration does."""
        self.add_account("acme")

    @rule(account=st.sampled_from(_ACCOUNTS))
    def add_account(self, account: str) -> None:
        """Register an account, perhaps again."""
        self.feeds[account] = self.do(self.store.feed(account, FINDER))
        self.heads.setdefault(account, 0)
        for name in self.known:
            self.positions.setdefault((name, account), 0)

    @rule(names=st.sets(st.sampled_from(_DESTINATIONS)))
    def configure(self, names: set[str]) -> None:
        """Enrol some destinations, each new one at the head."""
        gone = self.do(self.store.enrol(dict.fromkeys(names, True)))
        assert sorted(self.known - names) == gone
        for name in names:
            for account, head in self.heads.items():
                self.positions.setdefault((name, account), head)
        self.known |= names
        self.configured = names

    @rule(account=st.sampled_from(_ACCOUNTS), count=st.integers(1, 5), duplicates=st.integers(0, 3))
    def append(self, account: str, count: int, duplicates: int) -> None:
        """Commit a page of new events, then one of repeated rows."""
        feed = self.feeds.get(account)
        if feed is None:
            return
        head = self.heads[account]
        assert head == self.do(append_numbers(self.store, self.engine, feed, range(head, head + count)))
        self.heads[account] = head + count
        self.do(self.store.commit_page(feed, lambda page: page.count(PageCounts(duplicate=duplicates))))

    @rule(account=st.sampled_from(_ACCOUNTS))
    def quarantine(self, account: str) -> None:
        """Commit a page with a row that nobody can read."""
        feed = self.feeds.get(account)
        if feed is None:
            return

        def work(transaction: PageTransaction) -> None:
            transaction.quarantine([Unreadable(b"\xff", "no JSON")], self.engine.clock.now())
            transaction.count(PageCounts(undecodable=1))

        self.do(self.store.commit_page(feed, work))

    @rule(account=st.sampled_from(_ACCOUNTS))
    def fail(self, account: str) -> None:
        """Commit a page that comes to nothing."""
        feed = self.feeds.get(account)
        if feed is None:
            return

        def work(transaction: PageTransaction) -> None:
            transaction.append(b"{}\n", 1, self.engine.clock.now())
            transaction.count(PageCounts(new=1))
            raise KeyError

        with pytest.raises(KeyError):
            self.do(self.store.commit_page(feed, work))

    @rule(
        name=st.sampled_from(_DESTINATIONS),
        split=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)),
    )
    def settle(self, name: str, split: _Split) -> None:
        """Let a destination pass some events of every account, as far as there are any."""
        if name not in self.configured:
            return
        progress, letters = [], []
        for account, feed in self.feeds.items():
            position, room = self.positions[name, account], self.heads[account] - self.positions[name, account]
            delivered = min(split[0], room)
            not_selected = min(split[1], room - delivered)
            refused = min(split[2], room - delivered - not_selected)
            reached = position + delivered + not_selected + refused
            progress.append(Progress(feed.account_id, reached, delivered, not_selected))
            letters += [rejected(feed.account_id, reached - 1 - at, account=account) for at in range(refused)]
            self.positions[name, account] = reached
        self.do(self.store.settle(Settlement(name, progress, letters)))

    @rule(hours=st.integers(0, 30))
    def expire(self, hours: int) -> None:
        """Let time pass and expire; what is gone from the configuration may be released."""
        self.engine.clock.jump(timedelta(hours=hours).total_seconds())
        while self.do(self.store.expire(self.engine.clock.now())):
            pass
        names = {one.name for one in self.do(self.store.snapshot()).destinations}
        assert self.configured <= names <= self.known
        self.positions = {place: at for place, at in self.positions.items() if place[0] in names}
        self.known = names

    @precondition(lambda self: self.heads)
    @rule()
    def reopen(self) -> None:
        """Close and open again, as a restart does."""
        self.do(self.context.__aexit__(None, None, None))
        self.context = self.engine.open()
        self.store = self.do(self.context.__aenter__())

    @invariant()
    def it_adds_up(self) -> None:
        """Compare heads, positions and figures with the model, and read everything that is owed."""
        snapshot = self.do(self.store.snapshot())
        assert_identities(snapshot)
        heads = self.store.heads()
        assert self.heads == {account: heads[feed.account_id] for account, feed in self.feeds.items()}
        for name in self.known:
            stored = self.do(self.store.positions(name))
            mine = {account: stored[feed.account_id] for account, feed in self.feeds.items()}
            assert {account: self.positions[name, account] for account in self.feeds} == mine
            waiting = sum(head - mine[account] for account, head in self.heads.items())
            assert waiting == figures_of(snapshot, name).waiting
            assert (waiting == 0) == (figures_of(snapshot, name).oldest_waiting_at is None)
        for account, feed in self.feeds.items():
            owed = min((self.positions[name, account] for name in self.known), default=self.heads[account])
            read = events_in(self.do(self.store.read(feed.account_id, owed, 1 << 20)))
            assert list(range(owed, self.heads[account])) == [number for number in read if number >= owed]


class PostgresMachine(StoreMachine):
    """The same on PostgreSQL, where each step takes several times as long."""

    kind = "postgres"


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=15,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
)
TestPostgresStore = PostgresMachine.TestCase
TestPostgresStore.settings = settings(TestStore.settings, max_examples=3)
TestPostgresStore.pytestmark = [pytest.mark.server]  # type: ignore[attr-defined]  # as pytest reads it
