"""Polls whose searches are those of discovered domains: they come and go between polls."""

import pytest

from mcwatch.domain.errors import TransientError
from mcwatch.simulator import Fault
from mcwatch.sources.message_finder.discovery import CURSOR
from tests.unit.sources.message_finder.finders import DAY, HOUR, MINUTE, SECOND, covered, owed
from tests.unit.sources.world import world

DAY_SECS = DAY.total_seconds()


async def test_the_first_poll_discovers_and_reads() -> None:
    """Domains are listed, kept, and each is searched both ways in the same poll."""
    async with world() as simulated:
        simulated.simulator.set_domains(None, ["corp.example"])
        source = simulated.finder(domains="discover", searches=[])
        await simulated.read(source)
        assert {CURSOR, "to=corp.example", "from=corp.example"} == simulated.cursors.keys()
        assert [] == owed(simulated, HOUR) == owed(simulated, HOUR, "from=corp.example")
        asked = len(simulated.client.asked)
        simulated.clock.advance(60.0)
        await simulated.read(source)
        assert asked + 2 == len(simulated.client.asked), "the list is asked for once a day"


async def test_a_domain_that_is_added_and_one_that_is_gone() -> None:
    """A new domain is owed from its look-back on; one that is gone for a day is read no more and keeps its claims."""
    async with world() as simulated:
        simulated.simulator.set_domains(None, ["corp.example", "old.example"])
        source = simulated.finder(domains="discover", searches=[])
        await simulated.read(source)
        simulated.simulator.set_domains(None, ["corp.example", "new.example"])
        for _ in range(3):
            simulated.clock.advance(DAY_SECS + 60.0)
            await simulated.read(source)
        assert [] == owed(simulated, 2 * DAY, "to=new.example") == owed(simulated, 3 * DAY)
        assert "to=old.example" not in {search.name for search in source.searches(simulated.progress)}
        assert covered(simulated, name="to=old.example")[-1].end < covered(simulated)[-1].end - DAY + MINUTE
        assert not [one.label for one in source.reading().searches if "old" in one.label]


async def test_without_a_list_there_is_nothing_to_read() -> None:
    """When the first discovery fails the poll fails, and no search without a filter is made in its place."""
    async with world() as simulated:
        source = simulated.finder(domains="discover", searches=[])
        simulated.simulator.script(Fault("error_html", times=4, endpoint="domains"))
        with pytest.raises(TransientError):
            await simulated.read(source)
        assert {} == simulated.cursors
        await simulated.read(source)
        assert simulated.coverage


async def test_a_list_that_cannot_be_refreshed_stays_good() -> None:
    """A refresh that is refused fails the poll at its end; the domains known are read before."""
    async with world() as simulated:
        source = simulated.finder(domains="discover", searches=[])
        await simulated.read(source)
        simulated.clock.advance(DAY_SECS + 60.0)
        simulated.simulator.set_domains(None, [])
        with pytest.raises(TransientError):
            await simulated.read(source)
        assert [] == owed(simulated, DAY - SECOND)
