"""Destinations and accounts that come and go: where a new one begins, and what becomes of what waited for an old."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from structlog.testing import capture_logs

from mcwatch.simulator import AccountConfig, Simulator, SimulatorConfig
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, Finished, run_command, run_commands, write_config
from tests.acceptance.waiting import eventually
from tests.fakes.clock import FakeClock


async def forget(place: Path, name: str) -> Finished:
    """Run ``destinations forget``."""
    return await run_command(place, "destinations", "forget", name, "-c", CONFIG)


def _whole(simulator: Simulator, *destinations: Config, accounts: tuple[str, ...] = ("demo",)) -> Config:
    return configuration.whole([configuration.account(simulator, name) for name in accounts], list(destinations))


async def test_a_new_destination_begins_where_start_says_and_new_accounts_at_their_first_event(
    place: Path, webhook: Hook
) -> None:
    """`latest` begins with the next event, `earliest` with the oldest kept; of an account added later both get all."""
    tenants = SimulatorConfig(
        accounts=(AccountConfig("demo"), AccountConfig("other")), mails_per_minute=0.0, history_secs=0.0, quota=PLENTY
    )
    async with Simulator(tenants) as simulator, Hook() as early, Hook() as late:
        simulator.add_mail("demo", subject="old", count=4)
        async with Daemon(place, _whole(simulator, configuration.hook(webhook.url))) as daemon:
            await eventually(lambda: len(webhook.lines) == 4)
            assert 0 == await daemon.stop()
        config = _whole(
            simulator,
            configuration.hook(webhook.url),
            configuration.hook(early.url, "early"),
            configuration.hook(late.url, "late") | {"start": "latest"},
            accounts=("demo", "other"),
        )
        simulator.add_mail("other", subject="of the new account", count=2)
        async with Daemon(place, config) as daemon:
            await eventually(lambda: late.subjects() == ["of the new account"] * 2)
            simulator.add_mail("demo", subject="new", count=3)
            expected = {"hook": 9, "early": 9, "late": 5}
            receivers = {"hook": webhook, "early": early, "late": late}
            await eventually(lambda: {name: len(one.lines) for name, one in receivers.items()} == expected)

            async def settled() -> bool:
                scrape = await daemon.metrics()
                scrape.assert_conserved()
                return scrape.value("outbox_events") == 0

            await eventually(settled)
            assert 0 == await daemon.stop()
        assert {"of the new account", "new"} == set(late.subjects())
        assert set(webhook.lines) == set(early.lines)
        assert [line for line in webhook.lines if b'"demo"' in line] == [
            line for line in early.lines if b'"demo"' in line
        ], "oldest first"


async def test_a_destination_taken_out_is_kept_until_it_is_forgotten(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """Its backlog waits for its return, and goes at the word of `destinations forget`, with a daemon and without."""
    async with Hook() as gone:
        await gone.stop()
        hook, other = configuration.hook(webhook.url), configuration.hook(gone.url, "gone")
        simulator.add_mail(subject="one {n}", count=5)
        async with Daemon(place, _whole(simulator, hook, other)) as daemon:
            await eventually(lambda: len(webhook.lines) == 5)
            assert 0 == await daemon.stop()
        async with Daemon(place, _whole(simulator, hook)) as daemon:
            [warning] = daemon.find("destination_gone", destination="gone", level="warning")
            assert "store.keep_delivered" in warning["remedy"]
            assert (await daemon.metrics()).value("outbox_bytes") > 0, "its backlog is kept"
            await _forgets_nothing_else(place)
            assert 0 == await daemon.stop()
        await gone.start()
        async with Daemon(place, _whole(simulator, hook, other)) as daemon:
            await eventually(lambda: sorted(gone.lines) == sorted(webhook.lines))
            (await daemon.metrics()).assert_conserved()
            await gone.stop()
            simulator.add_mail(subject="two {n}", count=3)
            await eventually(lambda: len(webhook.lines) == 8)
            assert 0 == await daemon.stop()
        async with Daemon(place, _whole(simulator, hook)) as daemon:
            done = await forget(place, "gone")
            assert 0 == done.code, done.stderr
            assert "gone is released: 3 events had waited for it" in done.stdout
            assert daemon.find("destination_released", destination="gone", waiting=3, level="warning")
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            assert {"hook"} == scrape.label_values("outbox_events", "destination")
            assert "gone" not in {one["name"] for one in (await daemon.status())["destinations"]}

            async def nothing_waits() -> bool:
                return (await daemon.metrics()).value("outbox_bytes") == 0

            await eventually(nothing_waits)
            assert 0 == await daemon.stop()
        await gone.start()
        before = len(gone.lines)
        async with Daemon(place, _whole(simulator, hook, other | {"start": "latest"})) as daemon:
            simulator.add_mail(subject="three")
            await eventually(lambda: gone.subjects()[before:] == ["three"])
            (await daemon.metrics()).assert_conserved()
            assert 0 == await daemon.stop()


async def _forgets_nothing_else(place: Path) -> None:
    """Check that a destination at work and a name nobody knows are refused with words that help."""
    forgetting = [("destinations", "forget", name, "-c", CONFIG) for name in ("hook", "gnoe")]
    configured, unknown = await run_commands(place, *forgetting)
    assert (1, 1) == (configured.code, unknown.code)
    assert "the destination hook is configured" in configured.stderr
    assert "take it out of the configuration first" in configured.stderr
    assert "no destination 'gnoe'" in unknown.stderr
    assert "those gone from the configuration are: gone" in unknown.stderr


async def test_forgetting_works_without_a_daemon(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """With no daemon the command takes the store's lock, refuses what is configured, and releases what is gone."""
    hook, other = configuration.hook(webhook.url), configuration.hook("http://127.0.0.1:9/", "gone")
    simulator.add_mail(count=2)
    async with Daemon(place, _whole(simulator, hook, other)) as daemon:
        await eventually(lambda: len(webhook.lines) == 2)
        assert 0 == await daemon.stop()
    write_config(place, _whole(simulator, hook))
    refused = await forget(place, "hook")
    assert (1, True) == (refused.code, "the destination hook is configured" in refused.stderr)
    done = await forget(place, "gone")
    assert 0 == done.code, done.stderr
    assert "gone is released: 2 events had waited for it" in done.stdout
    again = await forget(place, "gone")
    assert (1, True) == (again.code, "those gone from the configuration are: none" in again.stderr)


