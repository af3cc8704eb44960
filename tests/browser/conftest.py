"""A browser, a tab for a test, and axe-core, brought by npm into build/browser."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser.chromium import Chromium, Page

_AXE = Path(__file__).parents[2] / "build" / "browser" / "node_modules" / "axe-core" / "axe.min.js"


# One browser serves all tests, so they share its event loop (`pytestmark` in the test modules).
@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(require_program: Callable[[str], Path]) -> AsyncIterator[Chromium]:
    """Give a browser."""
    async with Chromium(require_program("chromium")) as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Chromium) -> AsyncIterator[Page]:
    """Give a tab that is as wide as a desktop; what the browser complains of fails the test."""
    async with chromium.page() as page:
        await page.look(1200)
        yield page
        assert [] == page.problems


@pytest.fixture(scope="session")
def axe() -> str:
    """Give the text of axe-core; without it skip the test, or fail it where components are required (CI)."""
    if _AXE.exists():
        return _AXE.read_text("utf-8")
    text = "axe-core is not installed: `make test` brings it by npm (tests/browser/package-lock.json)"
    if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
        pytest.fail(text)
    pytest.skip(text)
