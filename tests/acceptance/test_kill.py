"""SIGKILL at any moment: nothing the API showed is lost, and a repeat is recognised as one."""

import asyncio
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mcwatch.simulator import Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import Daemon, Process, Scrape
from tests.acceptance.ledgers import Witness, assert_ids_hold
from tests.acceptance.waiting import eventually

_KILLS = 24
_SEED = 20260105
_COUNTERS = ("records_received_total", "records_new_total", "outbox_offered_events_total", "events_delivered_total")


async def test_no_row_is_lost_by_kills_and_repeats_keep_their_ids(place: Path, webhook: Hook) -> None:
    """Killed at random moments of its work, the daemon delivers every row the API showed, repeats byte for byte alike.

    The moments: any time since the start of the process, an answer of the API being written, a batch that the receiver
    has but has not acknowledged, one that it has just acknowledged.
    """
    draw = random.Random(_SEED)
    world = SimulatorConfig(
        seed=_SEED, mails_per_minute=2000.0, history_secs=30.0, dwell_secs=1.0, appearance_secs=0.5, speed=600.0,
        quota=PLENTY,
    )  # fmt: skip
    kills: list[float] = []
    before: Scrape | None = None
    async with Simulator(world) as simulator:
        witness = Witness(simulator)
        config = _config(simulator, webhook)
        for number in range(_KILLS):
            async with Daemon(place, config) as daemon:
                # Now and then it dies before it has been asked anything.
                if number % 4:
                    await eventually(partial(daemon.find, "batch_delivered"))
                    before = await _sound_scrape(daemon, before)
                await _kill(daemon, simulator, webhook, draw)
                kills.append(simulator.now())
                webhook.before_answer = lambda: None
                assert -9 == await daemon.exit_code()
                assert not daemon.find("poll_defect")
        async with Daemon(place, config) as daemon:
            simulator.stop_mail()
            await _settled(daemon, witness, webhook, kills)
            await _sound_scrape(daemon, before)
            assert 0 == await daemon.stop()

    shown = len(simulator.ledger)
    assert shown > 1000, "there was a load"
    assert witness.excused(webhook.events, kills) <= shown // 50, "the exclusion explains few rows only"
    assert_ids_hold(webhook.lines)
    filed = (place / "events.ndjson").read_bytes()
    assert filed.endswith(b"\n")
    lines = filed.split(b"\n")[:-1]
    assert [] == witness.missing([json.loads(line) for line in lines], kills)
    assert_ids_hold(lines)
    assert set(webhook.lines) == set(lines), "both destinations got the same"
    assert len(webhook.lines) > len(set(webhook.lines)), "there were repeats"


def _config(simulator: Simulator, webhook: Hook) -> Config:
    batch = {"max_events": 50}
    return configuration.whole(
        [configuration.account(simulator, interval="300ms")],
        [configuration.hook(webhook.url, batch=batch), configuration.file() | {"batch": batch}],
    )


async def _kill(daemon: Process, simulator: Simulator, webhook: Hook, draw: random.Random) -> None:
    """Kill the process at a moment of a drawn kind."""
    loop = asyncio.get_running_loop()
    kind = draw.choice(["any time", "answer", "batch under way", "batch acknowledged"])
    countdown = draw.randint(1, 6)

    def kill() -> None:
        if daemon.alive:
            daemon.kill()

    if kind == "any time":
        loop.call_later(draw.uniform(0.0, 2.0), kill)
    elif kind == "answer":
        goal = simulator.stats.requests.total() + countdown
        await eventually(lambda: simulator.stats.requests.total() >= goal)
        loop.call_later(draw.uniform(0.0, 0.02), kill)
    else:
        webhook.before_answer = _at(countdown, kill if kind == "batch under way" else lambda: loop.call_soon(kill))
    await eventually(lambda: not daemon.alive)


def _at(number: int, act: Callable[[], Any]) -> Callable[[], None]:
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            act()

    return count


async def _sound_scrape(daemon: Daemon, before: Scrape | None) -> Scrape:
    """Return a scrape whose sums are right and in which nothing has gone back since the one before."""
    scrape = await daemon.metrics()
    scrape.assert_conserved()
    for name in _COUNTERS if before else ():
        assert before is not None
        assert scrape.value(name) >= before.value(name), f"{name} has gone back"
    return scrape


async def _settled(daemon: Daemon, witness: Witness, webhook: Hook, kills: list[float]) -> None:
    """Wait until everything shown has arrived at both destinations."""

    async def nothing_waits() -> bool:
        scrape = await daemon.metrics()
        scrape.assert_conserved()
        return scrape.value("outbox_events") == 0

    async def all_there() -> bool:
        # Asked first: comparing takes the time of this loop, which serves the API and the receiver too.
        if not await nothing_waits():
            return False
        lost = witness.missing(webhook.events, kills)
        assert not lost, f"{len(lost)} rows, the first: {lost[0]}"
        return True

    # Two polls after the stop have shown what was there to be shown.
    polls = len(daemon.find("poll_done")) + 6
    await eventually(lambda: len(daemon.find("poll_done")) >= polls, 60.0)
    await eventually(all_there, 60.0)
