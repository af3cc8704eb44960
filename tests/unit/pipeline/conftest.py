"""A lab for every test of the pipeline."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.store_kit import assert_identities
from tests.unit.pipeline.lab import Lab, lab_at
from tests.unit.pipeline.receiver import Story, Virtually, virtual_lab
from tests.virtual.loop import run_virtually


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Give a lab whose time passes whenever somebody sleeps."""
    async with lab_at(tmp_path) as opened:
        yield opened


@pytest.fixture
def virtually(tmp_path: Path) -> Virtually:
    """Run a story in a lab in virtual time; in the end the stored figures must add up."""

    def run(story: Story) -> None:
        async def main() -> None:
            async with virtual_lab(tmp_path) as opened:
                await story(opened)
                assert_identities(await opened.store.snapshot())

        run_virtually(main())

    return run
