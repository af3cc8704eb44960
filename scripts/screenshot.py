"""Pictures of the status page by a real Chromium: ``python -m scripts.screenshot [DIRECTORY]``.

Without a directory only the one in the README, docs/images/status-page.png, is taken; else all states of the page. The
directory must exist.
"""

import asyncio
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.status import StatusReport
from tests.browser import scenes
from tests.browser.chromium import Chromium, Page
from tests.browser.showing import Shown, showing

README_PICTURE = Path(__file__).parent.parent / "docs" / "images" / "status-page.png"


@dataclass(frozen=True)
class Shot:
    """A state of the page as somebody sees it: all of it, or down to the element with the id ``until``."""

    report: StatusReport
    width: int = 1200
    until: str = ""
    dark: bool = False
    scale: float = 1.0


async def take(page: Page, shot: Shot, error: StoreUnavailable | None = None) -> bytes:
    """Return a picture as PNG."""
    await page.look(shot.width, dark=shot.dark, scale=shot.scale)
    async with showing(Shown(shot.report, error)) as server:
        await page.open(server.url)
        height = await page.value(f"document.getElementById('{shot.until}').offsetTop") if shot.until else None
        return await page.picture(height)


def readme_shot() -> Shot:
    """Return what the README shows."""
    return Shot(scenes.usual(), 1180, "daemon")


async def _all(directory: Path, page: Page) -> None:
    """Take every state of the page into a directory that exists."""
    states = {
        "usual": scenes.usual(),
        "well": scenes.well(),
        "broken": scenes.broken(),
        "starting": scenes.starting(),
        "fleet": scenes.fleet(),
        "replicas": scenes.replicas(),
    }
    for name, report in states.items():
        looks = {
            "light": Shot(report),
            "dark": Shot(report, dark=True),
            "phone": Shot(report, 360, scale=2),
        }
        for look, shot in looks.items():
            (directory / f"{name}-{look}.png").write_bytes(await take(page, shot))
    away = StoreUnavailable("the store does not answer: disk I/O error", remedy="look at the disk of store.url")
    (directory / "away.png").write_bytes(await take(page, Shot(scenes.usual()), away))


async def _main() -> None:
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium is not installed (tests/system-packages.txt)")
    async with Chromium(Path(program)) as chromium, chromium.page() as page:
        if len(sys.argv) > 1:
            await _all(Path(sys.argv[1]), page)
        else:
            README_PICTURE.write_bytes(await take(page, readme_shot()))


if __name__ == "__main__":
    asyncio.run(_main())
