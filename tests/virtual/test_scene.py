"""The checks of a run can fail."""

import pytest

from mcwatch.simulator import Fault, SimulatorConfig
from tests.virtual.loop import run_virtually
from tests.virtual.scene import HOUR, Plan, Scene, scene

pytestmark = pytest.mark.timeout(30)


def _plan(interval: float = 300.0) -> Plan:
    config = SimulatorConfig(seed=3, mails_per_minute=2.0, history_secs=HOUR, speed=20.0, odd_share=0.0)
    return Plan(config, interval=interval, overlap=HOUR, initial_look_back=HOUR)


async def _three_hours(run: Scene) -> None:
    await run.daemon.start()
    await run.run_for(3 * HOUR)
    await run.settle(HOUR)


def test_a_run_in_which_nothing_went_wrong_passes() -> None:
    """The checks accept what is right."""

    async def main() -> None:
        async with scene(_plan()) as run:
            await _three_hours(run)
            run.assert_all_shown_arrived()
            await run.assert_figures_add_up()
            assert run.assert_promises_kept() > 300

    run_virtually(main())


def test_an_event_that_was_lost_is_missed() -> None:
    """Every one of the checks notices a single event that has not arrived."""

    async def main() -> None:
        async with scene(_plan()) as run:
            await _three_hours(run)
            run.assert_promises_kept()
            lost = next(
                event_id
                for event_id, one in run.receiver.arrivals.items()
                if one.kind == "message.changed" and one.row is not None and one.row[2] == "archived"
            )
            del run.receiver.arrivals[lost]
            with pytest.raises(AssertionError, match="1 rows were shown"):
                run.assert_all_shown_arrived()
            with pytest.raises(AssertionError, match="LACKS archived"):
                run.assert_promises_kept()
            with pytest.raises(AssertionError):
                await run.assert_figures_add_up()

    run_virtually(main())


def test_a_state_nobody_asked_for_in_time_is_missed() -> None:
    """What was never shown, because the daemon looked too rarely, is missed all the same."""

    async def main() -> None:
        async with scene(_plan(interval=2 * HOUR)) as run:
            await _three_hours(run)
            run.plan = _plan()
            run.assert_all_shown_arrived()
            with pytest.raises(AssertionError, match="LACKS"):
                run.assert_promises_kept()

    run_virtually(main())


def test_a_poll_that_fails_is_taken_note_of() -> None:
    """Answers stalled for longer than a request may take fail a poll; what was due in it is promised all the same."""

    async def main() -> None:
        async with scene(_plan()) as run:
            await run.daemon.start()
            await run.run_for(HOUR)
            run.simulator.script(Fault("stall", times=2, endpoint="finder"))
            await run.run_for(2 * HOUR)
            await run.settle(HOUR)
            [failed] = run.failed_polls
            assert 60.0 <= failed.ended_at - failed.began_at < 90.0
            assert 2 == len(run.up(*run.failed_polls))
            run.assert_all_shown_arrived()
            assert run.assert_promises_kept() > 300

    run_virtually(main())


def test_a_kill_leaves_the_store_as_a_crash_does() -> None:
    """After a kill amid an answer the daemon goes on from the last commit, and repeats have the same bytes."""

    async def main() -> None:
        async with scene(_plan()) as run:
            await run.daemon.start()
            await run.run_for(HOUR)
            await run.witness.next_answer()
            await run.daemon.kill()
            await _three_hours(run)
            run.assert_all_shown_arrived()
            await run.assert_figures_add_up()
            assert 2 == len(run.daemon.ran())

    run_virtually(main())
