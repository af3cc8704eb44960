"""Reloads at bad moments, of odd files, many at once, and of what is in use just then."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mcwatch.simulator import AccountConfig, Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, run_command, write_config
from tests.acceptance.reloading import hang_up, reload
from tests.acceptance.waiting import eventually, pass_time


async def test_an_account_that_loses_a_source_is_up_all_the_same(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """Its figures begin anew, and say that it works as soon as it has been polled again."""
    account, hook = configuration.account(simulator), configuration.hook(webhook.url)
    async with Daemon(place, configuration.whole([account], [hook])) as daemon:
        simulator.add_mail(subject="before")
        await eventually(lambda: "before" in webhook.subjects())
        await eventually(lambda: daemon.find("poll_done", source="processing_queue"))
        poorer = account | {"sources": [one for one in account["sources"] if one["type"] == "message_finder"]}
        await reload(daemon, place, configuration.whole([poorer], [hook]))

        async def is_up() -> bool:
            scrape = await daemon.metrics()
            return 1 == scrape.value("account_up") == scrape.value("source_up")

        await eventually(is_up)
        assert {"message_finder"} == (await daemon.metrics()).label_values("source_up", "source")
        assert (await daemon.status())["accounts"][0]["up"]
        assert 0 == await daemon.stop()


async def test_many_signals_with_nothing_new_touch_nothing_and_say_little(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """A line each at most, also where a destination of former days is still remembered; no account begins anew."""
    accounts, hook = [configuration.account(simulator)], configuration.hook(webhook.url)
    async with Daemon(place, configuration.whole(accounts, [hook, configuration.file()])) as daemon:
        simulator.add_mail(subject="one")
        await eventually(lambda: ["one"] == webhook.subjects())
        await reload(daemon, place, configuration.whole(accounts, [hook]))
        for _ in range(50):
            daemon.signal(signal.SIGHUP)
        await hang_up(daemon)
        await hang_up(daemon)
        assert [[]] == list({tuple(line["changed"]): line["changed"] for line in daemon.find("reloaded")[1:]}.values())
        assert 1 == len(daemon.find("destination_gone"))
        assert 1 == simulator.stats.requests["token"]
        assert 0 == await daemon.stop()


def _pipe(file: Path) -> None:
    os.mkfifo(file)


def _endless(file: Path) -> None:
    file.symlink_to("/dev/zero")


def _huge(file: Path) -> None:
    file.touch()
    os.truncate(file, 100 << 20)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(_pipe, "not a regular file", id="pipe"),
        pytest.param(_endless, "not a regular file", id="endless"),
        pytest.param(_huge, "larger than 16 MiB", id="huge"),
        pytest.param(Path.mkdir, "a directory", id="directory"),
        pytest.param(lambda _file: None, "no such file", id="gone"),
    ],
)
async def test_what_is_no_configuration_file_holds_up_nothing(
    place: Path, simulator: Simulator, webhook: Hook, make: Callable[[Path], None], says: str
) -> None:
    """It is refused by name, at once; events go on, and so does the orderly end."""
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    async with Daemon(place, config) as daemon:
        (place / CONFIG).unlink()
        make(place / CONFIG)
        await hang_up(daemon, outcome="reload_failed")
        assert says in (await daemon.status())["config"]["error"]
        simulator.add_mail(subject="meanwhile")
        await eventually(lambda: ["meanwhile"] == webhook.subjects())
        assert 0 == await daemon.stop(5.0)


async def test_a_replay_to_a_destination_that_goes_leaves_no_trace_of_it(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """What was being sent beside the log fails with the sink; nothing says that a destination is down that is gone."""
    accounts, archive = [configuration.account(simulator)], configuration.file()
    async with Hook() as deaf:
        config = configuration.whole(accounts, [archive, configuration.hook(deaf.url)])
        async with Daemon(place, config) as daemon, asyncio.TaskGroup() as group:
            simulator.add_mail(subject="old")
            await eventually(lambda: daemon.find("batch_delivered", destination="hook"))
            deaf.may_answer.clear()
            before = deaf.requests
            replay = group.create_task(
                run_command(place, "replay", "-c", CONFIG, "--destination", "hook", "--from", "1h")
            )
            await eventually(lambda: deaf.requests > before or replay.done())
            assert not replay.done(), replay.result()
            await reload(daemon, place, configuration.whole(accounts, [archive]))
            finished = await replay
            assert 0 != finished.code
            assert "Traceback" not in finished.stderr
            report, scrape = await daemon.status(), await daemon.metrics()
            assert report["healthy"], daemon.stderr
            assert {"archive"} == scrape.label_values("destination_up", "destination")
            assert {"archive"} == scrape.label_values("delivery_requests_total", "destination")
            assert 0 == await daemon.stop()


async def test_what_goes_and_comes_back_goes_on_where_it_was(place: Path, webhook: Hook) -> None:
    """An account and a destination that were away for a while lose nothing and repeat nothing, however often."""
    tenants = tuple(AccountConfig(name) for name in ("one", "two"))
    world = SimulatorConfig(accounts=tenants, mails_per_minute=0.0, history_secs=0.0, quota=PLENTY)
    async with Simulator(world) as simulator, Hook() as second:
        one, two = (configuration.account(simulator, name) for name in ("one", "two"))
        first, other = configuration.hook(webhook.url, "first"), configuration.hook(second.url, "second")
        wanted: set[str] = set()
        async with Daemon(place, configuration.whole([one, two], [first, other])) as daemon:
            for turn in range(6):
                for name in ("one", "two"):
                    wanted.add(f"{name} {turn}")
                    simulator.add_mail(name, subject=f"{name} {turn}")
                accounts = [one, two] if turn % 2 else [one]
                await reload(daemon, place, configuration.whole(accounts, [first, other] if turn % 3 else [first]))
            await reload(daemon, place, configuration.whole([two, one], [other, first]))
            await eventually(lambda: wanted == set(webhook.subjects()) == set(second.subjects()))
            (await daemon.metrics()).assert_conserved()
            assert 0 == await daemon.stop()
    for hook in (webhook, second):
        assert {1} == set(Counter(hook.event_ids).values())


async def test_the_backlog_of_an_account_that_goes_is_delivered(place: Path, webhook: Hook) -> None:
    """What was recorded of it before reaches the destination by its name, through a reload of that one too."""
    tenants = tuple(AccountConfig(name) for name in ("one", "two"))
    world = SimulatorConfig(accounts=tenants, mails_per_minute=0.0, history_secs=0.0, quota=PLENTY)
    async with Simulator(world) as simulator, Hook() as deaf:
        one, two = (configuration.account(simulator, name) for name in ("one", "two"))
        async with Daemon(place, configuration.whole([one, two], [configuration.hook(deaf.url)])) as daemon:
            deaf.may_answer.clear()
            simulator.add_mail("one", subject="left behind")
            await eventually(lambda: deaf.requests)
            await reload(daemon, place, configuration.whole([two], [configuration.hook(webhook.url)]))
            await eventually(lambda: "left behind" in webhook.subjects())
            assert {"one"} == {event["account"] for event in webhook.events}
            assert 0 == await daemon.stop()


async def test_signals_at_any_moment_end_in_an_orderly_stop(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """A daemon that is told to reload while it starts, drains and ends does neither crash nor hang."""
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    async with Daemon(place, config) as daemon:
        daemon.signal(signal.SIGHUP)
        simulator.add_mail(subject="last")
        await eventually(lambda: ["last"] == webhook.subjects())
        webhook.may_answer.clear()
        simulator.add_mail(subject="on its way")
        await eventually(lambda: webhook.requests > 1)
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: daemon.find("signal_received"))
        write_config(place, config | {"log": {"level": "debug"}})
        daemon.signal(signal.SIGHUP)
        webhook.may_answer.set()
        while daemon.alive:
            daemon.signal(signal.SIGHUP)
            await pass_time(0.005)  # the pace of the signals
        assert 0 == await daemon.exit_code()
        assert "Traceback" not in daemon.stderr
        assert "on its way" in webhook.subjects()
