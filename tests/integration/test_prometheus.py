"""A real Prometheus reads the real process, judges it by the rules of deploy/, and feeds the dashboard."""

import random
import signal
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from mcwatch.simulator import AccountConfig, QuotaConfig, Simulator, SimulatorConfig
from mcwatch.telemetry.metrics import Metrics
from tests.acceptance import configuration
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, run_command, write_config
from tests.acceptance.waiting import eventually
from tests.integration.prometheus import Prometheus, dashboard_expressions, panels

RequireProgram = Callable[[str], Path]
_LIVELY = SimulatorConfig(
    accounts=(AccountConfig(), AccountConfig("locked")),
    mails_per_minute=300.0,
    history_secs=60.0,
    dwell_secs=0.5,
    appearance_secs=0.2,
    hostile_share=0.0,
    odd_share=0.0,
    quota=QuotaConfig(calls=100_000),
)
_QUIET = SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, quota=QuotaConfig(calls=100_000))


@dataclass(frozen=True)
class Stage:
    """Where the programs of a test run."""

    program: Path
    place: Path

    def prometheus(self, daemon: Daemon) -> Prometheus:
        """Return a Prometheus that reads a daemon."""
        return Prometheus(self.program, self.place.parent / "prometheus", daemon.url.removeprefix("http://"))


@pytest.fixture
def stage(tmp_path: Path, require_program: RequireProgram) -> Stage:
    """The program, and a directory for the daemon."""
    place = tmp_path / "place"
    place.mkdir()
    return Stage(require_program("prometheus"), place)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    """A web hook that accepts everything."""
    async with Hook() as running:
        yield running


async def test_dashboard_and_rules_work_on_a_real_process(stage: Stage, hook: Hook) -> None:
    """One receiver gone, one secret wrong: no query is empty or fails, and their alerts fire, until it is mended."""
    async with Simulator(_LIVELY) as simulator, Hook() as siem:
        await siem.stop()
        config = configuration.whole(
            [
                configuration.account(simulator, interval="1s"),
                configuration.account(
                    simulator,
                    "locked",
                    interval="1s",
                    auth={"type": "oauth2", "client_id": "locked", "client_secret": "wrong"},
                ),
            ],
            [configuration.hook(hook.url), configuration.hook(siem.url, "siem")],
            store={"max_backlog": "256MiB"},
        )
        async with Daemon(stage.place, config) as daemon, stage.prometheus(daemon) as prometheus:
            await eventually(lambda: _is_up(prometheus))
            # An account that has never been read lags from the first moment it should have been.
            of_the_account = {"McwatchAccountDown", "McwatchFinderLag"}
            await _expect(prometheus, firing=of_the_account | {"McwatchDestinationDown"})
            assert await prometheus.was_pending("McwatchDestinationDown")
            await _check_rules(prometheus)
            await _check_metadata(prometheus)
            await _check_dashboard(prometheus)
            assert {"locked"} == {
                one["metric"]["account"] for one in await prometheus.query('ALERTS{account!="", alertstate="firing"}')
            }
            # It is tried again by its back-off, seconds after it is there.
            await siem.start()
            await _expect(prometheus, firing=of_the_account)
            assert 0 == await daemon.stop()
        assert "" == prometheus.log


async def test_a_backlog_that_fills_is_told_in_time(stage: Stage, hook: Hook) -> None:
    """A receiver that takes nothing: nearly full and paused are alerts, and over when it takes everything again."""
    hook.refuse = lambda _lines: web.Response(status=503, headers={"Retry-After": "1"})
    noise = random.Random(7)
    async with Simulator(_QUIET) as simulator:
        config = configuration.whole(
            [configuration.account(simulator)], [configuration.hook(hook.url)], store={"max_backlog": "40KiB"}
        )
        async with Daemon(stage.place, config) as daemon, stage.prometheus(daemon) as prometheus:
            for _ in range(15):
                simulator.add_mail(subject=noise.randbytes(2500).hex())
            # What is foreseen of an hour that lasted seconds may be an alert or not.
            wanted = {"McwatchDestinationDown", "McwatchBacklogNearlyFull", "McwatchPollingPaused"}
            await _expect(prometheus, firing=wanted, perhaps={"McwatchBacklogGrowing"})
            [paused] = await prometheus.query('ALERTS{alertname="McwatchPollingPaused", alertstate="firing"}')
            assert "backlog" == paused["metric"]["reason"]
            hook.refuse = lambda _lines: None
            await _expect(prometheus, firing=set())
            assert 0 == await daemon.stop()


