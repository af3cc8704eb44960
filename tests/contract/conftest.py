"""Stores for the contract suites."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcwatch.interfaces import Store
from tests.contract.store_engines import ENGINES
from tests.contract.store_kit import StoreEngine


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> StoreEngine:
    """Give one engine after the other."""
    return ENGINES[request.param](tmp_path)


@pytest.fixture
async def store(engine: StoreEngine) -> AsyncIterator[Store]:
    """Give an open, empty store."""
    async with engine.open() as opened:
        yield opened
