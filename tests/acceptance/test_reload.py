"""SIGHUP and POST /-/reload: what changed is exchanged, everything else goes on, a wrong file changes nothing."""

import signal
import time
from collections import Counter
from pathlib import Path

import aiohttp

from mcwatch.simulator import AccountConfig, Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import Daemon, write_config
from tests.acceptance.reloading import reload
from tests.acceptance.waiting import eventually
from tests.fakes.hec import Hec


async def test_accounts_and_destinations_come_and_go(place: Path, webhook: Hook) -> None:
    """A new account is polled and a new destination gets events; those that are gone are gone from every figure too."""
    tenants = tuple(AccountConfig(name) for name in ("one", "two"))
    world = SimulatorConfig(accounts=tenants, mails_per_minute=0.0, history_secs=0.0, quota=PLENTY)
    async with Simulator(world) as simulator, Hook() as late:
        one, two = (configuration.account(simulator, name) for name in ("one", "two"))
        first, second = configuration.hook(webhook.url, "first"), configuration.hook(late.url, "second")
        async with Daemon(place, configuration.whole([one], [first])) as daemon:
            simulator.add_mail("one", subject="before")
            await eventually(lambda: "before" in webhook.subjects())
            await reload(daemon, place, configuration.whole([one, two], [first, second]))
            assert ["account two added", "destination second added"] == daemon.find("reloaded")[0]["changed"]
            simulator.add_mail("two", subject="of two")
            await eventually(lambda: "of two" in webhook.subjects() and "of two" in late.subjects())
            await reload(daemon, place, configuration.whole([two], [second]))
            simulator.add_mail("two", subject="after")
            await eventually(lambda: "after" in late.subjects())
            assert "after" not in webhook.subjects()
            report, scrape = await daemon.status(), await daemon.metrics()
            assert ["two"] == [account["name"] for account in report["accounts"]]
            assert ["second"] == [destination["name"] for destination in report["destinations"]]
            assert report["healthy"]
            assert {"two"} == scrape.label_values("account_up", "account")
            assert {"two"} == scrape.label_values("api_requests_total", "account")
            assert {"second"} == scrape.label_values("destination_up", "destination")
            scrape.assert_conserved()
            polls = simulator.stats.requests["token"]
            assert 0 == await daemon.stop()
    assert polls <= 3, "an account that did not change was opened again"


