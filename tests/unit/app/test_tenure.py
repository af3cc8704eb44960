"""Accounts that come to this replica and go from it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from mcwatch.app.account import AccountPart
from mcwatch.domain.errors import ConfigError, StoreUnavailable
from mcwatch.domain.page import Feed
from mcwatch.telemetry.health import STORE, ComponentKind
from tests.unit.app.replica_stage import NAMES, A, B, SharedStore, Stage, stage_of
from tests.unit.app.settings import account, settings
from tests.virtual.loop import run_virtually, virtual_loop
from tests.virtual.threads import tied_to_virtual_time

if TYPE_CHECKING:
    from mcwatch.pipeline.dispatcher import Dispatcher

pytestmark = pytest.mark.timeout(5)
Story = Callable[[Stage], Awaitable[None]]


@pytest.fixture
def virtually(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    """Run a story with the replica A in virtual time."""

    def run(story: Story) -> None:
        async def main() -> None:
            with tied_to_virtual_time():
                async with stage_of(tmp_path, monkeypatch) as stage:
                    await story(stage)

        run_virtually(main())

    return run


def test_a_replica_alone_takes_everything(virtually: Callable[[Story], None]) -> None:
    """With its first beat it holds and polls every account, and says so; before, nothing is shown of them."""

    async def story(stage: Stage) -> None:
        assert set() == stage.watched
        assert stage.metric("account_up", account="north") is None
        assert [] == list(stage.application.health.conditions(ComponentKind.ACCOUNT))
        await asyncio.sleep(1)
        assert set(NAMES) == stage.watched
        assert [None] * 4 == stage.soon
        assert (1.0, 0.0) == (
            stage.metric("account_held", account="north"),
            stage.metric("account_up", account="north"),
        )
        assert 1.0 == stage.metric("replicas")
        report = await stage.application.own_report()
        assert set(NAMES) == {one.name for one in report.accounts}

    virtually(story)


def test_a_joining_replica_is_handed_its_share(virtually: Callable[[Story], None]) -> None:
    """Half of the accounts are polled no longer, given up with their budgets, and leave no figures behind."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1)
        north = stage.application.parts.accounts["north"].live.client
        north.go_on_from({"message_finder": 300.0})
        stage.table.join(B, stage.ids.values())
        await asyncio.sleep(5)
        assert 2 == len(stage.watched)
        gone = set(NAMES) - stage.watched
        assert {"north", "south"} == gone
        free = {row.account for row in stage.table.rows.values() if row.holder is None}
        assert gone == free
        budget = stage.table.rows[stage.ids["north"]].budget
        assert 290.0 < budget["message_finder"] <= 300.0
        assert stage.metric("account_held", account="north") is None
        assert stage.metric("account_up", account="north") is None
        assert 2.0 == stage.metric("replicas")

    virtually(story)


def test_an_account_goes_when_its_batches_have_ended(virtually: Callable[[Story], None]) -> None:
    """Nothing further of it is delivered, and what is under way is waited for, though not for ever."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1)
        carrying = {stage.ids["north"]}

        class _Carrier:
            def carries(self, account_id: int) -> bool:
                return account_id in carrying

        stage.application.parts.dispatchers["slow"] = cast("Dispatcher", _Carrier())
        stage.table.join(B, stage.ids.values())
        await asyncio.sleep(3)
        assert {stage.ids["north"], stage.ids["south"]} == stage.leases.retired
        assert A == stage.table.rows[stage.ids["north"]].holder
        await asyncio.sleep(4)
        assert stage.table.rows[stage.ids["north"]].holder is None
        del stage.application.parts.dispatchers["slow"]

    virtually(story)


def test_an_account_that_could_not_be_handed_over_is_polled_again(virtually: Callable[[Story], None]) -> None:
    """The database goes away in the middle: what was stopped goes on until the hand-over comes off."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1)
        tries = 0

        async def refuse(_: object) -> None:
            nonlocal tries
            tries += 1
            raise StoreUnavailable("not now")

        stage.table.join(B, stage.ids.values())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage.leases, "give_up", refuse)
            await asyncio.sleep(3.5)
            assert 1 == tries
        assert {A} == {row.holder for row in stage.table.rows.values()}
        stage.table.heard.pop(B)
        await asyncio.sleep(7)
        assert set(NAMES) == stage.watched

    virtually(story)


def test_accounts_made_ready_before_the_database_went_are_polled(virtually: Callable[[Story], None]) -> None:
    """One account of many cannot be made ready: those before it are polled, and the others at the next beat."""

    async def story(stage: Stage) -> None:
        feed, asked = stage.application.store.feed, 0

        async def moody(account: str, source: str) -> Feed:
            nonlocal asked
            asked += 1
            if asked == 3:
                raise StoreUnavailable("not now")
            return await feed(account, source)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage.application.store, "feed", moody)
            await asyncio.sleep(1)
            assert {"north", "south"} == stage.watched
            await asyncio.sleep(5)
        assert set(NAMES) == stage.watched

    virtually(story)


