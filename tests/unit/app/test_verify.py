"""The comparison of a past range with what was recorded, over a real store and the simulated API."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from mcwatch.cli.control import ask_on
from mcwatch.domain.backfill import ranges_of
from mcwatch.domain.errors import PermanentError
from mcwatch.domain.page import FinderPage
from mcwatch.domain.tally import Tally
from mcwatch.domain.verification import VerifiedStep, VerifyPlan, VerifyReport
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import Window
from mcwatch.simulator import Fault, FinderRules, Shape, SimulatorConfig
from mcwatch.sources import MessageFinderSource
from mcwatch.store.sqlite.reserve import Reserve
from tests.fakes.clock import START
from tests.unit.app.past import HIDDEN_CAP, HOUR, MINUTE, PLENTY, SECOND, TOLD_CAP, Past, past

LIFE = [[0.0, "accepted"], [600.0, "archived"]]


def figures(report: VerifyReport) -> tuple[int, ...]:
    """Return (read, known, changed, missing, not yet read) of the total."""
    total = report.total
    return total.rows, total.known, total.changed, total.missing, total.not_yet_read


async def mails(world: Past, minutes: int, **mail: object) -> None:
    """Let mails be received, one each minute, the last one a minute ago; poll once."""
    for number in range(minutes):
        world.simulator.add_mail(subject=f"mail {number}", received_ago_secs=60.0 * (minutes - number), **mail)
    await world.poll()


async def test_all_is_known(tmp_path: Path) -> None:
    """Right after a poll nothing is missing, every row counts once, and nothing is written."""
    async with past(tmp_path, max_window="20m") as world:
        await mails(world, 12)
        before = world.dump()
        report = await world.verify(world.ago(hours=1))
        assert before == world.dump()
    assert (12, 12, 0, 0, 0) == figures(report)
    assert "nothing is missing: 12 rows read, all known" == report.verdict
    assert (True, "acme", "to corp.example") == (report.complete, report.account, report.searches[0].search)


async def test_exactly_what_was_forgotten_is_missing(tmp_path: Path) -> None:
    """Named by time, status, event id and search, and by nothing else of the mail."""
    async with past(tmp_path) as world:
        await mails(world, 20)
        lost = [world.ago(minutes=3), world.ago(minutes=11)]
        world.forget(*lost)
        report = await world.verify(world.ago(hours=1))
    assert (20, 18, 0, 2, 0) == figures(report)
    assert sorted(lost) == [row.received_at for row in report.missing]
    assert {("accepted", "to corp.example")} == {(row.status, row.search) for row in report.missing}
    assert {"received_at", "status", "event_id", "search"} == set(report.missing[0].__struct_fields__)
    assert "2 messages are missing, of 20 rows read" == report.verdict


@pytest.mark.parametrize("identity", ["id", "content"])
async def test_repair_records_the_missing_alone(tmp_path: Path, identity: str) -> None:
    """Their events have the ids that were reported, and the next comparison is clean."""
    rules = FinderRules(stable_ids=identity == "id")
    config = SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, quota=PLENTY, rules=rules)
    async with past(tmp_path, config, identity=identity, max_window="15m") as world:
        await mails(world, 20, life=LIFE, count=2)
        world.clock.advance(590.0)
        world.forget(START - 15 * MINUTE, START - 2 * MINUTE)
        report = await world.verify(world.ago(hours=1), repair=True)
        again = await world.verify(world.ago(hours=1))
        events = world.events()
        rows = await world.application.store.read(1, 40, 1_000_000)
        ids = {json.loads(line)["event_id"] for row in rows for line in (row.lines or b"").split(b"\n")[:-1]}
    changed = figures(report)[2]
    assert (40, 36 - changed, changed, 4, 0) == figures(report)
    assert changed > 0
    assert "4 messages were missing, 4 recorded now, of 40 rows read" == report.verdict
    assert (44, 4) == (events, report.total.repaired)
    assert {row.event_id for row in report.missing} == ids
    assert (40, 40 - changed, changed, 0, 0) == figures(again)


async def test_a_row_later_than_every_look_is_missing(tmp_path: Path) -> None:
    """Its time had been read when it was not there yet."""
    async with past(tmp_path) as world:
        await mails(world, 5)
        world.clock.advance(3 * 3600.0)
        await world.poll()
        world.simulator.add_mail(subject="late", received_ago_secs=2.5 * 3600.0)
        report = await world.verify(world.ago(hours=4))
    assert (6, 5, 0, 1, 0) == figures(report)
    assert [world.ago(hours=2.5)] == [row.received_at for row in report.missing]


async def test_a_change_of_status_is_no_loss(tmp_path: Path) -> None:
    """The mail is known, its new state is yet to be looked for."""
    async with past(tmp_path) as world:
        await mails(world, 3, life=[[0.0, "accepted"], [7_200.0, "archived"]])
        world.clock.advance(3_600.0)
        await world.poll()
        world.clock.advance(7_200.0)
        await world.poll()
        report = await world.verify(world.ago(hours=4))
    assert (3, 0, 3, 0, 0) == figures(report)
    assert "nothing is missing: 3 rows read, 0 known, 3 changed since" == report.verdict
    assert report.complete


async def test_what_had_not_been_read_is_not_missing(tmp_path: Path) -> None:
    """Its ranges are listed, its rows counted, and the rest is judged."""
    async with past(tmp_path) as world:
        world.simulator.add_mail(subject="before all", received_ago_secs=3 * 3600.0)
        await mails(world, 5)
        report = await world.verify(world.ago(hours=4))
    assert (6, 5, 0, 0, 1) == figures(report)
    assert not report.complete
    [unread] = report.searches[0].not_yet_read
    assert (world.ago(hours=4), world.ago(hours=2)) == (unread.start, unread.end)
    assert "nothing is missing: 5 rows read, all known; a part of the range could not be judged" == report.verdict


async def test_nothing_read_is_nothing_judged(tmp_path: Path) -> None:
    """A range that was never polled gets no clean bill."""
    async with past(tmp_path) as world:
        world.simulator.add_mail(received_ago_secs=3 * 3600.0)
        report = await world.verify(world.ago(hours=4), world.ago(hours=3, minutes=-30))
    assert (1, 0, 0, 0, 1) == figures(report)
    assert report.verdict.startswith("nothing could be judged")


async def test_a_mail_of_two_searches_counts_once(tmp_path: Path) -> None:
    """In the total; each search has its own line."""
    searches = [{"to": "corp.example"}, {"from": "partner.example"}]
    async with past(tmp_path, searches=searches) as world:
        await mails(world, 4)
        world.forget(world.ago(minutes=2))
        reports = [await world.verify(world.ago(hours=1), repair=repair) for repair in (False, True)]
    for report in reports:
        assert (4, 3, 0, 1, 0) == figures(report)
        assert [4, 4] == [one.counts.rows for one in report.searches]
        assert 1 == len(report.missing)
    assert [1, 0] == [one.counts.repaired for one in reports[1].searches]


async def test_a_second_that_is_not_shown_whole_cannot_be_verified(tmp_path: Path) -> None:
    """It is listed, and what is shown of it is judged all the same."""
    shape = Shape(total_count=False, page_cap=50, next_token=False)
    config = SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, quota=PLENTY, finder=shape)
    async with past(tmp_path, config, page_size=50) as world:
        world.simulator.add_mail(count=60, received_ago_secs=600.0)
        await mails(world, 5)
        report = await world.verify(world.ago(hours=1))
    assert 0 == report.total.missing
    assert not report.complete
    [unsure] = report.searches[0].unverifiable
    full = START - 10 * MINUTE
    assert full - SECOND <= unsure.start <= full < unsure.end <= full + 2 * SECOND


async def test_rows_that_cannot_be_decoded_are_known_by_their_bytes(tmp_path: Path) -> None:
    """One that was not recorded is missing, has neither time nor status, and repaired becomes a dead letter."""
    async with past(tmp_path) as world:
        await mails(world, 2)
        world.simulator.script(Fault("odd_rows", endpoint="finder"))
        report = await world.verify(world.ago(hours=1), repair=True)
        letters = await world.letters()
    assert (2, 6) == (report.total.known, report.total.missing)
    assert {(None, None)} == {(row.received_at, row.status) for row in report.missing}
    assert 6 == len(letters) == report.total.repaired


async def test_a_closed_quota_is_waited_for(tmp_path: Path) -> None:
    """The step goes on when it opens again."""
    async with past(tmp_path) as world:
        await mails(world, 5)
        world.simulator.script(*[Fault("throttle", endpoint="finder", after_secs=120.0)] * 3)
        before = world.clock.monotonic()
        report = await world.verify(world.ago(hours=1))
        assert world.clock.monotonic() > before
    assert (5, 5, 0, 0, 0) == figures(report)


async def test_the_end_of_a_range_up_to_now_is_where_the_polls_are(tmp_path: Path) -> None:
    """What no poll has come to yet is left to them, and said."""
    async with past(tmp_path) as world:
        await mails(world, 5)
        polled_at = world.ago()
        world.clock.advance(90.0)
        report = await world.verify(world.ago(hours=1))
    assert polled_at == report.end
    assert report.complete
    assert any("is still being polled" in line for line in report.notes)


async def test_late_mail_that_the_next_poll_reads_is_not_missing_yet(tmp_path: Path) -> None:
    """The overlap is there for it: a range up to now ends before it."""
    async with past(tmp_path, overlap="5m") as world:
        await mails(world, 12)
        polled_at = world.ago()
        world.simulator.add_mail(subject="late", received_ago_secs=30.0)
        report = await world.verify(world.ago(hours=1))
        assert report.complete
        assert polled_at - timedelta(minutes=5) == report.end
        assert 0 == report.total.missing


@pytest.mark.parametrize(
    ("account", "hours", "words", "remedy"),
    [
        ("acne", 1.0, "there is no account 'acne'", "did you mean acme?"),
        ("queue-only", 1.0, "has no message_finder", "type message_finder"),
        ("acme", 28.0 * 24, "too long ago: the API shows no older mail", "begin at 2025-12-08"),
        ("acme", 0.0, "it must begin before it ends", "--from before --to"),
    ],
)
async def test_what_cannot_be_verified_is_refused(
    tmp_path: Path, account: str, hours: float, words: str, remedy: str
) -> None:
    """With what to do about it."""
    async with past(tmp_path) as world:
        request = world.request(world.ago(hours=hours))
        with pytest.raises(PermanentError, match=words) as refused:
            await world.ask("/verify/plan", object, msgspec.structs.replace(request, account=account))
    assert remedy in refused.value.remedy


async def test_ids_that_do_not_last_are_said(tmp_path: Path) -> None:
    """The rows look missing, and the note says what they may be and what to do."""
    rules = FinderRules(stable_ids=False)
    config = SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, quota=PLENTY, rules=rules)
    async with past(tmp_path, config) as world:
        await mails(world, 5)
        report = await world.verify(world.ago(hours=1))
    assert 5 == report.total.missing
    assert "5 times a row looked like a recorded one under another id" in report.notes[-1]
    assert "identity: content" in report.notes[-1]


async def test_a_history_shorter_than_expected_is_said(tmp_path: Path) -> None:
    """With what to do about it."""
    rules = FinderRules(history_days=7)
    config = SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, quota=PLENTY, rules=rules)
    async with past(tmp_path, config) as world:
        with pytest.raises(PermanentError, match="before the API's history") as refused:
            await world.verify(world.ago(days=10), world.ago(days=9))
    assert "begin the range later" in refused.value.remedy


async def test_a_window_of_several_pages_is_compared_page_by_page(tmp_path: Path) -> None:
    """However small the windows and pages, each row counts once."""
    async with past(tmp_path, max_window=f"{int(HOUR.total_seconds())}s", page_size=10) as world:
        await mails(world, 45)
        world.forget(world.ago(minutes=7))
        report = await world.verify(world.ago(hours=1, minutes=30))
    assert (45, 44, 0, 1, 0) == figures(report)
    assert MINUTE < report.end - report.start


async def test_windows_that_should_not_have_been_believed_could_not_be_verified(tmp_path: Path) -> None:
    """Whatever a backfill learns meanwhile, which takes nothing from what polls had read."""
    async with past(tmp_path, HIDDEN_CAP, max_window="30m") as world:
        start, end = world.ago(hours=6), world.ago(hours=4)
        for number in range(240):
            world.simulator.add_mail(subject=f"mail {number}", received_ago_secs=6 * 3600.0 - 30.0 * number - 1.0)
        await world.count_as_read(start, end)
        before = await world.coverage()
        plan = await world.ask("/verify/plan", VerifyPlan, world.request(start, end - HOUR / 2))
        tally = Tally(plan, repair=False)
        first, second, third = tally.steps()
        for step in (first, second):
            tally.add(step, await world.ask("/verify", VerifiedStep, step))
        await world.backfill(await world.plan_backfill(end - HOUR / 2, end))
        after = await world.coverage()
        tally.add(third, await world.ask("/verify", VerifiedStep, third))
        report = tally.report()
    assert before == after
    assert ranges_of([Window(start, start + HOUR)]) == report.searches[0].unverifiable
    assert not report.complete


async def test_a_long_step_is_done_in_parts(tmp_path: Path) -> None:
    """Each is answered after about a minute, and a row counts once however often it was shown."""
    async with past(tmp_path, TOLD_CAP, max_window="2h") as world:
        await mails(world, 100)
        world.forget(world.ago(minutes=1))
        plan = await _plan(world)
        tally = Tally(plan, repair=True)
        world.simulator.script(*[Fault("throttle", endpoint="finder", after_secs=120.0)] * 2)
        [step] = tally.steps()
        answers = []
        async for part, found in ask_on(world, "/verify", VerifiedStep, step):
            answers.append(found)
            tally.add(part, found)
        report = tally.report()
    assert 2 <= len(answers)
    assert step.end == answers[0].rest[-1].end
    assert (100, 99, 0, 1, 0) == figures(report)
    assert (100, 1) == (report.searches[0].counts.rows, report.total.repaired)
    assert report.complete


async def test_what_an_earlier_part_of_a_window_believed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doubts within a window keep nothing of it from being verified, however it was parted."""
    async with past(tmp_path, max_window="2h") as world:
        await world.poll()
        step = next(Tally(plan := await _plan(world), repair=False).steps())
        first, second, third, fourth = step.window.pieces((step.end - step.start) / 4)
        at = world.ago()

        def page(read: Window, *doubted: Window) -> FinderPage:
            spans = [Span(one.start, one.end, Cover.UNREAD, at) for one in doubted]
            return FinderPage(rows=(), covered={step.search: [*spans, Span(read.start, read.end, Cover.READ, at)]})

        answers = [[page(first)], [page(second, first), page(third)], [page(first)], [page(fourth)]]
        asked = []

        async def read_range(_: object, __: object, window: Window, ___: object) -> AsyncIterator[FinderPage]:
            asked.append(window)
            world.clock.advance(61.0)
            for one in answers[len(asked) - 1]:
                yield one

        monkeypatch.setattr(MessageFinderSource, "read_range", read_range)
        tally = Tally(plan, repair=False)
        async for part, found in ask_on(world, "/verify", VerifiedStep, step):
            tally.add(part, found)
        report = tally.report()
    assert [step.window, Window(second.start, step.end), first, fourth] == asked
    assert report.complete


async def _plan(world: Past) -> VerifyPlan:
    return await world.ask("/verify/plan", VerifyPlan, world.request(world.ago(hours=1, minutes=56)))


async def test_a_full_disk_does_not_keep_from_comparing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For nothing is written."""
    async with past(tmp_path) as world:
        await mails(world, 5)
        monkeypatch.setattr(Reserve, "take_back", lambda *_: False)
        world.application.store._threads.full = True
        report = await world.verify(world.ago(hours=1))
    assert (5, 5, 0, 0, 0) == figures(report)
