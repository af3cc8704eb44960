"""What fails for one search, and what fails for all."""

from datetime import timedelta

import pytest

from mcwatch.domain.errors import AuthError, FailureReason, PermanentError, TransientError
from mcwatch.domain.page import FinderPage
from mcwatch.domain.window.ranges import Window
from mcwatch.simulator import Fault
from mcwatch.sources.message_finder import MessageFinderSource
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import (
    DAY,
    HOUR,
    MINUTE,
    TO,
    covered,
    owed,
    stopped,
)
from tests.unit.sources.world import World, api_moment, world

TWO = {"domains": ["corp.example", "corp.org.example"], "searches": []}
FROM, OTHER_TO, OTHER_FROM = "from=corp.example", "to=corp.org.example", "from=corp.org.example"


class Broken:
    """Lets every request of one search fail, as if the API stumbled over it."""

    def __init__(self, simulated: World, name: str, error: Exception, *, wider_than_minutes: int = 0) -> None:
        self.asked = 0
        way, _, domain = name.partition("=")
        call = simulated.client.call

        async def failing(endpoint: object, item: dict[str, object], *args: object, **kwargs: object) -> object:
            start, end = str(item.get("start")), str(item.get("end"))
            window = simulated_window(start, end)
            if item.get("advancedTrackAndTraceOptions") == {way: domain} and window > wider_than_minutes * MINUTE:
                self.asked += 1
                raise error
            return await call(endpoint, item, *args, **kwargs)  # type: ignore[arg-type]

        simulated.client.call = failing  # type: ignore[method-assign,assignment]


def simulated_window(start: str, end: str) -> timedelta:
    """Return how much time a request asks for."""
    return api_moment(end) - api_moment(start)


async def commit_all(simulated: World, source: MessageFinderSource) -> Exception | None:
    """Poll to the end or the error; keep every page, and return the error."""
    try:
        await simulated.read(source)
    except (TransientError, PermanentError) as error:
        return error
    return None


async def test_a_failing_search_does_not_stop_the_others() -> None:
    """The others are read, also of the past; the failed one keeps what it had, and the error comes out at the end."""
    async with world() as simulated:
        source = simulated.finder(**TWO)
        simulated.simulator.script(Fault("fail_ok", code="err_odd"))
        with pytest.raises(PermanentError):
            await simulated.read(source)
        assert {FROM, OTHER_TO, OTHER_FROM} == {name for name, spans in simulated.coverage.items() if spans}
        assert [Window(START - HOUR, START)] == covered(simulated, name=FROM)
        assert START - HOUR == source.reading().covered_until
        await simulated.read(source)
        assert START == source.reading().covered_until


async def test_an_api_that_is_away_is_not_asked_for_every_search() -> None:
    """The first search that finds nobody there ends the poll; the next poll begins with the others."""
    async with world() as simulated:
        source = simulated.finder(**TWO)
        simulated.simulator.script(Fault("reset_before", times=4, endpoint="finder"))
        with pytest.raises(TransientError):
            await simulated.read(source)
        assert 1 == len(simulated.client.asked)
        await simulated.read(source)
        asked = [item["advancedTrackAndTraceOptions"] for item in simulated.client.asked]
    assert [{"from": "corp.example"}, {"to": "corp.example"}] == [asked[1], asked[4]]


@pytest.mark.parametrize("reason", [FailureReason.TIMEOUT, FailureReason.SERVER, FailureReason.CONNECTION])
async def test_a_search_that_the_api_always_stumbles_over(reason: FailureReason) -> None:
    """A search that times out at every poll keeps no other from being read, caught up and looked at again."""
    async with world() as simulated:
        for name in (FROM, OTHER_TO, OTHER_FROM):
            stopped(simulated, 6 * HOUR, name=name)
        broken = Broken(simulated, TO, TransientError("it takes too long", reason=reason))
        source = simulated.finder(**TWO, rescans=[{"every": "10m", "look_back": "1h"}])
        for _ in range(12):
            simulated.clock.advance(60.0)
            assert isinstance(await commit_all(simulated, source), TransientError)
        for name in (FROM, OTHER_TO, OTHER_FROM):
            assert [] == [one for one in owed(simulated, 6 * HOUR, name) if one.end < START + 10 * MINUTE]
            assert b'"taken_until":"2026-01-05T09:3' in simulated.cursors[name]
        assert (12, []) == (broken.asked, covered(simulated))


