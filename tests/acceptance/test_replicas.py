"""Replicas that share a PostgreSQL take over from each other: nothing is missing, and nobody writes out of turn."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from mcwatch.simulator import AccountConfig, SimulatorConfig
from tests.acceptance import configuration, shared_store
from tests.acceptance.configuration import Config
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Hook
from tests.acceptance.ledgers import assert_ids_hold, recorded
from tests.acceptance.replica_faults import Faults
from tests.acceptance.replicas import Replicas
from tests.acceptance.waiting import eventually, pass_time
from tests.acceptance.watched_api import WatchedApi
from tests.fakes.postgres import PostgresServer, database

pytestmark = pytest.mark.alone

_SEED = 20261121
_TIMES = 2
"""Every kind of fault happens so often."""
_INTERVAL = "2s"
_LEASE_SECS = 6.0
_BUSY_SECS = 1.5
"""How much later than the lease a poll may come on a machine whose cores all processes of this test share."""
_AHEAD_SECS = 7 * 3600.0
_NAMES = ("a", "b", "c")


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that keeps what it has acknowledged, for this test to crash."""
    with PostgresServer(durable=True) as running:
        yield running


@pytest.fixture
def shifted(require_program: Callable[[str], Path]) -> dict[str, str]:
    """The environment of a process whose wall clock is hours ahead and runs evenly."""
    require_program("faketime")
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"+{_AHEAD_SECS:.0f}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        # Else every wait for Python's lock ends at once, and threads that want it spin (libfaketime 0.9.10).
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }


@dataclass
class Scene:
    """The replicas with what they work on and for."""

    replicas: Replicas
    api: WatchedApi
    hooks: dict[str, Hook]
    url: str

    async def settle(self) -> None:
        """Let no new mail come, wait until all is read and received, and end all replicas in order."""
        self.api.stop_mail()
        asked = len(self.api.questions)
        everything = 8 * len(self.api.config.accounts)
        await eventually(lambda: len(self.api.questions) >= asked + everything, 60.0)

        async def nothing_waits() -> bool:
            await pass_time(0.1)
            return shared_store.behind(self.url) == 0

        await eventually(nothing_waits, 60.0)
        for name in sorted(self.replicas.running):
            await self.replicas.stop(name)
        assert 0 == shared_store.behind(self.url)

    def assert_complete(self) -> None:
        """Check the promise: each row shown is recorded once and received everywhere, in the order recorded."""
        logs = shared_store.logs(self.url)
        shared_store.assert_sound(logs)
        for name, hook in self.hooks.items():
            events = hook.events
            lost, excused = self.replicas.lost_rows(recorded(events))
            assert not lost, f"{len(lost)} rows never came to {name}, the first: {lost[0]}"
            assert excused <= len(events) // 50, "rows that vanished before any poll ended well are few"
            assert_ids_hold(hook.lines)
            first: dict[str, list[str]] = {}
            for event_id, account in {event["event_id"]: event["account"] for event in events}.items():
                first.setdefault(account, []).append(event_id)
            assert {account: log.event_ids for account, log in logs.items() if log.lines} == first, name

    def assert_fenced(self) -> None:
        """Check the database's own history: one holder at a time, and nobody else wrote."""
        history = self.replicas.history
        history.read()
        history.assert_one_holder()
        history.assert_written_by_holders()

    def repeats(self) -> dict[str, int]:
        """Return how many events each receiver got again."""
        return {name: len(hook.lines) - len(set(hook.event_ids)) for name, hook in self.hooks.items()}


def _world(accounts: int) -> SimulatorConfig:
    return SimulatorConfig(
        accounts=tuple(AccountConfig(f"tenant-{number:02}") for number in range(accounts)),
        seed=_SEED, mails_per_minute=15.0, history_secs=30.0, dwell_secs=4.0, appearance_secs=1.0, speed=10.0,
        quota=PLENTY,
    )  # fmt: skip


