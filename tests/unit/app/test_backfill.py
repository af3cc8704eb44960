"""Reading a past range again, over a real store and the simulated API."""

from datetime import datetime
from pathlib import Path

import pytest

from mcwatch.domain.backfill import BackfilledStep, ranges_of
from mcwatch.domain.errors import PermanentError, StoreUnavailable, TransientError
from mcwatch.domain.status import RangeStatus
from mcwatch.domain.verification import VerifiedStep, VerifyStep
from mcwatch.domain.window.coverage import Cover, windows_of
from mcwatch.domain.window.ranges import Window, merged
from mcwatch.pipeline.backpressure import Backpressure
from mcwatch.simulator import Fault
from tests.fakes.clock import START
from tests.unit.app.past import HIDDEN_CAP, HOUR, MINUTE, TOLD_CAP, Past, past

_STEPS = "30m"


def old_mails(world: Past, count: int, oldest_secs: float = 6 * 3600.0) -> None:
    """Let mails be received that the first poll does not look back to, a minute apart."""
    for number in range(count):
        world.simulator.add_mail(subject=f"old {number}", received_ago_secs=oldest_secs - 60.0 * number)


def new_rows(steps: list[BackfilledStep]) -> int:
    """Return how many rows became events."""
    return sum(step.counts.new for step in steps)


async def test_what_is_new_becomes_events_and_the_range_is_covered(tmp_path: Path) -> None:
    """Once: another run reads it all again and finds nothing new."""
    async with past(tmp_path, max_window=_STEPS) as world:
        old_mails(world, 10)
        await world.poll()
        before = world.events()
        start, end = world.ago(hours=7), world.ago(hours=1)
        done = await world.backfill(await world.plan_backfill(start, end))
        again = await world.backfill(await world.plan_backfill(start, end))
        report = await world.verify(start, end)
        appended = world.events() - before
    assert (10, 0) == (new_rows(done), new_rows(again))
    assert 10 <= sum(step.counts.known for step in again)
    assert 10 == appended
    assert (12, True) == (len(done), done[-1].finished)
    assert (0, 10, True) == (report.total.missing, report.total.known, report.complete)


async def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    """At the window where it stopped, also when the range has moved with the time; finished, it leaves no cursor."""
    async with past(tmp_path, max_window="1h") as world:
        plan = await world.plan_backfill(world.ago(hours=6))
        await world.backfill(plan, 2)
        assert [name for name in world.cursors() if name.startswith("backfill:")]
        world.clock.advance(300.0)
        rest = await world.plan_backfill(world.ago(hours=6))
        anew = len((await world.plan_backfill(world.ago(hours=6), anew=False)).steps)
        await world.backfill(rest)
        left = [name for name in world.cursors() if name.startswith("backfill:")]
        after = await world.plan_backfill(world.ago(hours=6))
    assert [] == plan.notes
    assert plan.steps[2].start == rest.steps[0].start
    assert "goes on at 2026-01-05T05:30:00Z, where an earlier run stopped" in rest.notes[0]
    assert len(rest.steps) == anew == 5
    assert [] == left
    assert (6, []) == (len(after.steps), after.notes)


async def test_a_run_begun_anew_or_long_ago_reads_everything(tmp_path: Path) -> None:
    """With --anew, and when the interrupted run is more than a day old."""
    async with past(tmp_path, max_window="1h") as world:
        start, end = world.ago(hours=6), world.ago()
        await world.backfill(await world.plan_backfill(start, end), 2)
        assert 4 == len((await world.plan_backfill(start, end)).steps)
        assert 6 == len((await world.plan_backfill(start, end, anew=True)).steps)
        await world.backfill(await world.plan_backfill(start, end), 2)
        world.clock.advance(25 * 3600.0)
        old = await world.plan_backfill(start, end)
        await world.backfill(old)
        left = [name for name in world.cursors() if name.startswith("backfill:")]
    assert (6, [], []) == (len(old.steps), old.notes, left)


async def test_a_run_that_was_interrupted_at_its_very_end_is_done(tmp_path: Path) -> None:
    """Nothing is left to read, which is said once."""
    async with past(tmp_path, max_window="1h", searches=[{"to": "corp.example"}, {"from": "corp.example"}]) as world:
        start, end = world.ago(hours=2), world.ago(hours=1)
        plan = await world.plan_backfill(start, end)
        first, second = plan.steps
        await world.ask("/backfill", BackfilledStep, first)
        feed = await world.application.store.feed("acme", "message_finder")
        progress = await world.application.store.progress(feed)
        assert (await world.ask("/backfill", BackfilledStep, second)).finished
        cursors = {name: value for name, value in progress.cursors.items() if name.startswith("backfill:")}
        [(name, value)] = cursors.items()
        other = b'"done":{"to=corp.example":[{"start":"%s","end":"%s"}],' % _bounds(start, end)
        both = value.replace(b'"done":{', other)
        await world.application.store.commit_page(feed, lambda transaction: transaction.set_cursor(name, both))
        said = await world.plan_backfill(start, end)
        again = await world.plan_backfill(start, end)
    assert ([], 1) == (said.steps, len(said.notes))
    assert "had read all of this range" in said.notes[0]
    assert 2 == len(again.steps)


def _bounds(start: datetime, end: datetime) -> tuple[bytes, bytes]:
    return start.isoformat().encode(), end.isoformat().encode()


async def test_an_end_to_come_is_cut(tmp_path: Path) -> None:
    """To now, with a note."""
    async with past(tmp_path) as world:
        plan = await world.plan_backfill(world.ago(hours=1), world.ago(hours=-1))
    assert START + HOUR > plan.end >= START
    assert "has not come yet: the range ends now" in plan.notes[0]