async def test_what_needs_a_decision_is_told_until_it_is_made(stage: Stage, hook: Hook) -> None:
    """A dead letter, a wrong clock and a bad configuration are alerts; a killed daemon is one, and ends the others."""
    hook.refuse = lambda lines: web.Response(status=400, text="no") if any(b"poison" in one for one in lines) else None
    async with Simulator(replace(_QUIET, clock_offset_secs=120.0)) as simulator:
        config = configuration.whole([configuration.account(simulator)], [configuration.hook(hook.url)])
        async with Daemon(stage.place, config) as daemon, stage.prometheus(daemon) as prometheus:
            simulator.add_mail(subject="poison")
            for number in range(5):
                simulator.add_mail(subject=f"good {number}")
            await _expect(prometheus, firing={"McwatchDeadLetters", "McwatchClockSkew"})
            write_config(stage.place, "accounts: none")
            daemon.signal(signal.SIGHUP)
            await _expect(prometheus, firing={"McwatchDeadLetters", "McwatchClockSkew", "McwatchReloadFailed"})
            write_config(stage.place, config)
            daemon.signal(signal.SIGHUP)
            discarded = await run_command(stage.place, "dead-letters", "discard", "--all", "--yes", "-c", CONFIG)
            assert 0 == discarded.code, discarded.stderr
            await _expect(prometheus, firing={"McwatchClockSkew"})
            daemon.kill()
            await _expect(prometheus, firing={"McwatchDown"})


async def _is_up(prometheus: Prometheus) -> bool:
    targets = (await prometheus.ask("targets"))["activeTargets"]
    return [("up", "")] == [(target["health"], target["lastError"]) for target in targets]


async def _expect(
    prometheus: Prometheus, firing: set[str], perhaps: Collection[str] = (), within_secs: float = 30.0
) -> None:
    """Wait until these alerts fire, and no other but ``perhaps``."""

    async def same() -> bool:
        fire = await prometheus.alerts("firing")
        assert firing == fire - set(perhaps)
        return True

    await eventually(same, within_secs)


async def _check_rules(prometheus: Prometheus) -> None:
    """Every rule of the file is loaded and was judged without an error."""
    rules = [rule for group in (await prometheus.ask("rules"))["groups"] for rule in group["rules"]]
    assert len(rules) > 30
    assert {} == {rule["name"]: rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")}


async def _check_metadata(prometheus: Prometheus) -> None:
    """What was read is OpenMetrics, where the name of a counter's family has no suffix, with the types documented."""
    metadata = await prometheus.ask("metadata")
    kinds = {name: {one["type"] for one in found} for name, found in metadata.items()}
    for info in Metrics().infos:
        assert {info.kind} == kinds[info.name.removesuffix("_total")]
    assert {"gauge"} == kinds["mcwatch_outbox_bytes"]
    assert {"counter"} == kinds["mcwatch_outbox_offered_events"]


async def _check_dashboard(prometheus: Prometheus) -> None:
    """Every expression of the dashboard has a result; every variable has a value."""

    async def none_is_empty() -> bool:
        empty = []
        for name, expression in dashboard_expressions().items():
            values = [sample["value"][1] for sample in await prometheus.query(expression)]
            if set(values) <= {"NaN"}:
                empty.append(name)
        assert [] == empty
        return True

    await eventually(none_is_empty)
    assert len(panels()) > 30
    for label, of in (("instance", "build_info"), ("account", "account_up"), ("destination", "outbox_events")):
        assert await prometheus.ask(f"label/{label}/values", **{"match[]": f"mcwatch_{of}"})
