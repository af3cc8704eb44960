"""Both sources against servers that page in ways the simulator does not."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.domain.page import FeedProgress, FinderPage, QueuePage
from mcwatch.sources import SourceContext, paging
from mcwatch.sources.message_finder import MessageFinderConfig
from mcwatch.sources.processing_queue import ProcessingQueueConfig
from tests.fakes.clock import START
from tests.unit.mimecast.api import OAUTH2, Api, Reply, scripted
from tests.unit.sources.world import api_moment

HOURLY = {"interval": "19m", "overlap": "3m"}
"""One fresh window of an hour, and nothing to catch up on."""
FINDER = MessageFinderConfig.model_validate(
    {"type": "message_finder", "initial_look_back": "1m", "rescans": [], **HOURLY}
)
QUEUE = ProcessingQueueConfig.model_validate({"type": "processing_queue", "queues": ["processing"]})
FORGOTTEN = Reply(body={"meta": {"status": 200}, "data": [],
                        "fail": [{"errors": [{"code": "xdk_failure", "message": "0007 Invalid token"}]}]})  # fmt: skip


def reply(
    names: Sequence[str], token: str | None = None, *, total: int | None = None, size: int | None = None
) -> Reply:
    """Return an answer of either endpoint with rows of these ids."""
    pagination = {"next": token, "totalCount": total, "pageSize": size}
    rows = [{"id": name} for name in names]
    return Reply(body={"meta": {"status": 200, "pagination": pagination}, "fail": [],
                       "data": [{"trackedEmails": rows, "messages": rows}]})  # fmt: skip


def names(pages: Sequence[FinderPage | QueuePage]) -> list[list[str | None]]:
    """Return the ids of the rows of each page."""
    return [[row.id for row in page.rows] for page in pages]


def minutes_ago(text: str) -> int:
    """Return how long before now a time of a request is."""
    return (START - api_moment(text)) // timedelta(minutes=1)


@asynccontextmanager
async def context(*replies: Reply) -> AsyncIterator[tuple[Api, SourceContext]]:
    """Run a server that gives these answers, and what a source needs to read them."""
    async with scripted(OAUTH2, max_requests_per_minute=1_000_000) as (api, client):
        api.replies += replies
        yield api, SourceContext("acme", client, api.clock, api.metrics)


async def finder_pages(*replies: Reply) -> list[FinderPage]:
    """Read the finder to the end of one window."""
    async with context(*replies) as (api, given):
        pages = [page async for page in FINDER.build(given).poll(FeedProgress())]
        assert [] == api.replies
    return [page for page in pages if not page.cursors]


async def queue_pages(*replies: Reply) -> list[QueuePage]:
    """Read a queue once."""
    async with context(*replies) as (api, given):
        pages = [page async for page in QUEUE.build(given).poll(FeedProgress())]
        assert [] == api.replies
    return pages


@pytest.mark.parametrize("tokens", [["t", "t"], ["t", "u", "t"], ["t", "u", "u"]])
async def test_a_repeated_token_ends_with_what_is_new(tokens: list[str]) -> None:
    """A token named again is followed as long as it shows something new, and not in a circle."""
    replies = [reply([str(number)], token) for number, token in enumerate([*tokens, tokens[-1]])]
    replies.append(reply(["0"], tokens[-1]))
    pages = await finder_pages(*replies)
    assert [[str(number)] for number in range(len(tokens) + 1)] + [["0"]] == names(pages)
    assert [False] * (len(tokens) + 1) + [True] == [bool(page.covered) for page in pages]
    assert len(tokens) + 2 == len(await queue_pages(*replies))


async def test_a_token_for_a_whole_list_is_followed_to_its_end() -> None:
    """A server that scrolls, naming one token for all pages, is read to its last row."""
    replies = [reply([f"{page}-{number}" for number in range(60)], "scroll") for page in range(7)]
    pages = await finder_pages(*replies, reply([], None))
    assert 420 == sum(len(page.rows) for page in pages)


async def test_pages_that_never_show_anything_new_are_given_up() -> None:
    """A server that names ever new empty pages costs a bounded number of requests."""
    replies = [reply([], f"t{number}") for number in range(paging.MOST_IDLE_PAGES)]
    with pytest.raises(TransientError, match="nothing new"):
        await finder_pages(*replies)


async def test_an_empty_page_with_a_next_one_is_not_the_end() -> None:
    """A page without rows that names a next page is followed."""
    replies = [reply([], "t"), reply(["a"])]
    assert [[], ["a"]] == names(await finder_pages(*replies)) == names(await queue_pages(*replies))


async def test_a_server_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless new tokens end the poll as a failure, before the next window could move the cursor past this one."""
    monkeypatch.setattr(paging, "MOST_PAGES", 3)
    replies = [reply([str(number)], f"token {number}") for number in range(3)]
    async with context(*replies, *replies) as (_, given):
        finder, queue = FINDER.build(given).poll(FeedProgress()), QUEUE.build(given).poll(FeedProgress())
        read = [await anext(finder) for _ in range(4)]
        with pytest.raises(TransientError):
            await anext(finder)
        shown = [await anext(queue) for _ in range(3)]
        with pytest.raises(TransientError):
            await anext(queue)
    assert [{}] * 4 == [page.covered for page in read]
    assert [None] * 3 == [page.present for page in shown]


