"""Kept events sent to one destination again: same ids, same bytes, nothing the destination may not see."""

import json
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, Finished, run_command, run_commands
from tests.acceptance.waiting import eventually
from tests.fakes.hec import Hec

_FIRST, _SECOND, _QUEUED = 6, 4, 3


async def replay(place: Path, destination: str, *args: str) -> Finished:
    """Run ``replay`` from an hour ago, unless told otherwise."""
    start = () if "--from" in args else ("--from", "1h")
    return await run_command(place, "replay", "-c", CONFIG, "--destination", destination, *start, *args)


def _config(simulator: Simulator, hook: Hook, private: Hook, dead: Hook) -> Config:
    redact = {"key": "k" * 32, "fields": {"subject": "drop", "to.address": "hash"}}
    return configuration.whole(
        [configuration.account(simulator)],
        [
            configuration.hook(hook.url, select={"kinds": ["message.*"]}),
            configuration.hook(private.url, "private", format={"type": "ocsf"}, redact=redact),
            configuration.hook(dead.url, "dead"),
        ],
    )


async def test_a_replay_sends_the_same_events_again(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """With the daemon and without, by time, as the destination selects and sees them, and no further than it has come.

    Its position and its counts stay, and both sums of the contract hold.
    """
    async with Hook() as private, Hook() as dead:
        await dead.stop()
        config = _config(simulator, webhook, private, dead)
        simulator.add_mail(subject="morning {n}", count=_FIRST)
        simulator.add_mail(subject="queued {n}", count=_QUEUED, life=[(0.0, "processing")])
        async with Daemon(place, config) as daemon:
            await eventually(lambda: (len(webhook.lines), len(private.lines)) == (_FIRST, _FIRST + _QUEUED))
            await eventually(lambda: daemon.find("component_down", destination="dead"))
            between = datetime.now(UTC).isoformat()
            simulator.add_mail(subject="second {n}", count=_SECOND)
            everything = _FIRST + _SECOND
            await eventually(lambda: (len(webhook.lines), len(private.lines)) == (everything, everything + _QUEUED))
            first, first_private = list(webhook.lines), list(private.lines)

            async def settled() -> bool:
                scrape = await daemon.metrics()
                return scrape.value("events_delivered_total", destination="private") == everything + _QUEUED

            await eventually(settled)
            await _replays_with_a_daemon(place, webhook, between)
            assert first + first[_FIRST:] + first == webhook.lines
            assert first_private * 2 == private.lines
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            assert everything + 2 * _SECOND == scrape.value("events_resent_total", destination="hook")
            assert everything == scrape.value("events_delivered_total", destination="hook")
            assert 0 == scrape.value("events_resent_total", destination="dead")
            assert everything + _QUEUED == scrape.value("outbox_events", destination="dead")
            assert 0 == await daemon.stop()
        done = await replay(place, "hook", "--to", between)
        assert 0 == done.code, done.stderr
        assert first + first[_FIRST:] + first + first[:_FIRST] == webhook.lines
        assert b"morning" not in b"".join(private.lines)
        async with Daemon(place, config) as daemon:
            (await daemon.metrics()).assert_conserved()
            assert 0 == await daemon.stop()
        assert len(webhook.lines) == 2 * everything + _SECOND + _FIRST, "a replay moves no position"


async def _replays_with_a_daemon(place: Path, hook: Hook, between: str) -> None:
    done = await replay(place, "hook", "--from", between)
    assert 0 == done.code, done.stderr
    assert f"{_SECOND} events sent again to hook" in done.stdout
    done = await replay(place, "hook", "--output", "json")
    assert {"destination": "hook", "sent": _FIRST + _SECOND, "not_selected": _QUEUED, "refused": {}} == json.loads(
        done.stdout
    )
    start = ("--from", "1h")
    asked = (
        ("private", *start),
        ("dead", *start, "--output", "json"),
        ("hok", *start),
        ("hook",),
        ("hook", "--from", "1m", "--to", "2m"),
    )
    private_again, done, wrong, vague, backwards = await run_commands(
        place, *[("replay", "-c", CONFIG, "--destination", *args) for args in asked]
    )
    assert 0 == private_again.code, private_again.stderr
    assert 0 == done.code, done.stderr
    assert 0 == json.loads(done.stdout)["sent"], "it has passed nothing"
    assert f"{_FIRST + _SECOND + _QUEUED} events of the range wait for the destination anyway" in done.stderr
    assert 1 == wrong.code
    assert "there is no destination 'hok'" in wrong.stderr
    assert "did you mean hook?" in wrong.stderr
    assert 2 == vague.code, "without --from"
    assert 1 == backwards.code
    assert "the range ends before it begins" in backwards.stderr
    hook.refuse = lambda lines: web.Response(status=422) if any(b"morning" in line for line in lines) else None
    kept = len(hook.lines)
    refused = await replay(place, "hook", "--output", "json")
    hook.refuse = lambda _lines: None
    assert 1 == refused.code
    assert {"refused": _FIRST} == json.loads(refused.stdout)["refused"]
    assert _SECOND == json.loads(refused.stdout)["sent"]
    del hook.lines[kept:]


async def test_a_replay_to_splunk_waits_for_its_acknowledgement(place: Path, simulator: Simulator, hec: Hec) -> None:
    """What is sent again counts once Splunk has indexed it; the command ends then, with the daemon and without."""
    config = configuration.whole([configuration.account(simulator)], [configuration.splunk(hec.url)])
    simulator.add_mail(subject="mail {n}", count=_FIRST)
    async with Daemon(place, config) as daemon:

        async def settled() -> bool:
            return (await daemon.metrics()).value("events_delivered_total", destination="splunk") == _FIRST

        await eventually(settled)
        first = hec.events[:]
        done = await replay(place, "splunk")
        assert 0 == done.code, done.stderr
        assert first * 2 == hec.events
        (await daemon.metrics()).assert_conserved()
        assert 0 == await daemon.stop()
    done = await replay(place, "splunk")
    assert 0 == done.code, done.stderr
    assert first * 3 == hec.events
