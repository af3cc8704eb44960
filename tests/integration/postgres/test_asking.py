"""What commands ask of a shared store, on a real server: status, dead letters, the log, and what only replicas do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql

from mcwatch.app import checks, offline
from mcwatch.app.commanding import Commanding
from mcwatch.app.offline import (
    fleet_asker,
    fleet_tail,
    offline_dead_letters,
    offline_letters,
    offline_status,
)
from mcwatch.domain.backfill import BackfillPlan, RangeRequest
from mcwatch.domain.errors import LeaseLost, McwatchError, PermanentError, StoreUnavailable, ThrottledError
from mcwatch.domain.leasing import News
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.domain.resending import Discarded, ForgetRequest, Forgotten, LetterRequest, RetriedStep
from mcwatch.domain.status import AccountStatus, DestinationStatus, StatusReport, problems
from mcwatch.domain.tailing import TailRequest
from mcwatch.httpserver.control import ControlRoute, acting_route
from mcwatch.settings import Settings
from mcwatch.store.postgres import PostgresStore
from tests.contract.store_kit import native, rejected
from tests.fakes.clock import START, FakeClock
from tests.fakes.postgres import PostgresServer, database, shared_url
from tests.integration.postgres.replicas import account, append, lapse, replica
from tests.unit.app.settings import account as account_settings
from tests.unit.httpserver.reports import quiet_report

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def _logging_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the process its logging, which the other tests listen to."""
    monkeypatch.setattr(offline, "configure", lambda _: None)
    monkeypatch.setattr(checks, "configure", lambda _: None)


def _settings(url: str) -> Settings:
    return Settings.model_validate(
        {
            "store": {"url": url},
            "accounts": [account_settings("acme"), account_settings("beta")],
            "destinations": [{"name": "siem", "sink": {"type": "http", "url": "http://127.0.0.1:9/"}}],
        }
    )


async def _publish(store: PostgresStore, report: StatusReport, accounts: Collection[int]) -> None:
    await store.leases.beat(News(accounts, report=msgspec.json.encode(report)))


def _report(*accounts: str) -> StatusReport:
    return replace(
        quiet_report(),
        accounts=[AccountStatus(name=name, up=True) for name in accounts],
        destinations=[DestinationStatus(name="siem", up=True)],
    )