async def test_a_destination_taken_out_is_released_after_keep_delivered(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """Not before that time; then with a warning that says what had waited for it, and its events go too."""
    hook, other = configuration.hook(webhook.url), configuration.hook("http://127.0.0.1:9/", "gone")
    simulator.add_mail(count=2)
    async with Daemon(place, _whole(simulator, hook, other)) as daemon:
        await eventually(lambda: len(webhook.lines) == 2)
        assert 0 == await daemon.stop()
    # The daemon expires by its own clock once a minute; here the clock is ours.
    clock = FakeClock(datetime.now(UTC))
    options = StoreOptions(place / "mcwatch.db", keep_delivered=timedelta(hours=24), reserve_bytes=0)
    with capture_logs() as logs:
        async with SqliteStore(options, clock=clock, metrics=Metrics()) as store:
            assert ["gone"] == await store.enrol({"hook": False})
            clock.jump(23 * 3600.0)
            await _expire(store, clock)
            assert ["gone", "hook"] == await store.destinations()
            assert await store.backlog_bytes() > 0
            clock.jump(2 * 3600.0)
            await _expire(store, clock)
            assert ["hook"] == await store.destinations()
            assert 0 == await store.backlog_bytes()
    assert [("gone", 2)] == [
        (line["destination"], line["waiting"]) for line in logs if line["event"] == "destination_released"
    ]


async def _expire(store: SqliteStore, clock: FakeClock) -> None:
    while await store.expire(clock.now()):
        pass


async def test_events_of_a_removed_account_are_still_delivered(place: Path, webhook: Hook) -> None:
    """What was recorded of an account before it was taken out reaches the destinations that had not received it."""
    tenants = SimulatorConfig(
        accounts=(AccountConfig("demo"), AccountConfig("other")), mails_per_minute=0.0, history_secs=0.0, quota=PLENTY
    )
    async with Simulator(tenants) as simulator:
        await webhook.stop()
        simulator.add_mail("demo", subject="stays", count=2)
        simulator.add_mail("other", subject="leaves", count=2)
        hook = configuration.hook(webhook.url)
        async with Daemon(place, _whole(simulator, hook, accounts=("demo", "other"))) as daemon:

            async def recorded() -> bool:
                return (await daemon.metrics()).value("outbox_events") == 4

            await eventually(recorded)
            assert 0 == await daemon.stop()
        await webhook.start()
        async with Daemon(place, _whole(simulator, hook)) as daemon:
            await eventually(lambda: len(webhook.lines) == 4)
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            assert 0 == await daemon.stop()
        assert ["leaves", "leaves", "stays", "stays"] == sorted(str(one) for one in webhook.subjects())
        assert {"demo", "other"} == {event["account"] for event in webhook.events}
