"""axe-core finds nothing to object to, whatever the page shows and however it is looked at."""

import json

import pytest

from mcwatch.domain.errors import StoreUnavailable
from tests.browser import scenes
from tests.browser.chromium import Page
from tests.browser.showing import Shown, showing

pytestmark = [pytest.mark.timeout(90), pytest.mark.asyncio(loop_scope="session")]

LOOKS = {"light": (1200, False), "dark": (1200, True), "phone": (360, False), "dark phone": (360, True)}
SCENES = {
    "usual": scenes.usual(),
    "broken": scenes.broken(),
    "starting": scenes.starting(),
    "fleet": scenes.fleet(30),
    "replicas": scenes.replicas(),
    "hostile": scenes.hostile("<script>alert(1)</script>"),
}
# Of words inside a picture axe cannot tell the ground: the days below the bars, which have the colour of all captions.
AUDIT = """
axe.run(document, {resultTypes: ['violations', 'incomplete']}).then((found) => {
  const unsure = found.incomplete.filter((one) => one.id === 'color-contrast');
  for (const one of unsure) one.nodes = one.nodes.filter((node) => !node.html.startsWith('<text'));
  const all = [...found.violations, ...unsure.filter((one) => one.nodes.length)];
  const told = (node) => [node.target.join(' '), node.failureSummary];
  return JSON.stringify(all.map((one) => [one.id, one.help, one.nodes.slice(0, 5).map(told)]));
})
"""


async def _violations(page: Page, axe: str) -> list[object]:
    await page.value(axe)
    await page.value("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    found: list[object] = json.loads(await page.value(AUDIT))
    return found


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("scene", SCENES)
async def test_no_violations(page: Page, axe: str, scene: str, look: str) -> None:
    """With every fold open; contrast that axe cannot judge counts as one."""
    width, dark = LOOKS[look]
    async with showing(Shown(SCENES[scene])) as server:
        await page.look(width, dark=dark)
        await page.open(server.url)

        assert await _violations(page, axe) == []


@pytest.mark.parametrize("dark", [False, True])
async def test_no_violations_while_nobody_answers(page: Page, axe: str, dark: bool) -> None:
    """Neither beside the notice, nor where the store is away from the beginning."""
    shown = Shown(scenes.usual(), StoreUnavailable("the store does not answer", remedy="look at the disk"))
    await page.look(1200, dark=dark)
    async with showing(shown) as server:
        await page.open(server.url)
        assert await _violations(page, axe) == []
        shown.error = None
        await page.value("refresh()")
    await page.value("refresh()")
    assert await page.value("!document.getElementById('unreachable').hidden")
    assert await _violations(page, axe) == []
    page.problems = [one for one in page.problems if "503" not in one and "ERR_CONNECTION_REFUSED" not in one]
