"""Every kind of destination at once, all of them faulty, and a kill every few seconds: nothing is missing anywhere."""

import asyncio
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mcwatch.simulator import Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.conftest import PLENTY
from tests.acceptance.daemon import Daemon, Scrape
from tests.acceptance.fleet import Fleet, fleet
from tests.acceptance.ledgers import Witness, assert_ids_hold
from tests.acceptance.waiting import eventually, pass_time

_SEED = 20261121
_KILLS = 10
_LIFE_SECS = (1.0, 4.0)
_COUNTERS = ("records_received_total", "records_new_total", "outbox_offered_events_total", "events_delivered_total")


async def test_nothing_is_missing_anywhere(place: Path, require_program: Callable[[str], Path]) -> None:
    """With every destination type at once, faulty receivers and kills, every event is everywhere.

    Every repeat has the same id and the same bytes, Elasticsearch holds no duplicate, and both sums of the contract
    hold at every scrape, across the restarts.
    """
    dice = random.Random(_SEED)
    world = SimulatorConfig(
        seed=_SEED, mails_per_minute=1500.0, history_secs=30.0, dwell_secs=1.0, appearance_secs=0.5, speed=600.0,
        quota=PLENTY,
    )  # fmt: skip
    async with Simulator(world) as simulator, fleet(place, require_program, dice) as receivers:
        witness, kills = Witness(simulator), list[float]()
        config = configuration.whole(
            [configuration.account(simulator, interval="300ms")], receivers.destinations(), log={"level": "warning"}
        )
        trouble = asyncio.create_task(receivers.misbehave())
        before: Scrape | None = None
        for _ in range(_KILLS):
            async with Daemon(place, config | {"log": {"level": "info"}}) as daemon:
                before = await _live(daemon, before, dice.uniform(*_LIFE_SECS))
                daemon.kill()
                kills.append(simulator.now())
                assert -9 == await daemon.exit_code()
        simulator.stop_mail()
        receivers.recover()
        async with Daemon(place, config | {"log": {"level": "info"}}) as daemon:
            await _settled(daemon, before)
            assert 0 == await daemon.stop(30.0)
        trouble.cancel()
        # What came last was handed over before the end, and would be asked for after the next start.
        receivers.hec.index()
        _assert_complete(receivers, witness, kills)


async def _live(daemon: Daemon, before: Scrape | None, secs: float) -> Scrape:
    """Scrape for so long; every scrape is sound, and none has gone back."""
    loop = asyncio.get_running_loop()
    until = loop.time() + secs
    while True:
        scrape = await daemon.metrics()
        scrape.assert_conserved()
        for name in _COUNTERS if before else ():
            assert before is not None
            assert scrape.value(name) >= before.value(name), f"{name} has gone back"
        before = scrape
        if loop.time() >= until:
            return scrape
        await pass_time(0.1)


async def _settled(daemon: Daemon, before: Scrape | None) -> None:
    """Wait until the last polls have come and every destination has everything."""
    last = before

    async def nothing_waits() -> bool:
        nonlocal last
        last = await _live(daemon, last, 0.0)
        names = last.label_values("outbox_events", "destination")
        assert {} == {name: n for name in names if (n := last.value("outbox_events", destination=name))}
        return True

    polls = len(daemon.find("poll_done")) + 6
    await eventually(lambda: len(daemon.find("poll_done")) >= polls, 30.0)
    await eventually(partial(nothing_waits), 60.0)
    assert 0 == (await daemon.metrics()).value("events_dead_lettered_total")


def _assert_complete(receivers: Fleet, witness: Witness, kills: list[float]) -> None:
    lines, ids = receivers.lines(), receivers.ids()
    assert [] == witness.missing([json.loads(line) for line in lines["archive"]], kills)
    assert_ids_hold(lines["archive"])
    everything = set(ids["archive"])
    assert len(everything) > 500, "there was a load"
    assert {} == {name: len(everything ^ set(found)) for name, found in ids.items() if everything ^ set(found)}
    repeats = {name: len(found) - len(set(found)) for name, found in ids.items()}
    assert 0 == repeats.pop("elastic"), "Elasticsearch holds no duplicate"
    assert receivers.elastic.conflicts > 0, "what was sent twice was recognised"
    assert repeats["hook"], "answers were lost"
    assert repeats["splunk"], "acknowledgements were lost"
    for name, found in lines.items():
        assert len(set(found)) == len(everything), f"repeats at {name} differ from what was sent first"
