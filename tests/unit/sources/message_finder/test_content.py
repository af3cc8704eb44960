"""``identity: content``: windows come as one page each, and nothing of them twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mcwatch.domain.identity import Identity
from mcwatch.domain.page import FinderPage
from mcwatch.domain.window.coverage import Cover
from mcwatch.domain.window.ranges import Window
from mcwatch.simulator import FinderRules, Shape
from mcwatch.sources.message_finder import reader
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import HOUR, QUIET, SECOND, add, covered, owed, stopped, subjects
from tests.unit.sources.world import world

UNSTABLE = FinderRules(stable_ids=False, end_inclusive=False)


def with_rows(pages: list[FinderPage]) -> list[FinderPage]:
    """Return the pages that hold rows."""
    return [page for page in pages if page.rows]


async def test_a_window_is_one_page() -> None:
    """All pages of an answer whose count is told come as one, by content, and count as read."""
    async with world(replace(QUIET, rules=UNSTABLE, finder=Shape(page_cap=10))) as simulated:
        wanted = add(simulated, 25)
        stopped(simulated, timedelta(minutes=1))
        pages = await simulated.read(simulated.finder(identity="content", page_size=10))
        assert [] == owed(simulated, HOUR)
    (page,) = with_rows(pages)
    assert (Identity.CONTENT, 25, wanted) == (page.identity, len(page.rows), set(subjects(pages)))
    assert page.covered


async def test_pages_without_a_count_are_halved() -> None:
    """Where no count tells that no row stood on two pages, windows are halved until each fits one page."""
    shape = Shape(page_cap=10, total_count=False)
    async with world(replace(QUIET, rules=UNSTABLE, finder=shape)) as simulated:
        wanted = add(simulated, 25)
        pages = await simulated.read(simulated.finder(identity="content", page_size=10))
        assert [] == owed(simulated, HOUR)
    found = with_rows(pages)
    assert {Identity.CONTENT} == {page.identity for page in found}
    assert all(len(page.rows) < 10 for page in found)
    assert wanted == set(subjects(pages))


async def test_an_answer_too_large_to_keep_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than so many rows are kept at once, but for those of a single second; all of them come."""
    monkeypatch.setattr(reader, "_MOST_WHOLE", 20)
    async with world(replace(QUIET, rules=UNSTABLE, finder=Shape(page_cap=10))) as simulated:
        wanted = add(simulated, 65)
        simulated.simulator.add_mail(count=33, subject="burst", received_ago_secs=90)
        pages = await simulated.read(simulated.finder(identity="content", page_size=10))
        assert [] == owed(simulated, HOUR)
        assert [] == covered(simulated, Cover.INCOMPLETE)
    assert wanted | {"burst"} == set(subjects(pages))
    assert {START - 90 * SECOND} == {row.received_at for page in pages if len(page.rows) > 20 for row in page.rows}


async def test_a_second_is_taken_as_it_is() -> None:
    """A second that no answer shows as a whole is kept as far as it was shown, by content, and stays incomplete."""
    shape = Shape(page_cap=10, total_count=False, next_token=False)
    async with world(replace(QUIET, rules=UNSTABLE, finder=shape)) as simulated:
        simulated.simulator.add_mail(count=15, received_ago_secs=30)
        source = simulated.finder(identity="content", page_size=10)
        pages = await simulated.read(source)
        simulated.clock.advance(3700.0)
        pages += await simulated.read(source)
        second = START - 30 * SECOND
        assert [Window(second, second + 2 * SECOND)] == covered(simulated, Cover.INCOMPLETE)
    assert {Identity.CONTENT} == {page.identity for page in with_rows(pages)}
    assert {10} == {len(page.rows) for page in with_rows(pages)}
