"""The picture in the README can be taken again."""

import struct

import pytest

from scripts.screenshot import README_PICTURE, readme_shot, take
from tests.browser.chromium import Page

pytestmark = [pytest.mark.timeout(90), pytest.mark.asyncio(loop_scope="session")]

_MOST_BYTES = 200_000


def _size(png: bytes) -> tuple[int, int]:
    """Return width and height (PNG, section 11.2.1: IHDR comes first)."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


async def test_the_picture_in_the_readme_shows_the_page_of_today(page: Page) -> None:
    """It is as wide, about as high (fonts differ), and small enough to be loaded with the README."""
    now, kept = await take(page, readme_shot()), README_PICTURE.read_bytes()

    assert len(kept) < _MOST_BYTES
    assert _size(now)[0] == _size(kept)[0]
    assert _size(now)[1] == pytest.approx(_size(kept)[1], rel=0.1), "run python -m scripts.screenshot"
