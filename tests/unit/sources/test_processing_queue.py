"""The processing queue against the simulator: snapshots, and when they are complete."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest

from mcwatch.domain.errors import PermanentError, TransientError
from mcwatch.domain.event import QUEUE, prefix
from mcwatch.domain.lifecycle.queue import entry_key
from mcwatch.domain.page import FeedProgress, QueuePage
from mcwatch.domain.status import QueueReading
from mcwatch.simulator import Fault, Shape, SimulatorConfig
from mcwatch.sources.processing_queue import ProcessingQueueConfig
from tests.fakes.clock import START
from tests.unit.sources.world import World, world

QUIET = SimulatorConfig.quiet()
FEED = prefix("acme", QUEUE)
BOTH = ["processing", "bulk_processing"]


def add(simulated: World, count: int, queue: str = "processing") -> None:
    """Put mails into a queue, received one per second, the last one just now."""
    for number in range(count):
        simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=count - number - 1, life=[[0, queue]])


def present(pages: list[QueuePage]) -> list[int | None]:
    """Return how many entries each page says are there, None where it does not say."""
    return [None if page.present is None else len(page.present) for page in pages]


async def test_a_snapshot() -> None:
    """One page with all entries says which are there, by the keys the rule uses."""
    async with world() as simulated:
        add(simulated, 3)
        (page,) = await simulated.snapshot(simulated.queue(gone_after=4))
    assert ("processing", 4, ()) == (page.queue, page.gone_after, tuple(page.unreadable))
    assert frozenset(entry_key(FEED, "processing", row) for row in page.rows) == page.present
    assert ["mail 2", "mail 1", "mail 0"] == [row.subject for row in page.rows]


async def test_an_ordinary_page_takes_the_fast_path() -> None:
    """Entries as documented are decoded at once, the one recipient as a list, and with all they said."""
    async with world() as simulated:
        life = [{"after_secs": 0, "queue": "processing", "attempts": 2, "info": "scanning", "locked_for_secs": 30}]
        simulated.simulator.add_mail(size=48211, life=life)
        (page,) = await simulated.snapshot(simulated.queue())
        assert [True] == [answer.items is not None for answer in simulated.client.answers]
    (row,) = page.rows
    assert (2, "scanning", 48211, "normal", msgspec.UNSET) == (
        row.attempts,
        row.info,
        row.size,
        row.priority,
        row.extra,
    )
    assert (START, START + timedelta(seconds=30), None) == (row.created_at, row.locked_until, row.received_at)
    assert row.to is not None
    assert ["amy.adams@corp.example"] == [entry.address for entry in row.to]


async def test_several_recipients_and_other_spellings() -> None:
    """A list of recipients is read beside the usual object."""
    async with world() as simulated:
        simulated.simulator.add_mail(to=["a@corp.example", "b@corp.example"], life=[[0, "processing"]])
        add(simulated, 1)
        (page,) = await simulated.snapshot(simulated.queue())
    assert [1, 2] == sorted(len(row.to or ()) for row in page.rows)


async def test_each_queue_is_asked_for() -> None:
    """Both queues are read, each with a request of its own, and an id in one is not in the other."""
    async with world() as simulated:
        add(simulated, 1)
        add(simulated, 2, "bulk_processing")
        pages = await simulated.snapshot(simulated.queue(queues=BOTH))
        assert [{"type": queue} for queue in BOTH] == simulated.client.asked
    assert list(zip(BOTH, [1, 2], strict=True)) == [(page.queue, len(page.rows)) for page in pages]


async def test_an_empty_queue_is_a_complete_snapshot() -> None:
    """Nothing there is an answer: the entries of the last poll are gone."""
    for empty in ("rows", "data"):
        shape = Shape(empty="data" if empty == "data" else "rows")
        async with world(replace(QUIET, queue=shape)) as simulated:
            assert [0] == present(await simulated.snapshot(simulated.queue()))


async def test_next_pages_are_followed() -> None:
    """The last page alone says what is there, all pages together."""
    async with world(replace(QUIET, queue=Shape(page_cap=10))) as simulated:
        add(simulated, 25)
        pages = await simulated.snapshot(simulated.queue())
        tokens = simulated.client.tokens
    assert ([10, 10, 5], [None, None, 25]) == ([len(page.rows) for page in pages], present(pages))
    assert tokens[0] is None
    assert all(one != other for one, other in pairwise(tokens))


@pytest.mark.parametrize(
    "shape",
    [
        Shape(page_cap=10, next_token=False),
        Shape(page_cap=10, next_token=False, total_count=False),
        Shape(page_cap=100, pagination="absent"),
        Shape(page_cap=100, pagination="zero"),
    ],
)
async def test_a_cut_snapshot_is_not_complete(shape: Shape) -> None:
    """Where entries may be missing, nothing is said of which are there, and no figure moves."""
    async with world(replace(QUIET, queue=shape)) as simulated:
        add(simulated, 101)
        source = simulated.queue()
        assert [None] == present(await simulated.snapshot(source))
    assert {} == source.reading().queues


async def test_a_list_that_grows_while_it_is_paged() -> None:
    """An arrival between two pages changes the count: the list is read from its first page again, and is complete."""
    async with world(replace(QUIET, queue=Shape(page_cap=10))) as simulated:
        add(simulated, 15)
        source = simulated.queue()
        polling = source.poll(FeedProgress())
        pages = [await anext(polling)]
        simulated.clock.advance(1.0)
        simulated.simulator.add_mail(subject="late", life=[[0, "processing"]])
        pages += [page async for page in polling]
    assert [10, 6, 10, 6] == [len(page.rows) for page in pages]
    assert 16 == len({row.id for page in pages for row in page.rows})
    assert [None, None, None, 16] == present(pages)


async def test_unreadable_entries_count_as_shown() -> None:
    """Junk beside the entries does not keep the snapshot from being complete."""
    async with world(replace(QUIET, queue=Shape(total_count=False))) as simulated:
        add(simulated, 2)
        simulated.simulator.script(Fault("odd_rows"))
        (page,) = await simulated.snapshot(simulated.queue())
    assert (2, 6, 2) == (len(page.rows), len(page.unreadable), len(page.present or ()))


async def test_depth_and_oldest() -> None:
    """A complete snapshot sets the depth, and the age of the oldest entry by the server's clock."""
    async with world() as simulated:
        source = simulated.queue()
        add(simulated, 3)
        await simulated.snapshot(source)
        simulated.clock.advance(60.0)
        await simulated.snapshot(source)
        assert 3.0 == simulated.metric("queue_depth", queue="processing")
        assert pytest.approx(62.0, abs=1.0) == simulated.metric("queue_oldest_seconds", queue="processing")
        assert {"processing": QueueReading(3, START - timedelta(seconds=2))} == source.reading().queues


