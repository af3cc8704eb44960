"""Bad times, through the whole wired daemon in virtual time: outages, long stops, wrong clocks, odd days."""

import time
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime

import pytest

from mcwatch.simulator import Fault, SimulatorConfig
from mcwatch.simulator.config import AccountConfig
from tests.virtual.daemon import Span
from tests.virtual.loop import run_virtually
from tests.virtual.scene import DAY, HOUR, MINUTE, MONDAY, Plan, Scene, scene

pytestmark = pytest.mark.timeout(180)

_HISTORY_SECS = 28 * DAY


def _plan(start: datetime = MONDAY, *, mails_per_minute: float = 1.0, requests_per_minute: int = 120) -> Plan:
    """Return a plan without faults, so that what is promised is promised to the second."""
    config = SimulatorConfig(
        accounts=(AccountConfig(domains=("corp.example",)),),
        seed=7,
        mails_per_minute=mails_per_minute,
        history_secs=DAY,
        dwell_secs=20.0,
        appearance_secs=10.0,
    )
    return Plan(config, start, requests_per_minute=requests_per_minute, receiver_failing_share=0.0)


def _tell(figures: Coroutine[object, object, str]) -> None:
    print(run_virtually(figures))


async def _judged(run: Scene) -> str:
    """Check what holds after bad times as ever; return the figures."""
    run.assert_all_shown_arrived()
    await run.assert_figures_add_up()
    await run.assert_covered()
    promised = run.assert_promises_kept()
    assert promised
    return f"{promised} states promised and delivered; {run.figures()}"


@pytest.mark.parametrize("refused", ["connections", "requests"])
def test_an_hour_without_the_api(refused: str) -> None:
    """What was shown after an outage of an hour arrives, and the lag tells of the outage while it lasts."""

    async def main() -> str:
        async with scene(_plan()) as run:
            await run.daemon.start()
            await run.run_for(3 * HOUR)
            if refused == "connections":
                async with run.outage():
                    await run.run_for(HOUR)
                    assert run.lag_secs() > 0.9 * HOUR
            else:
                async with run.refusals():
                    run.simulator.script(Fault("error_html", times=1_000_000, status=503))
                    await run.run_for(HOUR)
                    assert run.lag_secs() > 0.9 * HOUR
                    run.simulator.faults.clear()
            over_at = run.clock.true_secs()
            caught_up_at = await run.settle(HOUR)
            assert run.assert_still_shown_arrived(over_at - HOUR, over_at, caught_up_at)
            await run.run_for(3 * HOUR)
            run.assert_no_gap()
            return await _judged(run)

    _tell(main())


def test_a_week_long_stop() -> None:
    """After a week's stop all that is still shown arrives, and the newest mail before the oldest is caught up."""

    async def main() -> str:
        async with scene(_plan(requests_per_minute=4)) as run:
            await run.daemon.start()
            await run.run_for(DAY)
            await run.daemon.stop()
            await run.run_for(7 * DAY)
            started_at = run.clock.true_secs()
            await run.daemon.start()
            await run.run_for(2 * run.plan.interval)
            newest = [one for one in run.receiver.arrivals.values() if one.received_at >= started_at - 5 * MINUTE]
            assert newest, "the newest mail is not there within two intervals"
            assert run.lag_secs() > DAY, "catching up was too quick to tell which came first"
            caught_up_at = await run.settle(DAY)
            assert run.assert_still_shown_arrived(started_at - 7 * DAY, started_at, caught_up_at) > 5000
            # Rescans come after catching up in the order of service.
            run.outages.append(Span(started_at, caught_up_at))
            await run.run_for(DAY)
            run.assert_no_gap()
            return await _judged(run)

    _tell(main())


def test_a_stop_beyond_the_history_of_the_api() -> None:
    """After a stop of 35 days the part beyond the API's history is a recorded gap, and the rest arrives."""

    async def main() -> str:
        async with scene(_plan(mails_per_minute=0.2)) as run:
            await run.daemon.start()
            await run.run_for(DAY)
            await run.daemon.stop()
            await run.run_for(35 * DAY)
            started_at = run.clock.true_secs()
            await run.daemon.start()
            caught_up_at = await run.settle(DAY)
            oldest = started_at - _HISTORY_SECS + HOUR
            assert run.assert_still_shown_arrived(oldest, started_at, caught_up_at) > 5000
            searches = 2 * len(run.simulator.config.accounts[0].domains)
            lost_secs = 35 * DAY - _HISTORY_SECS
            assert lost_secs <= run.daemon.total_gap_secs() <= searches * (lost_secs + HOUR)
            run.assert_all_shown_arrived()
            await run.assert_figures_add_up()
            await run.assert_covered()
            return run.figures()

    _tell(main())


@pytest.mark.parametrize("jumps_hours", [(6, -6), (-6, 6), (6, 6), (-6, -6)])
def test_this_machines_clock_is_set_while_running(jumps_hours: tuple[int, int]) -> None:
    """Setting the clock by six hours, forward or back, loses nothing and makes no gap."""

    async def main() -> str:
        async with scene(_plan()) as run:
            await run.daemon.start()
            for hours in jumps_hours:
                await run.run_for(5 * HOUR)
                run.clock.jump(hours * HOUR)
            await run.run_for(5 * HOUR)
            await run.settle(HOUR)
            run.assert_no_gap()
            return await _judged(run)

    _tell(main())


def test_this_machines_clock_is_set_while_stopped() -> None:
    """A daemon that wakes up with a clock six hours wrong reads by the API's."""

    async def main() -> str:
        async with scene(_plan()) as run:
            await run.daemon.start()
            for hours in (6, -12, 6):
                await run.run_for(3 * HOUR)
                await run.daemon.stop()
                run.clock.jump(hours * HOUR)
                await run.run_for(HOUR)
                await run.daemon.start()
            await run.run_for(3 * HOUR)
            await run.settle(HOUR)
            run.assert_no_gap()
            return await _judged(run)

    _tell(main())


@pytest.fixture
def _time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Live in another time zone for a test."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_time_zone")
@pytest.mark.parametrize(
    ("_time_zone", "switch"),
    [
        ("Europe/London", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("Europe/London", datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ],
    indirect=["_time_zone"],
)
def test_a_change_of_daylight_saving_time(switch: datetime) -> None:
    """Across a change of the machine's local time, and a restart just before it, nothing is lost."""
    before, after = (time.localtime(switch.timestamp() + secs).tm_isdst for secs in (-1, 1))
    assert before != after, "the machine lacks the time zone's rules"

    async def main() -> str:
        async with scene(_plan(switch.fromtimestamp(switch.timestamp() - 8 * HOUR, UTC))) as run:
            await run.daemon.start()
            await run.run_for(7.5 * HOUR)
            await run.daemon.stop()
            await run.daemon.start()
            await run.run_for(8.5 * HOUR)
            await run.settle(HOUR)
            run.assert_no_gap()
            return await _judged(run)

    _tell(main())


def test_a_leap_day() -> None:
    """The 29th of February is a day like any other."""

    async def main() -> str:
        async with scene(_plan(datetime(2028, 2, 28, 12, tzinfo=UTC))) as run:
            await run.daemon.start()
            await run.run_for(DAY)
            await run.daemon.kill()
            await run.daemon.start()
            await run.run_for(DAY)
            await run.settle(HOUR)
            run.assert_no_gap()
            leap_day = datetime(2028, 2, 29, tzinfo=UTC).timestamp()
            assert any(leap_day <= one.received_at < leap_day + DAY for one in run.receiver.arrivals.values())
            return await _judged(run)

    _tell(main())
