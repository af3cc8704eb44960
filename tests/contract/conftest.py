"""Stores for the contract suites."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from mcwatch.interfaces import Store
from tests.contract.store_engines import ENGINES, NEED_A_SERVER
from tests.contract.store_kit import StoreEngine


def _param(kind: str) -> ParameterSet:
    return pytest.param(kind, marks=[pytest.mark.server] if kind in NEED_A_SERVER else [])


@pytest.fixture(params=[_param(kind) for kind in ENGINES])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> StoreEngine:
    """Give one engine after the other."""
    return ENGINES[request.param](tmp_path)


@pytest.fixture
async def store(engine: StoreEngine) -> AsyncIterator[Store]:
    """Give an open, empty store."""
    async with engine.open() as opened:
        yield opened