async def test_the_status_is_that_of_the_fleet(url: str) -> None:
    """What live replicas published, with the figures of the store; one that is lost leaves its accounts to nobody."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        acme, beta = await account(a, "acme"), await account(b, "beta")
        await a.enrol({"siem": False, "former": False})
        await append(a, acme)
        for store, name in ((a, "acme"), (b, "beta")):
            await _publish(store, _report(name), {acme.account_id, beta.account_id})

        report = offline_status(_settings(url))
        assert (True, True) == (report.live, report.healthy)
        assert [("acme", "a", True), ("beta", "b", True)] == [(one.name, one.holder, one.up) for one in report.accounts]
        assert [("siem", True, 1)] == [(one.name, one.up, one.waiting) for one in report.destinations]

        lapse(url, b)
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE lease SET since = since - interval '1 hour'")
        report = offline_status(_settings(url))
        assert ["account beta"] == [one.subject for one in problems(report)]
        assert [("a", True, 1), ("b", False, 0)] == [(one.name, one.live, one.accounts) for one in report.fleet]


async def test_without_replicas_the_store_is_told_from(url: str) -> None:
    """As of a file that no daemon works on."""
    async with replica(url) as store:
        feed = await account(store)
        await append(store, feed)
        await store.leases.leave()
    report = offline_status(_settings(url))
    assert (False, []) == (report.live, report.fleet)
    assert [("acme", 1)] == [(one.name, one.sources[0].new) for one in report.accounts]


def test_an_unused_database_is_told_as_such_and_left_alone() -> None:
    """A command makes no tables."""
    with database() as url:
        with pytest.raises(StoreUnavailable, match="nothing was ever kept"):
            offline_status(_settings(url))
        with psycopg.connect(url) as connection:
            assert (0,) == connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()


async def test_dead_letters_need_no_replica(url: str) -> None:
    """They are listed, shown and discarded; a destination that nobody has any more is forgotten."""
    async with replica(url) as store:
        feed = await account(store)
        await store.enrol({"siem": False, "former": False})
        await append(store, feed, native(1) + b"\n")
        await store.settle(Settlement("siem", [Progress(feed.account_id, 1, 0, 0)], [rejected(feed.account_id, 1)]))
        await store.leases.leave()
    settings = _settings(url)
    [letter] = offline_dead_letters(settings, "siem", 10)
    assert ["refused"] == [one.reason for one in offline_letters(settings, LetterRequest(ids=[letter.id]))]
    async with fleet_asker(settings) as asker:
        discarded = await asker.ask("/dead-letters/discard", Discarded, LetterRequest(destination="siem"))
        forgotten = await asker.ask("/destinations/forget", Forgotten, ForgetRequest(name="former"))
        with pytest.raises(PermanentError, match="siem is configured"):
            await asker.ask("/destinations/forget", Forgotten, ForgetRequest(name="siem"))
        with pytest.raises(McwatchError, match="no replica runs"):
            await asker.ask("/dead-letters/retry", RetriedStep, LetterRequest())
    assert (1, 1) == (discarded.count, forgotten.waiting)


async def test_what_a_replica_delivers_to_is_not_forgotten(url: str) -> None:
    """Although the configuration beside the command does not have it."""
    async with replica(url) as store:
        await account(store)
        await store.enrol({"siem": False, "other": False})
        report = replace(_report(), destinations=[DestinationStatus(name="other")])
        await _publish(store, report, ())
        async with fleet_asker(_settings(url)) as asker:
            with pytest.raises(PermanentError, match="other is configured"):
                await asker.ask("/destinations/forget", Forgotten, ForgetRequest(name="other"))


RANGE = RangeRequest(account="acme", start=START, end=START)
PLAN = BackfillPlan(account="acme", start=START, end=START, version="1", began_at=START, steps=[], labels={})

Plan = Callable[[RangeRequest], BackfillPlan | Awaitable[BackfillPlan]]


@asynccontextmanager
async def _commanded(store: PostgresStore, ready: Collection[int], plan: Plan) -> AsyncIterator[None]:
    """Have a replica do commands."""

    async def answer(request: RangeRequest) -> BackfillPlan:
        outcome = plan(request)
        return outcome if isinstance(outcome, BackfillPlan) else await outcome

    routes: list[ControlRoute] = [acting_route("/backfill/plan", RangeRequest, answer)]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Commanding(store.commands, routes, lambda: ready, FakeClock()).run())
        yield
        task.cancel()


async def test_a_command_is_done_by_the_holder_of_its_account(url: str) -> None:
    """And by nobody else; what it says, or why it fails, comes back."""
    asked: list[str] = []

    def plan(by: str, outcome: BackfillPlan | McwatchError) -> Plan:
        def answer(_request: RangeRequest) -> BackfillPlan:
            asked.append(by)
            if isinstance(outcome, McwatchError):
                raise outcome
            return outcome

        return answer

    slow = ThrottledError("slow down", retry_after_secs=7.0, remedy="wait")
    async with replica(url, "a") as a, replica(url, "b") as b:
        acme, beta = await account(a, "acme"), await account(b, "beta")
        ids = {acme.account_id, beta.account_id}
        for store in (a, b):
            await store.leases.beat(News(ids))
        async with (
            _commanded(a, ids, plan("a", PLAN)),
            _commanded(b, ids, plan("b", slow)),
            fleet_asker(_settings(url)) as asker,
        ):
            assert PLAN == await asker.ask("/backfill/plan", BackfillPlan, RANGE)
            with pytest.raises(ThrottledError, match="slow down") as caught:
                await asker.ask("/backfill/plan", BackfillPlan, replace(RANGE, account="beta"))
    assert (["a", "b"], 7.0) == (asked, caught.value.retry_after_secs)


async def test_a_command_goes_on_with_the_next_holder(url: str) -> None:
    """The one who loses the account in the middle leaves it to who takes it, and to itself if that is who."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        acme = await account(a, "acme")
        for store in (a, b):
            await store.leases.beat(News({acme.account_id}))
        lost = asyncio.Event()

        def lose(_request: RangeRequest) -> BackfillPlan:
            lost.set()
            raise LeaseLost("gone")

        async with fleet_asker(_settings(url)) as asker, asyncio.TaskGroup() as group:
            asking = group.create_task(asker.ask("/backfill/plan", BackfillPlan, RANGE))
            async with _commanded(a, {acme.account_id}, lose), asyncio.timeout(10):
                await lost.wait()
                await a.leases.give_up({acme.account_id: {}})
                await b.leases.take([acme.account_id])
                async with _commanded(b, {acme.account_id}, lambda _: PLAN):
                    assert PLAN == await asking