async def test_an_empty_queue_has_no_age() -> None:
    """Depth and age fall to zero when the queue is empty."""
    async with world() as simulated:
        source = simulated.queue()
        simulated.simulator.add_mail(life=[[0, "processing"], [10, "left"]])
        await simulated.snapshot(source)
        simulated.clock.advance(60.0)
        await simulated.snapshot(source)
        assert 0.0 == simulated.metric("queue_depth", queue="processing")
        assert 0.0 == simulated.metric("queue_oldest_seconds", queue="processing")
        assert {"processing": QueueReading(0, None)} == source.reading().queues


async def test_a_failure_is_raised() -> None:
    """A failure that lasts ends the poll; a snapshot cut off by it says nothing of what is there."""
    async with world(replace(QUIET, queue=Shape(page_cap=10))) as simulated:
        add(simulated, 15)
        polling = simulated.queue().poll(FeedProgress())
        pages = [await anext(polling)]
        simulated.simulator.script(Fault("error_html", times=4))
        with pytest.raises(TransientError):
            await anext(polling)
    assert [None] == present(pages)


async def test_an_api_that_is_away_is_not_asked_for_every_queue() -> None:
    """The first queue that finds nobody there ends the poll."""
    async with world() as simulated:
        simulated.simulator.script(Fault("reset_before", times=4, endpoint="queue"))
        with pytest.raises(TransientError):
            await simulated.snapshot(simulated.queue(queues=BOTH))
        assert [{"type": "processing"}] == simulated.client.asked


async def test_a_failing_queue_does_not_stop_the_other() -> None:
    """A refusal of one queue leaves the other one read, and comes out at the end."""
    async with world() as simulated:
        simulated.simulator.script(Fault("fail_ok", code="err_odd"))
        polling = simulated.queue(queues=BOTH).poll(FeedProgress())
        assert "bulk_processing" == (await anext(polling)).queue
        with pytest.raises(PermanentError):
            await anext(polling)


async def test_the_probe_and_the_requests() -> None:
    """A poll takes a request per queue; the probe asks for the first."""
    config = ProcessingQueueConfig.model_validate({"type": "processing_queue", "queues": BOTH[::-1]})
    async with world() as simulated:
        _, item = config.probe(simulated.client)
    assert ({"type": "bulk_processing"}, 4.0, 0.0) == (
        dict(item),
        config.requests_per_minute(),
        config.searches_per_minute,
    )
    assert config.reading(FeedProgress(), START).covered_until is None