def test_what_a_lost_replica_held_is_taken_and_polled_soon(virtually: Callable[[Story], None]) -> None:
    """Within the lease's time, and with what the lost one had published of the requests' budget."""

    async def story(stage: Stage) -> None:
        stage.table.join(B, stage.ids.values())
        for account_id in stage.ids.values():
            row = stage.table.rows[account_id]
            row.holder, row.budget = B, {"processing_queue": 120.0}
        await asyncio.sleep(10)
        assert set() == stage.watched
        await asyncio.sleep(20)
        assert set(NAMES) == stage.watched
        assert None not in stage.soon[1:]
        client = stage.application.parts.accounts["west"].live.client
        assert client.budget()["processing_queue"] > 60.0

    virtually(story)


def test_a_database_out_of_reach_ends_polling_when_the_lease_has_lapsed(virtually: Callable[[Story], None]) -> None:
    """A short outage changes nothing; a long one ends what might be done elsewhere; then it goes on where it may."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1)
        with capture_logs() as logs:
            stage.table.is_away = True
            await asyncio.sleep(15)
            assert set(NAMES) == stage.watched
            await asyncio.sleep(15)
            assert set() == stage.watched
            assert stage.metric("account_up", account="north") is None
            assert stage.application.health.condition(STORE).up is False
            stage.table.is_away = False
            await asyncio.sleep(5)
            assert set(NAMES) == stage.watched
            assert stage.application.health.condition(STORE).up
        events = [line["event"] for line in logs]
        assert ["lease_not_renewed", "accounts_lost", "lease_renewed_again"] == [
            one for one in events if one.startswith(("lease_", "accounts_lost"))
        ]
        assert 8 == len(stage.polled)

    virtually(story)


def test_accounts_that_others_have_taken_are_let_go(virtually: Callable[[Story], None]) -> None:
    """The next beat tells, and nothing of them runs or shows any more."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1)
        stage.table.join(B, stage.ids.values())
        for name in ("north", "south"):
            row = stage.table.rows[stage.ids[name]]
            row.holder, row.epoch = B, row.epoch + 1
        await asyncio.sleep(5)
        assert {"east", "west"} == stage.watched
        accounts = [one.component.name for one in stage.application.health.conditions(ComponentKind.ACCOUNT)]
        assert {"east", "west"} == set(accounts)

    virtually(story)


def test_an_account_that_nobody_holds_is_told(virtually: Callable[[Story], None]) -> None:
    """How long it has been so is a figure of every replica that is configured with it."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1)
        assert 0.0 == stage.metric("account_unheld_seconds", account="north")

        async def refuse(_: object) -> None:
            raise StoreUnavailable("not now")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage.leases, "take", refuse)
            row = stage.table.rows[stage.ids["north"]]
            row.holder, row.since = None, virtual_loop().time()
            await asyncio.sleep(60)
        assert 50.0 < (stage.metric("account_unheld_seconds", account="north") or 0.0) <= 60.0
        await asyncio.sleep(7)
        assert 0.0 == stage.metric("account_unheld_seconds", account="north")

    virtually(story)


def test_nothing_is_told_of_an_account_taken_out_of_the_configuration(
    virtually: Callable[[Story], None], tmp_path: Path
) -> None:
    """Also where another replica holds it: a figure that nobody renews any more would stand for ever."""

    async def story(stage: Stage) -> None:
        stage.table.join(B, stage.ids.values())
        for row in stage.table.rows.values():
            row.holder = B
        await asyncio.sleep(1)
        assert 0.0 == stage.metric("account_unheld_seconds", account="north")
        parts = stage.application.parts
        changed = settings(tmp_path, *(account(name) for name in NAMES[1:]))
        prepared = await parts.prepare(changed, parts.changes(changed))
        parts.show(prepared, parts.exchange(prepared))
        assert stage.metric("account_unheld_seconds", account="north") is None
        await asyncio.sleep(5)
        assert stage.metric("account_unheld_seconds", account="north") is None
        assert 0.0 == stage.metric("account_unheld_seconds", account="south")

    virtually(story)


def test_a_replica_that_ends_takes_nothing_more(virtually: Callable[[Story], None]) -> None:
    """It renews what it has while it drains, and leaves what becomes free to the others."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1)
        await stage.tenure.end()
        stage.table.rows[stage.ids["north"]].holder = None
        await asyncio.sleep(60)
        assert stage.table.rows[stage.ids["north"]].holder is None
        assert A == stage.table.rows[stage.ids["south"]].holder
        assert stage.table.lives(A)

    virtually(story)