async def test_fingerprints_no_longer_kept_bound_the_range(tmp_path: Path) -> None:
    """Older rows would come again as new events."""
    async with past(tmp_path, keep="5h") as world:
        with pytest.raises(PermanentError, match="older fingerprints are no longer kept") as refused:
            await world.plan_backfill(world.ago(hours=6))
        assert 1 == len((await world.plan_backfill(world.ago(hours=5) + MINUTE)).steps)
    assert "begin at 2026-01-05T04:32:00Z or later" == refused.value.remedy


async def test_an_api_that_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    """Only for what is left of the window; one that goes on failing ends the step, and what was read stays read."""
    async with past(tmp_path, max_window="1h") as world:
        old_mails(world, 5)
        world.simulator.script(*[Fault("error_html", endpoint="finder", status=503)] * 6)
        plan = await world.plan_backfill(world.ago(hours=7))
        done = await world.backfill(plan, 2)
        world.simulator.script(*[Fault("error_html", endpoint="finder", status=503)] * 100)
        with pytest.raises(TransientError):
            await world.ask("/backfill", BackfilledStep, plan.steps[2])
        world.simulator.faults.clear()
        rest = await world.plan_backfill(world.ago(hours=7))
    assert 5 == new_rows(done)
    assert plan.steps[2].start == rest.steps[0].start


async def test_a_full_backlog_is_said_where_nobody_delivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting would be for ever."""
    async with past(tmp_path) as world:
        old_mails(world, 1)
        plan = await world.plan_backfill(world.ago(hours=7))
        monkeypatch.setattr(Backpressure, "holds", lambda *_: True)
        with pytest.raises(StoreUnavailable, match="no more events can be kept") as refused:
            await world.backfill(plan)
    assert "mcwatch run" in refused.value.remedy


async def test_a_full_backlog_is_waited_for_where_destinations_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page."""
    async with past(tmp_path, serves=True) as world:
        old_mails(world, 1)
        plan = await world.plan_backfill(world.ago(hours=7))
        answers = [True, True, False]
        monkeypatch.setattr(Backpressure, "holds", lambda *_: answers.pop(0) if answers else False)
        done = await world.backfill(plan)
        waits = world.clock.sleeps.count(1.0)
    assert (1, 2) == (new_rows(done), waits)


async def test_searches_that_have_changed_are_said(tmp_path: Path) -> None:
    """A step of a search that is gone asks for a new plan."""
    async with past(tmp_path) as world:
        step = VerifyStep(
            account="acme",
            search="gone",
            start=START - HOUR,
            end=START,
            whole=RangeStatus(START - HOUR, START),
            covered=[],
        )
        with pytest.raises(PermanentError, match="searches have changed") as refused:
            await world.ask("/verify", VerifiedStep, step)
    assert "run the same command again" == refused.value.remedy


async def test_unknown_domains_are_said(tmp_path: Path) -> None:
    """Before they are discovered there is nothing to search for."""
    async with past(tmp_path, searches=[], domains="discover") as world:
        with pytest.raises(PermanentError, match="are not known yet") as refused:
            await world.plan_backfill(world.ago(hours=1))
    assert "domains" in refused.value.remedy


async def test_what_polls_have_read_stays_read(tmp_path: Path) -> None:
    """A cap that a backfill finds takes back only what the backfill alone had let pass for read."""
    async with past(tmp_path, HIDDEN_CAP, max_window="30m") as world:
        start, end = world.ago(hours=6), world.ago(hours=4)
        for number in range(240):
            world.simulator.add_mail(subject=f"mail {number}", received_ago_secs=6 * 3600.0 - 30.0 * number - 1.0)
        await world.count_as_read(start, start + HOUR / 2)
        plan = await world.plan_backfill(start, end)
        await world.backfill(plan, 3)
        read = merged(windows_of(await world.coverage(), Cover.READ))
        cursors = world.cursors()
        await world.backfill(plan)
        after = merged(windows_of(await world.coverage(), Cover.READ))
    assert [Window(start, start + HOUR / 2), Window(start + HOUR, start + 1.5 * HOUR)] == read
    assert [Window(start, end)] == after
    assert ["backfill:"] == [name[:9] for name in cursors]


async def test_a_long_step_is_answered_in_parts(tmp_path: Path) -> None:
    """After about a minute, when something was read, with what is left of the window."""
    async with past(tmp_path, TOLD_CAP, max_window="2h") as world:
        old_mails(world, 100)
        plan = await world.plan_backfill(world.ago(hours=6, minutes=1), world.ago(hours=4, minutes=1))
        world.simulator.script(Fault("throttle", endpoint="finder", after_secs=120.0))
        [step] = plan.steps
        first = await world.ask("/backfill", BackfilledStep, step)
        done = [first]
        while not done[-1].finished:
            done += await world.backfill(await world.plan_backfill(plan.start, plan.end))
    [rest] = first.rest
    assert step.start < rest.start < rest.end == step.end
    assert 100 == new_rows(done)
    assert not first.finished


async def test_a_full_backlog_ends_a_step_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a request, and with all of the window left."""
    async with past(tmp_path, serves=True) as world:
        plan = await world.plan_backfill(world.ago(hours=7))
        monkeypatch.setattr(Backpressure, "holds", lambda *_: True)
        requests = world.simulator.stats.requests.total()
        began = world.clock.monotonic()
        done = await world.ask("/backfill", BackfilledStep, plan.steps[0])
        took_secs = world.clock.monotonic() - began
    assert ranges_of([plan.steps[0].window]) == done.rest
    assert requests == world.simulator.stats.requests.total()
    assert 60.0 <= took_secs < 70.0