async def test_a_forgotten_page_token_starts_the_paging_again() -> None:
    """One pass cut off by an unknown token is followed by a whole one, which alone says what is there."""
    replies = [reply(["gone"], "t"), FORGOTTEN, reply(["a"], "u", total=2), reply(["b"], total=2)]
    pages = await finder_pages(*replies)
    assert [["gone"], ["a"], ["b"]] == names(pages)
    assert [False, False, True] == [bool(page.covered) for page in pages]
    snapshot = await queue_pages(*replies)
    assert [None, None, 2] == [None if page.present is None else len(page.present) for page in snapshot]


async def test_a_page_that_tells_of_a_move_is_recorded() -> None:
    """What it showed is handed on, claiming nothing, though the list that is read again shows it no more."""
    replies = [reply(["a"], "t", total=2), reply(["gone"], total=3), reply(["a"], total=1)]
    pages, snapshot = await finder_pages(*replies), await queue_pages(*replies)
    assert [["a"], ["gone"], ["a"]] == names(pages) == names(snapshot)
    assert [False, False, True] == [bool(page.covered) for page in pages]
    assert [None, None, 1] == [None if page.present is None else len(page.present) for page in snapshot]


async def test_a_page_token_forgotten_twice() -> None:
    """A server that forgets its tokens for good gives broken answers, which the next poll may find mended."""
    replies = [reply(["a"], "t"), FORGOTTEN, reply(["a"], "t"), FORGOTTEN]
    for config in (FINDER, QUEUE):
        async with context(*replies) as (api, given):
            with pytest.raises(TransientError) as caught:
                _ = [page async for page in config.build(given).poll(FeedProgress())]
            assert (FailureReason.BAD_RESPONSE, []) == (caught.value.reason, api.replies)


async def test_a_server_that_pages_smaller_than_asked() -> None:
    """A last page that is full by the server's own page size counts as cut."""
    fits = [reply(["c"]), reply(["a", "b"])]
    pages = await finder_pages(reply(["a", "b"], size=2), *fits)
    assert [False, True, True] == [bool(page.covered) for page in pages]


async def test_rows_repeated_across_pages_do_not_make_up_the_total() -> None:
    """Three rows shown as four do not satisfy a count of four; the window is halved."""
    pages = await finder_pages(
        reply(["a", "b"], "t", total=4), reply(["b", "c"], total=4), reply(["a", "b"], total=2), reply(["c"], total=1)
    )
    assert [False, False, True, True] == [bool(page.covered) for page in pages]