async def test_a_file_that_is_wrong_leaves_the_old_one_at_work(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """Log, metric and status say so; mended, the next reload clears them. A wrong file costs no poll and no event."""
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    async with Daemon(place, config) as daemon:
        assert 1 == (await daemon.metrics()).value("config_last_reload_successful")
        assert "" == (await daemon.status())["config"]["error"]
        for wrong, says in (
            ("accounts: [", "mcwatch.yaml:"),
            (config | {"destinatoins": []}, "destinatoins"),
            (config | {"store": {"url": "sqlite:///other.db", "reserve": 0}}, "store.url: only a restart"),
            (config | {"http": {"listen": "127.0.0.1:1"}}, "http.listen: only a restart"),
            (config | {"accounts": [config["accounts"][0] | {"api": {"auth": {"type": "none"}}}]}, "auth"),
        ):
            failures = len(daemon.find("reload_failed"))
            await reload(daemon, place, wrong, outcome="reload_failed")
            [line] = daemon.find("reload_failed")[failures:]
            assert any(says in problem for problem in line["problems"]), line
            report = await daemon.status()
            assert says in report["config"]["error"]
            assert not report["healthy"]
            assert 0 == (await daemon.metrics()).value("config_last_reload_successful")
        simulator.add_mail(subject="meanwhile")
        await eventually(lambda: ["meanwhile"] == webhook.subjects())
        await reload(daemon, place, config)
        report = await daemon.status()
        assert ("", None) == (report["config"]["error"], report["config"]["failed_at"])
        assert report["healthy"]
        assert 1 == (await daemon.metrics()).value("config_last_reload_successful")
        assert 0 == await daemon.stop()


async def test_files_that_parts_need_are_read_before_anything_is_touched(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """An authority that cannot be read, and a key that is not there, refuse the reload; all goes on as before."""
    account, hook = configuration.account(simulator), configuration.hook(webhook.url)
    async with Daemon(place, configuration.whole([account], [hook])) as daemon:
        broken = account | {"api": account["api"] | {"tls": {"ca_file": "nowhere.pem"}}}
        redacted = hook | {"redact": {"key": {"file": "no-key"}, "fields": {"subject": "hash"}}}
        await reload(daemon, place, configuration.whole([broken], [redacted]), outcome="reload_failed")
        simulator.add_mail(subject="goes on")
        await eventually(lambda: ["goes on"] == webhook.subjects())
        (place / "no-key").write_text("0123456789abcdef0123456789abcdef")
        await reload(daemon, place, configuration.whole([broken], [redacted]), outcome="reload_failed")
        assert "accounts.demo.api.tls" in daemon.find("reload_failed")[-1]["problems"][0]
        assert "" == (await daemon.get("/readyz")).json().get("reason", "")
        assert 0 == await daemon.stop()


async def test_a_credential_that_is_mended_is_tried_at_once(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """An account that waits out its slow probe is polled with its new secret as soon as it is reloaded."""
    good = configuration.account(simulator)
    bad = good | {"api": good["api"] | {"auth": {**good["api"]["auth"], "client_secret": "mistyped"}}}
    hook = configuration.hook(webhook.url)
    async with Daemon(place, configuration.whole([bad], [hook])) as daemon:
        simulator.add_mail(subject="waited for")
        await eventually(lambda: daemon.find("component_down", source="message_finder"))
        await reload(daemon, place, configuration.whole([good], [hook]))
        began = time.monotonic()
        await eventually(lambda: ["waited for"] == webhook.subjects())
        assert time.monotonic() - began < 15, "it waited for the probe of the old one"
        await eventually(lambda: daemon.find("component_recovered", source="message_finder"))
        assert 0 == await daemon.stop()


async def test_nothing_is_lost_or_doubled_while_everything_is_exchanged(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """Account and destination change 20 times under load: each event arrives, once."""
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    async with Daemon(place, config) as daemon:
        for turn in range(20):
            simulator.add_mail(subject="mail {n}", count=4)
            changed = configuration.whole(
                [configuration.account(simulator, interval=f"{100 + turn}ms")],
                [configuration.hook(webhook.url, batch={"max_events": 1 + turn % 3})],
            )
            if turn % 2:
                # In the middle of it: some of them have arrived, and others are on their way.
                await eventually(lambda: len(webhook.lines) > 4 * turn)  # noqa: B023 - waited for
            await reload(daemon, place, changed)
        await eventually(lambda: {f"mail {number}" for number in range(80)} == set(webhook.subjects()))
        (await daemon.metrics()).assert_conserved()
        assert 0 == await daemon.stop()
    assert {1} == set(Counter(webhook.event_ids).values()), "an event was sent twice though nothing failed"


async def test_a_destination_that_hangs_is_exchanged_all_the_same(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """A receiver that never answers keeps a reload no longer than ten seconds; what it had is sent to the new one."""
    account = configuration.account(simulator)
    async with Hook() as deaf, Daemon(place, configuration.whole([account], [configuration.hook(deaf.url)])) as daemon:
        deaf.may_answer.clear()
        simulator.add_mail(subject="stuck")
        await eventually(lambda: deaf.requests)
        await reload(daemon, place, configuration.whole([account], [configuration.hook(webhook.url)]))
        await eventually(lambda: ["stuck"] == webhook.subjects())
        assert 0 == await daemon.stop()


async def test_unacknowledged_batches_outlive_the_exchange(place: Path, simulator: Simulator, hec: Hec) -> None:
    """Events that an indexer has yet to acknowledge are confirmed through the new destination, and not sent again."""
    hec.is_slow = True
    account = configuration.account(simulator)
    async with Daemon(place, configuration.whole([account], [configuration.splunk(hec.url)])) as daemon:
        simulator.add_mail(subject="pending")
        await eventually(hec.posts)
        changed = configuration.splunk(hec.url, batch={"max_events": 100})
        await reload(daemon, place, configuration.whole([account], [changed]))
        await eventually(lambda: hec.indexers[0].asked)
        assert 1 == (await daemon.metrics()).value("outbox_events", destination="splunk")
        hec.is_slow = False
        hec.index()
        await eventually(lambda: daemon.find("batch_delivered"))
        assert 1 == len(hec.posts())
        assert 0 == await daemon.stop()


async def test_a_stop_during_a_reload_is_a_stop(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """Both signals at once end the daemon in order."""
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    async with Daemon(place, config) as daemon:
        simulator.add_mail(subject="last")
        await eventually(lambda: ["last"] == webhook.subjects())
        write_config(
            place, configuration.whole([configuration.account(simulator, interval="1s")], config["destinations"])
        )
        daemon.signal(signal.SIGHUP)
        daemon.signal(signal.SIGTERM)
        assert 0 == await daemon.exit_code()
        assert "Traceback" not in daemon.stderr


async def test_reload_over_http_is_off_unless_asked_for(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """Enabled, it answers with what has changed, or with what is wrong; off, the path is not known."""
    accounts, hook = [configuration.account(simulator)], configuration.hook(webhook.url)
    config = configuration.whole(accounts, [hook], http={"reload": True})
    async with Daemon(place, config) as daemon, aiohttp.ClientSession() as session:
        archive = configuration.file()
        write_config(place, configuration.whole(accounts, [hook, archive], http={"reload": True}))
        async with session.post(f"{daemon.url}/-/reload") as answer:
            assert (200, ["destination archive added"]) == (answer.status, (await answer.json())["changed"])
        write_config(place, "accounts: 7")
        async with session.post(f"{daemon.url}/-/reload") as answer:
            assert 400 == answer.status
            assert "mcwatch.yaml" in (await answer.json())["problems"][0]
        assert 0 == await daemon.stop()
    async with (
        Daemon(place, configuration.whole(accounts, [hook])) as daemon,
        aiohttp.ClientSession() as session,
        session.post(f"{daemon.url}/-/reload") as answer,
    ):
        assert 404 == answer.status
