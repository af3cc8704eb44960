"""``mcwatch check`` reads some rows twice."""

import pytest

from mcwatch.domain.status import CheckResult
from mcwatch.simulator import FinderRules, SimulatorConfig
from mcwatch.sources.message_finder import MessageFinderConfig
from tests.unit.sources.world import World, world


async def _examined(there: World, **options: object) -> CheckResult | None:
    given = {"type": "message_finder", "searches": [{"to": "corp.example"}]}
    return await MessageFinderConfig.model_validate(given | options).examine(there.client)


def _busy(*, stable_ids: bool) -> SimulatorConfig:
    return SimulatorConfig(mails_per_minute=2.0, history_secs=1800.0, rules=FinderRules(stable_ids=stable_ids))


async def test_ids_that_last() -> None:
    """All is well where both readings show the same ids."""
    async with world(_busy(stable_ids=True)) as there:
        found = await _examined(there)
    assert found is not None
    assert found.ok
    assert found.detail.endswith("0 came with another id")


async def test_ids_that_change_are_reported_with_the_remedy() -> None:
    """A tenant whose ids change from poll to poll would bring every mail at every poll."""
    async with world(_busy(stable_ids=False)) as there:
        found = await _examined(there)
    assert found is not None
    assert not found.ok
    assert "set identity: content for this source" == found.remedy


async def test_nothing_to_compare() -> None:
    """Without mail nothing is said against the ids."""
    async with world() as there:
        found = await _examined(there)
    assert CheckResult("ids", ok=True, detail="no mail within a day to compare the ids of") == found


async def test_where_ids_do_not_matter_nothing_is_asked() -> None:
    """By content ids play no part."""
    async with world() as there:
        assert await _examined(there, identity="content") is None
        assert [] == there.client.asked


@pytest.mark.parametrize("options", [{}, {"identity": "content"}])
async def test_where_domains_are_discovered_the_finder_is_tried_too(options: dict[str, str]) -> None:
    """A role that may list domains and not search fails the check, not the first poll."""
    async with world(_busy(stable_ids=True)) as there:
        found = await _examined(there, searches=[], domains="discover", **options)
        assert [False, True] == sorted({"searchReason" in item for item in there.client.asked})
    assert (found is None) == bool(options)