async def test_refused_credentials_put_no_search_off() -> None:
    """A search whose look back met a refusal of the account is still the first to be looked at by the next poll."""
    async with world() as simulated:
        source = simulated.finder(**TWO, rescans=[{"every": "10m", "look_back": "1h"}])
        answering = simulated.client.call
        broken = Broken(simulated, TO, AuthError("no"), wider_than_minutes=30)
        refused: Exception | None = None
        while refused is None:
            simulated.clock.advance(60.0)
            refused = await commit_all(simulated, source)
        assert (AuthError, 1) == (type(refused), broken.asked)
        simulated.client.call = answering  # type: ignore[method-assign]
        simulated.client.asked.clear()
        simulated.clock.advance(60.0)
        assert await commit_all(simulated, source) is None
        asked = simulated.client.asked
    looks_back = [one for one in asked if simulated_window(one["start"], one["end"]) > 30 * MINUTE]
    assert {"to": "corp.example"} == looks_back[0]["advancedTrackAndTraceOptions"]
    assert 4 == len(looks_back)


async def test_a_search_whose_looks_back_are_always_refused() -> None:
    """Credentials that are refused for one search's old mail alone keep no other from being looked at again."""
    async with world() as simulated:
        source = simulated.finder(**TWO, rescans=[{"every": "10m", "look_back": "1h"}])
        broken = Broken(simulated, TO, AuthError("no"), wider_than_minutes=30)
        for _ in range(20):
            simulated.clock.advance(60.0)
            await commit_all(simulated, source)
        for name in (FROM, OTHER_TO, OTHER_FROM):
            assert b'"taken_until":"2026-01-05T09:4' in simulated.cursors[name]
        assert broken.asked > 1


async def test_a_catch_up_that_always_fails_holds_up_no_other() -> None:
    """Where the oldest hole is one that cannot be read, the holes of the other searches are filled all the same."""
    async with world() as simulated:
        stopped(simulated, 2 * DAY)
        for name in (FROM, OTHER_TO, OTHER_FROM):
            stopped(simulated, DAY, name=name)
        Broken(simulated, TO, TransientError("no", reason=FailureReason.SERVER), wider_than_minutes=9)
        source = simulated.finder(**TWO, max_window="6h")
        for _ in range(4):
            simulated.clock.advance(60.0)
            await commit_all(simulated, source)
        assert [] == [one for name in (FROM, OTHER_TO, OTHER_FROM) for one in owed(simulated, DAY, name)]


async def test_a_window_that_takes_the_api_too_long_is_narrowed() -> None:
    """A hole that the API cannot answer for at once is read in smaller parts poll by poll."""
    async with world() as simulated:
        stopped(simulated, 12 * HOUR)
        Broken(simulated, TO, TransientError("no", reason=FailureReason.TIMEOUT), wider_than_minutes=45)
        source = simulated.finder(max_window="6h")
        for _ in range(60):
            simulated.clock.advance(60.0)
            await commit_all(simulated, source)
        assert [] == owed(simulated, 12 * HOUR)


async def test_a_throttled_fresh_window_ends_the_poll() -> None:
    """When the quota is used up nothing else is asked for, though others were answered."""
    async with world() as simulated:
        broken = Broken(simulated, OTHER_FROM, TransientError("no", reason=FailureReason.THROTTLED))
        error = await commit_all(simulated, simulated.finder(**TWO))
        assert isinstance(error, TransientError)
        assert (1, 3) == (broken.asked, len(simulated.client.asked))


async def test_what_was_read_before_a_failure_stays_read() -> None:
    """Windows read before one that failed count, and the next poll goes on from there."""
    async with world() as simulated:
        source, pages = simulated.finder(max_window="30m", overlap="0s"), list[FinderPage]()
        polling = source.poll(simulated.progress)
        while len(covered(simulated)) < 2:
            pages.append(await anext(polling))
            simulated.commit(pages[-1])
        simulated.simulator.script(Fault("fail_ok", code="err_odd"))
        with pytest.raises(PermanentError):
            await anext(polling)
        before = covered(simulated)
        assert START - 30 * MINUTE == before[0].end
        simulated.windows()
        await simulated.read(source)
        assert before[0].end == simulated.windows()[-1][0]


async def test_a_refused_credential_ends_the_poll_at_once() -> None:
    """After a refusal that the operator must lift, no further search is tried."""
    async with world() as simulated:
        source = simulated.finder(domains=["corp.example"], searches=[])
        simulated.simulator.script(Fault("forbidden", endpoint="finder"))
        with pytest.raises(AuthError):
            await simulated.read(source)
        assert 1 == len(simulated.client.asked)
