"""Which searches a configuration asks for."""

from datetime import datetime, timedelta

import msgspec
import pytest
from pydantic import ValidationError

from mcwatch.sources.message_finder import Cursor, MessageFinderConfig
from tests.fakes.clock import START
from tests.unit.sources.world import world

HOUR = timedelta(hours=1)


def config(**options: object) -> MessageFinderConfig:
    """Return a configuration."""
    return MessageFinderConfig.model_validate({"type": "message_finder", **options})


def cursor(at: datetime) -> bytes:
    """Return a cursor as it is stored."""
    return msgspec.json.encode(Cursor(at))


def test_searches() -> None:
    """Each domain is searched as recipient and as sender, raw searches follow, and none is made twice."""
    asked = config(
        domains=["a.example", "b.example", "a.example"], searches=[{"to": "a.example"}, {"sender_ip": "::1", "to": "c"}]
    )
    found = asked.all_searches()
    assert [
        {"to": "a.example"}, {"from": "a.example"}, {"to": "b.example"}, {"from": "b.example"},
        {"to": "c", "senderIP": "::1"},
    ] == [dict(search.options) for search in found]  # fmt: skip
    assert ["to=a.example", "from=a.example"] == [search.name for search in found[:2]]
    assert (5, 5) == (asked.requests_per_poll, asked.searches_per_poll)


def test_the_plain_window_is_asked_without_domains_and_searches() -> None:
    """Nothing configured is one search without a filter."""
    assert [("all", {})] == [(search.name, dict(search.options)) for search in config().all_searches()]


def test_no_two_searches_share_a_cursor() -> None:
    """Values that contain the signs of a name still make names of their own."""
    one, other = {"from": "a&to=b"}, {"from": "a", "to": "b"}
    assert 2 == len({search.name for search in config(searches=[one, other]).all_searches()})


@pytest.mark.parametrize("search", [{}, {"from": ""}, {"url": "x"}])
def test_a_search_says_something(search: dict[str, str]) -> None:
    """An empty search is refused when the configuration is read."""
    with pytest.raises(ValidationError):
        config(searches=[search])


def test_coverage_is_that_of_the_search_that_is_behind() -> None:
    """Stored cursors tell coverage only when every search has one."""
    both = config(domains=["a.example"])
    stored = {"to=a.example": cursor(START), "from=a.example": cursor(START - HOUR)}
    assert START - HOUR == both.covered_until(stored)
    assert both.covered_until({"to=a.example": cursor(START)}) is None


async def test_the_probe_is_a_search_that_the_source_makes() -> None:
    """The probe asks the first search for the last minute."""
    async with world() as simulated:
        options = config(domains=["corp.example"])
        _, item = options.probe(simulated.client)
    assert {"to": "corp.example"} == item["advancedTrackAndTraceOptions"]
    assert "2026-01-05T09:28:59+0000" == item["start"]