def test_whoever_was_silent_lets_others_be_heard_of_first(virtually: Callable[[Story], None]) -> None:
    """After an outage the first replica to be back takes nothing of another that comes back a moment later."""

    async def story(stage: Stage) -> None:
        stage.table.join(B, stage.ids.values())
        for name in ("north", "south"):
            stage.table.rows[stage.ids[name]].holder = B
        await asyncio.sleep(1)
        assert {"east", "west"} == stage.watched
        stage.table.is_away = True
        await asyncio.sleep(40)
        stage.table.is_away = False
        await asyncio.sleep(4)
        stage.table.join(B, stage.ids.values())
        await asyncio.sleep(10)
        stage.table.join(B, stage.ids.values())
        await asyncio.sleep(5)
        assert {"east", "west"} == stage.watched
        assert {A: 2, B: 2} == Counter(row.holder for row in stage.table.rows.values())

    virtually(story)


def test_its_status_is_published(virtually: Callable[[Story], None]) -> None:
    """Others read in the table what this replica says of itself, anew a few times within a lease."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(25)
        assert b'"name":"north"' in stage.table.reports[A]

    virtually(story)


async def _away(*_: object) -> None:
    raise StoreUnavailable("the database is away")


def test_a_budget_that_came_with_an_account_is_kept_until_it_begins(
    virtually: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last holder's requests have used up is not asked for twice, though the first try to begin fails."""

    async def story(stage: Stage) -> None:
        stage.table.rows[stage.ids["west"]].budget = {"processing_queue": 120.0}
        with monkeypatch.context() as patch:
            patch.setattr(SharedStore, "feed", _away)
            await asyncio.sleep(1)
            assert set() == stage.watched
        await asyncio.sleep(3)
        assert set(NAMES) == stage.watched
        assert stage.application.parts.accounts["west"].live.client.budget()["processing_queue"] > 100.0

    virtually(story)


def test_a_report_that_takes_long_delays_no_beat(virtually: Callable[[Story], None]) -> None:
    """The status asks the store for its figures, which may take longer than a lease lasts."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1)

        async def never() -> object:
            return await asyncio.Event().wait()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage.tenure, "_report", never)
            await asyncio.sleep(60)
            assert stage.table.lives(A)
            assert set(NAMES) == stage.watched

    virtually(story)


def test_a_replica_that_ends_keeps_nobody_from_taking(virtually: Callable[[Story], None]) -> None:
    """While it drains it is configured with nothing: others do not leave it a share of what becomes free."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1)
        assert frozenset(stage.ids.values()) == stage.table.configured[A]
        await stage.tenure.end()
        await asyncio.sleep(4)
        assert frozenset() == stage.table.configured[A]

    virtually(story)


def test_an_account_that_cannot_be_made_ready_is_left_to_others(
    virtually: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file it names has gone from this machine: it is told once, shown as down while held here, and handed over."""

    async def story(stage: Stage) -> None:
        entered = AccountPart.open

        async def fail(part: AccountPart) -> None:
            if part.config.name == "north":
                raise ConfigError(["accounts.north.api.tls: no such file"])
            await entered(part)

        monkeypatch.setattr(AccountPart, "open", fail)
        with capture_logs() as logs:
            await asyncio.sleep(10)
            assert {"south", "east", "west"} == stage.watched
            assert 0.0 == stage.metric("account_up", account="north")
            stage.table.join(B, stage.ids.values())
            await asyncio.sleep(7)
            assert stage.table.rows[stage.ids["north"]].holder is None
            assert stage.metric("account_up", account="north") is None
            assert stage.ids["north"] not in stage.table.configured[A]
            stage.table.heard.pop(B)
            monkeypatch.setattr(AccountPart, "open", entered)
            await asyncio.sleep(7)
            assert set(NAMES) == stage.watched
            assert stage.ids["north"] in stage.table.configured[A]
        assert 1 == [line["event"] for line in logs].count("account_unusable")

    virtually(story)


def test_a_replica_that_is_ended_while_accounts_begin_polls_none_of_them(
    virtually: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a store that hangs the drain time is over first: nothing is started that nobody would end."""

    async def story(stage: Stage) -> None:
        feed, asked = SharedStore.feed, list[str]()

        async def hang_at_third(self: SharedStore, name: str, source: str) -> Feed:
            asked.append(name)
            if len(asked) == 3:
                await asyncio.Event().wait()
            return await feed(self, name, source)

        monkeypatch.setattr(SharedStore, "feed", hang_at_third)
        await asyncio.sleep(1)
        assert {"north", "south"} == set(stage.application.parts.accounts)
        assert {} == stage.crew.polling

    virtually(story)
