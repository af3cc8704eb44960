"""Putting a daemon together."""

import asyncio
import random
from pathlib import Path

import pytest

from mcwatch.app.wiring import Application
from mcwatch.domain.errors import ConfigError, StoreUnavailable
from mcwatch.domain.outbox import StoreSnapshot
from mcwatch.telemetry.health import STORE
from tests.fakes.clock import FakeClock
from tests.unit.app.settings import account, settings


async def test_every_account_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """Files that cannot be used are faults of the configuration, named with account, option and remedy."""
    odd = settings(
        tmp_path,
        account("fine"),
        account("one", tls={"ca_file": str(tmp_path / "gone.pem")}),
        account("two", proxy={"file": str(tmp_path / "gone.txt")}),
        account("three", proxy="no proxy"),
    )
    with pytest.raises(ConfigError) as failure:
        async with Application(odd, clock=FakeClock(), rng=random.Random(1)):
            pass
    first, second, third = failure.value.problems
    assert first.startswith("accounts.one.api.tls: ")
    assert "gone.pem" in first
    assert "check that the files exist" in first
    assert second.startswith("accounts.two.api.proxy: ")
    assert "gone.txt" in second
    assert third.startswith("accounts.three.api.proxy: ")
    assert "http://[user:password@]host:port" in third


async def test_a_daemon_opens_and_closes(tmp_path: Path) -> None:
    """Entered, it knows its parts by name; left, its store can be opened again."""
    for _ in range(2):
        async with Application(settings(tmp_path), clock=FakeClock(), rng=random.Random(1)) as application:
            assert ["acme/processing_queue"] == list(application.parts.pollers)
            assert ["out"] == list(application.parts.dispatchers)
            assert {"acme"} == set(application.parts.account_names.values())
            assert (await application.report()).live


async def test_the_status_outlives_a_store_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store gives no answer the figures are those of before, and what ails it stands beside them."""

    async def away() -> StoreSnapshot:
        raise StoreUnavailable("the database is away", remedy="start it")

    async with Application(settings(tmp_path), clock=FakeClock(), rng=random.Random(1)) as application:
        before = await application.report()
        application.health.failed(STORE, StoreUnavailable("the database is away", remedy="start it"))
        monkeypatch.setattr(application.store, "snapshot", away)
        after = await application.report()
        assert [one.name for one in before.destinations] == [one.name for one in after.destinations]
        assert ("ok", "unavailable") == (before.store.state, after.store.state)
        assert ("the database is away", "start it") == (after.store.reason, after.store.remedy)
        assert not after.healthy


async def test_a_status_without_any_figures_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the store has answered once there is nothing to show, and that is said."""

    async def away() -> StoreSnapshot:
        raise StoreUnavailable("the database is away")

    async with Application(settings(tmp_path), clock=FakeClock(), rng=random.Random(1)) as application:
        monkeypatch.setattr(application.store, "snapshot", away)
        with pytest.raises(StoreUnavailable, match="the database is away"):
            await application.report()


async def test_the_status_of_many_accounts_leaves_time_for_other_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop turns while it is put together."""
    loop, turns = asyncio.get_running_loop(), 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    many = settings(tmp_path, *(account(f"tenant-{number}") for number in range(60)))
    async with Application(many, clock=FakeClock(), rng=random.Random(1)) as application:
        figures = await application.store.snapshot()

        async def at_once() -> StoreSnapshot:
            return figures

        monkeypatch.setattr(application.store, "snapshot", at_once)
        loop.call_soon(turn)
        assert 60 == len((await application.report()).accounts)
        assert turns >= 2
