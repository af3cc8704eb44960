"""A lab for every test of the pipeline."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.pipeline.lab import Lab, lab_at


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Give a lab whose time passes whenever somebody sleeps."""
    async with lab_at(tmp_path) as opened:
        yield opened