async def test_a_command_outlives_the_replica_that_does_it(url: str) -> None:
    """Whoever takes over does it again; a replica that was only cut off finds out and ends what it does."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        acme = await account(a, "acme")
        for store in (a, b):
            await store.leases.beat(News({acme.account_id}))
        begun, ended = asyncio.Event(), asyncio.Event()

        async def hang(_request: RangeRequest) -> BackfillPlan:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return PLAN

        async with fleet_asker(_settings(url)) as asker, asyncio.TaskGroup() as group, asyncio.timeout(20):
            asking = group.create_task(asker.ask("/backfill/plan", BackfillPlan, RANGE))
            async with _commanded(a, {acme.account_id}, hang):
                await begun.wait()
                lapse(url, a)
                await b.leases.take([acme.account_id])
                async with _commanded(b, {acme.account_id}, lambda _: PLAN):
                    assert PLAN == await asking
                await ended.wait()


async def test_a_command_waits_for_an_account_that_is_not_at_work_yet(url: str) -> None:
    """Its holder has just taken it, and builds its parts."""
    async with replica(url, "a") as a:
        acme = await account(a, "acme")
        await a.leases.beat(News({acme.account_id}))
        ready: set[int] = set()
        async with fleet_asker(_settings(url)) as asker, asyncio.TaskGroup() as group:
            asking = group.create_task(asker.ask("/backfill/plan", BackfillPlan, RANGE))
            async with _commanded(a, ready, lambda _: PLAN), asyncio.timeout(10):
                await asyncio.wait([asking], timeout=0.1)
                assert not asking.done()
                ready.add(acme.account_id)
                assert PLAN == await asking


async def test_the_log_of_all_replicas_is_followed(url: str) -> None:
    """From now on, and from a moment on."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        acme, beta = await account(a, "acme"), await account(b, "beta")
        await append(a, acme, native(1) + b"\n")
        with fleet_tail(_settings(url), TailRequest()) as tail:
            assert tail.lives()
            await append(a, acme, native(2) + b"\n")
            await append(b, beta, native(3, account="beta") + b"\n")
            assert native(2) + b"\n" + native(3, account="beta") + b"\n" == b"".join(tail.news())
        with fleet_tail(_settings(url), TailRequest(since=START, accounts=["ac*"])) as tail:
            assert native(1) + b"\n" + native(2) + b"\n" == b"".join(tail.news())


async def test_check_tells_of_the_database(url: str) -> None:
    """Version, schema, rights, and how many replicas live; nothing is written."""
    async with replica(url):
        [found] = await checks.check_store(_settings(url))
    assert found.ok
    assert "PostgreSQL 1" in found.detail
    assert "schema 1, 1 replica live" in found.detail
    with database() as unused:
        [found] = await checks.check_store(_settings(unused))
        assert found.ok
        assert "no tables of mcwatch yet" in found.detail
        with psycopg.connect(unused) as connection:
            assert (0,) == connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()


async def test_check_refuses_the_database_of_another_program() -> None:
    """As a start does, and with the same remedy."""
    with database() as foreign:
        with psycopg.connect(foreign) as connection:
            connection.execute("CREATE TABLE account (owner text)")
        [found] = await checks.check_store(_settings(foreign))
    assert not found.ok
    assert "has a table 'account' of another program" in found.detail
    assert "a database of its own" in found.remedy


async def test_check_says_when_the_password_is_wrong() -> None:
    """And shows neither the one that was given nor the right one."""
    with PostgresServer(access="host all locked 127.0.0.1/32 scram-sha-256") as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE locked LOGIN PASSWORD 'the-right-one'")
            connection.execute("GRANT CREATE ON SCHEMA public TO locked")
        url = server.url(user="locked")
        found = [
            (await checks.check_store(_settings(url.replace("locked@", f"{user}@"))))[0]
            for user in ("locked:hush", "locked", "locked:the-right-one")
        ]
    assert [False, False, True] == [one.ok for one in found]
    assert "password authentication failed" in found[0].detail
    assert "no password supplied" in found[1].detail
    assert "check the user, the password and the database in store.url" in found[0].remedy
    assert not [one for one in found if "hush" in str(one) or "the-right-one" in str(one)]


@pytest.fixture
def onlooker() -> Iterator[str]:
    """Give a user who may do nothing but connect."""
    name = f"onlooker_{uuid4().hex}"
    with psycopg.connect(shared_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def test_check_says_what_is_wrong_with_the_database(url: str, onlooker: str) -> None:
    """With what to do, and without the password."""
    place, _, name = url.rpartition("/")
    address = place.rpartition("@")[2]
    for wrong, words in (
        (f"postgresql://postgres:hush@{address}/no_such_database", "does not exist"),
        (f"postgresql://nobody_here:hush@{address}/{name}", "does not exist"),
        ("postgresql://postgres:hush@127.0.0.1:1/x", "cannot be reached"),
        (f"postgresql://{onlooker}:hush@{address}/{name}", "ownership of the table seen"),
    ):
        [found] = await checks.check_store(_settings(wrong))
        assert not found.ok
        assert words in found.detail
        assert found.remedy
        assert "hush" not in found.detail + found.remedy
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE mcwatch_schema SET version = version + 1")
        try:
            [found] = await checks.check_store(_settings(url))
        finally:
            connection.execute("UPDATE mcwatch_schema SET version = version - 1")
    assert not found.ok
    assert "newer than this mcwatch knows" in found.detail