def _configure(api: WatchedApi, hooks: dict[str, Hook], name: str, base_url: str, store_url: str) -> Config:
    accounts = [
        configuration.account(api, tenant.name, base_url=base_url, interval=_INTERVAL) for tenant in api.config.accounts
    ]
    for account in accounts:
        account["sources"][1]["overlap"] = "1m"
    return configuration.whole(
        accounts,
        [configuration.hook(hook.url, name, batch={"max_events": 50}) for name, hook in hooks.items()],
        store={"url": store_url},
        lease={"duration": f"{_LEASE_SECS:.0f}s", "replica": name},
    )


@pytest.mark.timeout(600)
async def test_replicas_lose_nothing_and_never_write_out_of_turn(
    place: Path, server: PostgresServer, shifted: dict[str, str]
) -> None:
    """Killed, stopped, cut off and rolled, with a crashing database and a wrong clock, replicas keep the promise.

    Nothing shown is missing at either receiver, each event is recorded once and received in order, repeats are alike,
    only the holder of an account's lease ever wrote for it, and a lost replica's accounts are polled again in time.
    """
    with database(server.url()) as url:
        async with WatchedApi(_world(60)) as api, Hook() as hook, Hook() as archive:
            hooks = {"hook": hook, "archive": archive}
            async with Replicas(
                place, api, url, partial(_configure, api, hooks), _LEASE_SECS, {"c": shifted}, {"c": _AHEAD_SECS}
            ) as replicas:
                scene = Scene(replicas, api, hooks, url)
                shared_store.make_schema(url)
                replicas.history.watch()
                await replicas.start(*_NAMES)
                faults = Faults(replicas, server, random.Random(_SEED))
                await faults.happen(_TIMES)
                await replicas.balanced()
                await scene.settle()
                scene.assert_complete()
                scene.assert_fenced()
                _assert_polled_in_turn(faults, replicas)
                print("repeats:", scene.repeats(), "of", len(hook.lines))
                assert any(scene.repeats().values()), "something was on the wire when somebody died"


def _assert_polled_in_turn(faults: Faults, replicas: Replicas) -> None:
    reigns = replicas.history.reigns()
    unpolled = faults.unpolled_secs(reigns)
    figures = {kind: f"{len(secs)} accounts, {min(secs):.1f} to {max(secs):.1f} s" for kind, secs in unpolled.items()}
    print("not polled after the loss:", figures)
    trespasses = replicas.trespasses(reigns)
    print("asked out of turn by who was stopped or cut off:", len(trespasses), "of", len(replicas.api.questions))
    assert [] == faults.unexplained(trespasses)
    assert max(secs for each in unpolled.values() for secs in each) <= _LEASE_SECS + _BUSY_SECS, figures


async def test_replicas_join_and_leave_without_a_repeat(place: Path, server: PostgresServer) -> None:
    """A replica that joins gets its share, and a roll of all of them is not noticed by anybody.

    No receiver gets an event twice, no lease is taken from a holder that had not given it up, and at each moment one
    replica at most asks for an account.
    """
    with database(server.url()) as url:
        async with WatchedApi(_world(24)) as api, Hook() as hook, Hook() as archive:
            hooks = {"hook": hook, "archive": archive}
            async with Replicas(place, api, url, partial(_configure, api, hooks), _LEASE_SECS) as replicas:
                scene = Scene(replicas, api, hooks, url)
                shared_store.make_schema(url)
                replicas.history.watch()
                await replicas.start("a", "b")
                await replicas.balanced()
                await replicas.start("c")
                await replicas.balanced()
                for name in _NAMES:
                    await replicas.stop(name)
                    await replicas.start(name)
                    await replicas.balanced()
                await scene.settle()
                scene.assert_complete()
                scene.assert_fenced()
                assert {"hook": 0, "archive": 0} == scene.repeats()
                assert [] == [change for change in replicas.history.changes if change.holder and change.before]
                assert [] == replicas.trespasses(replicas.history.reigns())
