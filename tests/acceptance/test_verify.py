"""`backfill` and `verify` with the real process: over the control socket, without a daemon, and through its death."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

from mcwatch.simulator import Fault, Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, Finished, Process, run_command
from tests.acceptance.waiting import eventually

Report = dict[str, Any]


def _config(simulator: Simulator, webhook: Hook, **finder: object) -> Config:
    account = configuration.account(simulator)
    account["sources"] = [{**account["sources"][1], "initial_look_back": "1h", "rescans": [], **finder}]
    account["sources"][0]["overlap"] = "1m"
    return configuration.whole([account], [configuration.hook(webhook.url)])


def _mails(simulator: Simulator, count: int, oldest_secs: float) -> None:
    for number in range(count):
        simulator.add_mail(subject=f"mail {number}", received_ago_secs=oldest_secs - 60.0 * number)


def _forget(place: Path, event_ids: list[str]) -> None:
    """Delete what the store knows of the seconds that hold these events."""
    connection = sqlite3.connect(place / "mcwatch.db", timeout=10.0, isolation_level=None)
    for event_id in event_ids:
        done = connection.execute("DELETE FROM seen WHERE instr(marks, ?)", (bytes.fromhex(event_id),))
        assert 1 == done.rowcount
    connection.close()


async def _run(place: Path, command: str, *args: str) -> Finished:
    return await run_command(place, command, "-c", CONFIG, "--account", "demo", *args)


async def _verify(place: Path, *args: str, code: int) -> Report:
    done = await _run(place, "verify", "--from", "50m", "--output", "json", *args)
    assert code == done.code, done.stderr + done.stdout
    report: Report = json.loads(done.stdout)
    return report


def _same(report: Report) -> Report:
    """Return what two comparisons of one store say alike, whenever they were made."""
    kept = {name: report[name] for name in ("verdict", "account", "version", "total", "missing", "complete", "repair")}
    return {**kept, "searches": [(one["search"], one["counts"]) for one in report["searches"]]}


async def test_verify_finds_what_is_missing_and_repairs_it(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """With a daemon and without one the answer is the same; repaired, the receiver gets the missing events."""
    config = _config(simulator, webhook)
    _mails(simulator, 20, oldest_secs=45 * 60.0)
    async with Daemon(place, config) as daemon:
        await eventually(lambda: len(webhook.lines) == 20 and "poll_done" in daemon.stderr)
        clean = await _verify(place, code=0)
        lost = webhook.event_ids[5:8]
        _forget(place, lost)
        online = await _verify(place, code=1)
        assert 0 == await daemon.stop()
    offline = await _verify(place, code=1)
    assert ("nothing is missing: 20 rows read, all known", True) == (clean["verdict"], clean["complete"])
    assert sorted(lost) == sorted(row["event_id"] for row in online["missing"])
    assert _same(online) == _same(offline)
    assert "mail 5" not in json.dumps(online)
    async with Daemon(place, config) as daemon:
        table = await _run(place, "verify", "--from", "50m", "--repair")
        await eventually(lambda: len(webhook.lines) == 23)
        again = await _verify(place, code=0)
        assert 0 == await daemon.stop()
    assert 1 == table.code
    assert table.stdout.startswith("3 messages were missing, 3 recorded now, of 20 rows read\naccount demo, ")
    assert all(event_id in table.stdout for event_id in lost)
    assert sorted(lost) == sorted(webhook.event_ids[20:])
    assert 20 == again["total"]["known"]


async def test_verify_says_what_it_could_not_judge(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """A range of which a part had not been read ends with 3 and lists that part."""
    _mails(simulator, 3, oldest_secs=45 * 60.0)
    async with Daemon(place, _config(simulator, webhook, initial_look_back="44m30s")) as daemon:
        await eventually(lambda: "poll_done" in daemon.stderr)
        done = await _run(place, "verify", "--from", "50m")
    assert 3 == done.code
    assert "a part of the range could not be judged" in done.stdout.splitlines()[0]
    assert "to corp.example: not read when the comparison began" in done.stdout


async def test_backfill_goes_on_after_a_kill(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """The daemon killed in the middle, the command says what to do; done again it reads the rest, nothing twice."""
    config = _config(simulator, webhook, initial_look_back="1m", max_window="10m")
    _mails(simulator, 100, oldest_secs=150 * 60.0)
    range_ = ("--account", "demo", "--from", "170m", "--to", "2m")
    async with Daemon(place, config) as daemon:
        await eventually(lambda: simulator.stats.requests.total() > 3)
        simulator.script(*[Fault("stall", endpoint="finder", after_secs=0.2)] * 200)
        async with Process(place, ("backfill", "-c", CONFIG, *range_)) as command:
            await eventually(lambda: len(webhook.lines) >= 30)
            daemon.kill()
            assert 1 == await command.exit_code()
            assert "the daemon went away before it was done" in command.stderr
            assert "run the same command again" in command.stderr
    before = len(webhook.lines)
    simulator.faults.clear()
    offline = await run_command(place, "backfill", "-c", CONFIG, *range_)
    assert 0 == offline.code, offline.stderr
    assert "where an earlier run stopped" in offline.stderr
    assert offline.stdout.startswith("done: ")
    async with Daemon(place, config):
        await eventually(lambda: len(set(webhook.event_ids)) == 100)
        again = await run_command(place, "backfill", "-c", CONFIG, *range_, "-o", "json")
    assert 30 <= before < 100
    assert (0, 0) == (again.code, json.loads(again.stdout)["total"]["new"])
    assert "where an earlier run stopped" not in again.stderr


async def test_a_command_that_goes_away_ends_its_step(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """The next command of the account need not wait for it."""
    _mails(simulator, 5, oldest_secs=30 * 60.0)
    async with Daemon(place, _config(simulator, webhook, interval="1h")) as daemon:
        await eventually(lambda: "poll_done" in daemon.stderr)
        simulator.script(Fault("stall", endpoint="finder", after_secs=20.0))
        async with Process(place, ("verify", "-c", CONFIG, "--account", "demo", "--from", "50m")):
            await eventually(lambda: not simulator.faults.pending)
        async with asyncio.timeout(15.0):
            assert 5 == (await _verify(place, code=0))["total"]["known"]


async def test_a_daemon_stops_though_a_step_waits(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """In order and soon; the command says what to do."""
    _mails(simulator, 1, oldest_secs=600.0)
    async with Daemon(place, _config(simulator, webhook, interval="1h")) as daemon:
        await eventually(lambda: "poll_done" in daemon.stderr)
        simulator.script(Fault("stall", endpoint="finder", after_secs=30.0))
        async with Process(place, ("verify", "-c", CONFIG, "--account", "demo", "--from", "50m")) as command:
            await eventually(lambda: not simulator.faults.pending)
            assert 0 == await daemon.stop()
            assert 1 == await command.exit_code()
            assert "the daemon went away before it was done" in command.stderr
    assert "Traceback" not in daemon.stderr


async def test_wrong_words_are_usage(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """A time that is none ends with 2; an account that is none with 1 and the nearest name."""
    _mails(simulator, 1, oldest_secs=600.0)
    async with Daemon(place, _config(simulator, webhook)):
        await eventually(lambda: webhook.lines)
        odd = await _run(place, "verify", "--from", "yesterday")
        unknown = await run_command(place, "backfill", "-c", CONFIG, "--account", "dem", "--from", "1h")
    assert 2 == odd.code
    assert "'yesterday' is no moment" in odd.stderr
    assert 1 == unknown.code
    assert ["mcwatch: the running daemon says: there is no account 'dem'", "mcwatch: → did you mean demo?"] == (
        unknown.complaints
    )
