"""Which searches a configuration asks for."""

import msgspec
import pytest
from pydantic import ValidationError

from mcwatch.domain.page import FeedProgress
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.ranges import Window
from mcwatch.sources.message_finder import MessageFinderConfig
from mcwatch.sources.message_finder.ledger import Cursor
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import DAY, HOUR
from tests.unit.sources.world import world


def config(**options: object) -> MessageFinderConfig:
    """Return a configuration."""
    return MessageFinderConfig.model_validate({"type": "message_finder", **options})


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
    """What the store keeps tells how far all searches were read, search by search; those never read are left out."""
    both = config(domains=["a.example"])
    cursors = {name: msgspec.json.encode(Cursor(START - DAY)) for name in ("to=a.example", "from=a.example")}
    coverage = {
        "to=a.example": [Span(START - DAY, START, Cover.READ, START)],
        "from=a.example": [
            Span(START - DAY, START - 2 * HOUR, Cover.READ, START),
            Span(START - HOUR, START, Cover.READ, START),
        ],
    }
    found = both.reading(FeedProgress(cursors, coverage), START)
    assert START - 2 * HOUR == found.covered_until
    assert ["to a.example", "from a.example"] == [one.label for one in found.searches]
    assert [[], [Window(START - 2 * HOUR, START - HOUR)]] == [one.missing for one in found.searches]
    assert START == both.reading(FeedProgress({"to=a.example": cursors["to=a.example"]}, coverage), START).covered_until
    assert both.reading(FeedProgress(), START).covered_until is None


def test_labels_hide_what_searches_look_for() -> None:
    """People see which search is meant, and no mailbox, subject or host."""
    asked = config(
        searches=[
            {"from": "amy.adams@corp.example", "subject": "secret"},
            {"to": "b.example"},
            {"sender_ip": "192.0.2.1"},
        ]
    )
    progress = FeedProgress({search.name: b"{}" for search in asked.all_searches()})
    assert ["from ***@corp.example subject ***", "to b.example", "senderIP ***"] == [
        one.label for one in asked.reading(progress, START).searches
    ]
    assert ["all"] == [one.label for one in config().reading(FeedProgress({"all": b"{}"}), START).searches]


def test_requests_are_those_of_polls_and_rescans() -> None:
    """Each search is asked once per interval, and for each cell of each tier once per period."""
    quiet = config(domains=["a.example"], rescans=[], interval="30s")
    assert pytest.approx(4.0) == quiet.requests_per_minute() == quiet.searches_per_minute
    tier = config(rescans=[{"every": "1h", "look_back": "12h"}], interval="1m", max_window="1h")
    assert pytest.approx(1 + 13 / 58) == tier.requests_per_minute()


async def test_the_probe_is_a_search_that_the_source_makes() -> None:
    """The probe asks the first search for the last minute."""
    async with world() as simulated:
        options = config(domains=["corp.example"])
        _, item = options.probe(simulated.client)
    assert {"to": "corp.example"} == item["advancedTrackAndTraceOptions"]
    assert "2026-01-05T09:28:59+0000" == item["start"]


def test_rescans_that_polls_cannot_keep_up_with_are_named() -> None:
    """A turn is taken at a poll: a period of less than four intervals would be promised in vain."""
    given = {"type": "message_finder", "interval": "5m", "rescans": [{"every": "10m", "look_back": "1h"}]}
    found = MessageFinderConfig.model_validate(given).review()
    assert found is not None
    assert (False, "write every: 1200s or longer, or a shorter interval") == (found.ok, found.remedy)
    assert MessageFinderConfig.model_validate({"type": "message_finder"}).review() is None