async def test_the_older_half_is_read_first() -> None:
    """Halves are asked for oldest first, so that the cursor never passes what is not read."""
    async with context(reply(["a"], total=2), reply(["b"], total=9), reply([]), reply([]), reply([])) as (api, given):
        _ = [page async for page in FINDER.build(given).poll(FeedProgress())]
        asked = [request.json for request in api.asked if request.path != "/oauth/token"]
    items = [body["data"][0] for body in asked if isinstance(body, dict)]
    expected = [(60, 0), (60, 30), (60, 45), (45, 30), (30, 0)]
    assert expected == [(minutes_ago(item["start"]), minutes_ago(item["end"])) for item in items]


@pytest.mark.parametrize(
    ("replies", "complete"),
    [
        ([reply(["a"])], True),
        ([reply([])], True),
        ([reply(["a"], total=1)], True),
        ([reply(["a"], total=2)], False),
        ([reply(["a"], "t", total=2), reply(["b"], total=2)], True),
        ([reply(["a"], "t", total=2), reply(["a"], total=2)], False),
        ([reply(["a", "b"], size=2)], False),
        ([reply(["a", "b"], size=2, total=2)], True),
        ([reply([str(number) for number in range(100)])], False),
        ([reply([str(number) for number in range(100)], total=100)], False),
        ([reply([str(number) for number in range(500)], size=1000)], False),
    ],
    ids=lambda value: f"{len(value)} pages" if isinstance(value, list) else None,
)
async def test_a_queue_poll_is_complete_only_if_it_shows_everything(replies: list[Reply], complete: bool) -> None:
    """By the server's count, else by a last page that is neither full nor suspiciously round."""
    pages = await queue_pages(*replies)
    assert [None] * (len(pages) - 1) == [page.present for page in pages[:-1]]
    assert complete == (pages[-1].present is not None)


async def test_rows_that_cannot_be_read_were_shown() -> None:
    """Unreadable rows count as rows of the answer: towards the total, and towards a page that looks cut."""
    junk = (
        b'{"meta":{"pagination":{"totalCount":2}},"data":[{"trackedEmails":[{"id":"a"},5],"messages":[{"id":"a"},5]}]}'
    )
    pages = await finder_pages(Reply(body=junk)), await queue_pages(Reply(body=junk))
    assert (True, True) == (bool(pages[0][-1].covered), pages[1][-1].present is not None)
    rows = ",".join(['{"id":"%d"}' % number for number in range(99)] + ["5"])  # noqa: UP031 -- braces
    full = Reply(body=b'{"meta":{},"data":[{"trackedEmails":[],"messages":[' + rows.encode() + b"]}]}")
    assert [None] == [page.present for page in await queue_pages(full)]


async def test_a_row_without_a_route_is_kept() -> None:
    """Where routes are chosen, a row that names none may be one of them."""
    inbound = FINDER.model_copy(update={"routes": ["inbound"]})
    rows = [{"id": "a"}, {"id": "b", "route": "outbound"}, {"id": "c", "route": "Inbound"}]
    async with context(Reply(body={"meta": {"status": 200}, "data": [{"trackedEmails": rows}]})) as (_, given):
        pages = [page async for page in inbound.build(given).poll(FeedProgress()) if not page.cursors]
    assert [["a", "c"]] == names(pages)


async def test_data_that_is_no_list_of_rows() -> None:
    """An answer whose rows are no list fails as a broken answer and moves nothing."""
    body = {"meta": {"status": 200}, "data": [{"trackedEmails": "none", "messages": 7}]}
    async with context(Reply(body=body), Reply(body=body)) as (_, given):
        for polling in (FINDER.build(given).poll(FeedProgress()), QUEUE.build(given).poll(FeedProgress())):
            with pytest.raises(TransientError):
                _ = [page async for page in polling]
