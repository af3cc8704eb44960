"""The status page in a real browser: refreshing, keyboard, hostile text, nothing from elsewhere."""

import msgspec
import pytest

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.status import StatusReport
from mcwatch.httpserver.access import Credentials
from mcwatch.option_types import Secret
from tests.acceptance.waiting import eventually
from tests.browser import scenes
from tests.browser.chromium import Page
from tests.browser.showing import Shown, showing

pytestmark = [pytest.mark.timeout(90), pytest.mark.asyncio(loop_scope="session")]

WARNING = "document.getElementById('unreachable')"


async def _refreshed(page: Page, shown: Shown) -> None:
    """Have the page fetch now what it fetches every few seconds, and wait until it shows it."""
    stamp = msgspec.structs.replace(shown.report, version=f"test-{shown.asked}")
    shown.report = stamp
    await page.value("refresh()")
    assert stamp.version in await page.value("document.querySelector('header').textContent")


async def test_new_figures_appear_by_themselves(page: Page) -> None:
    """The page asks again without being told, and changes what has changed."""
    shown = Shown(scenes.usual())
    async with showing(shown) as server:
        await page.open(server.url)
        assert await page.value("document.title") == "mcwatch: All is well"
        shown.report = scenes.broken()

        async def changed() -> bool:
            return "attention" in await page.value("document.querySelector('h2').textContent")

        await eventually(changed, 20.0)
        assert await page.value("document.title") == "mcwatch: 7 things need attention"


async def test_a_refresh_keeps_what_the_reader_does(page: Page) -> None:
    """Focus, scrolling, opened folds and a selection stay."""
    shown = Shown(scenes.broken())
    async with showing(shown) as server:
        await page.look(600, 500)
        await page.open(server.url)
        key = "account-acme-americas-message_finder-coverage"
        await page.value(f"document.getElementById('{key}').open = true")
        await page.value(f"document.getElementById('{key}-summary').focus()")
        await page.value("getSelection().selectAllChildren(document.querySelector('#configuration code'))")
        before = await page.value("scrollY")
        await _refreshed(page, shown)

        assert before > 0
        assert await page.value("scrollY") == before
        assert await page.value("document.activeElement.id") == f"{key}-summary"
        assert await page.value(f"document.getElementById('{key}').open")
        assert await page.value("getSelection().toString()") == "/etc/mcwatch/mcwatch.yaml"


async def test_the_focus_follows_an_account_that_moves(page: Page) -> None:
    """An account that recovers goes to another place of the list, and the reader with it."""
    shown = Shown(scenes.fleet(40))
    async with showing(shown) as server:
        await page.open(server.url)
        await page.value("document.getElementById('accounts-well').open = true")
        await page.value("document.getElementById('account-tenant-0003-link').focus()")
        accounts = [scenes.account(one.name) for one in shown.report.accounts]
        shown.report = msgspec.structs.replace(shown.report, accounts=accounts, healthy=True)
        await _refreshed(page, shown)

        assert await page.value("document.activeElement.id") == "account-tenant-0003-link"
        assert await page.value("document.activeElement.closest('details').id") == "accounts-well"
        assert await page.value("document.querySelectorAll('.rows > li').length") == 40


@pytest.mark.parametrize("scene", [scenes.usual(), scenes.broken(), scenes.starting(), scenes.fleet(60)])
async def test_a_refreshed_page_is_the_page_that_would_be_loaded(page: Page, scene: StatusReport) -> None:
    """Changing only what differs ends at the same elements, whatever was there before."""
    shown = Shown(scenes.fleet(20))
    async with showing(shown) as server:
        await page.open(server.url)
        shown.report = scene
        await page.value("refresh()")
        refreshed = await page.value("document.getElementById('report').innerHTML")
        await page.open(server.url)

        assert refreshed == await page.value("document.getElementById('report').innerHTML")


async def test_a_daemon_that_is_gone_is_told_until_it_returns(page: Page) -> None:
    """The page says since when nobody answers and of when the figures are; both go when the daemon is back."""
    shown = Shown(scenes.usual())
    async with showing(shown) as server:
        port = server.port
        await page.open(server.url)
    await page.value("refresh()")
    said = await page.value(f"{WARNING}.textContent")
    assert await page.value(f"!{WARNING}.hidden && {WARNING}.getAttribute('role') === 'alert'")
    assert said.startswith("mcwatch has not answered since ")
    assert said.endswith("The figures below are of 2026-03-12 14:20:07 UTC.")
    assert await page.value("document.title") == "mcwatch: no answer"
    assert page.problems  # the browser reports the refused connection; nothing else
    assert all("ERR_CONNECTION_REFUSED" in one for one in page.problems)
    page.problems.clear()
    await page.value("refresh()")
    assert await page.value(f"{WARNING}.textContent") == said
    page.problems.clear()

    async with showing(shown, port):
        await page.value("refresh()")
        assert await page.value(f"{WARNING}.hidden")
        assert await page.value("document.title") == "mcwatch: All is well"
    page.problems = [one for one in page.problems if "ERR_CONNECTION_REFUSED" not in one]


async def test_a_store_that_is_away_is_told_until_it_returns(page: Page) -> None:
    """The daemon answers and says why it has no figures: opened then, or while it is open."""
    away = StoreUnavailable("the store does not answer", remedy="look at the disk")
    shown = Shown(scenes.usual(), away)
    async with showing(shown) as server:
        await page.open(server.url)
        assert "the store does not answer" in await page.value("document.querySelector('main').textContent")
        assert "look at the disk" in await page.value("document.querySelector('main').textContent")
        shown.error = None
        await page.value("refresh()")
        assert await page.value("document.querySelectorAll('article').length") == 7
        shown.error = away
        await page.value("refresh()")
        said = await page.value(f"{WARNING}.textContent")
    assert "cannot show its figures: the store does not answer. look at the disk" in said
    assert "The figures below are of" in said
    page.problems = [one for one in page.problems if "503" not in one and "ERR_CONNECTION_REFUSED" not in one]


HOSTILE = (
    "<script>window.hacked=1</script>", "<img src=x onerror='window.hacked=1'>", "\"onmouseover='window.hacked=1' x=\"",
    "</main></body><iframe src='https://evil.example'></iframe>", "<style>*{display:none}</style>",
    "<base href='https://evil.example/'>", "<svg><a xlink:href='javascript:window.hacked=1'>", "{{7*7}}\u202e\u0000",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_text(page: Page, text: str) -> None:
    """Names and errors that are markup run nothing, load nothing and break no policy, on load and on refresh."""
    shown = Shown(scenes.hostile(text))
    async with showing(shown) as server:
        await page.open(server.url)
        await page.value("addEventListener('securitypolicyviolation', () => { window.violated = 1 })")
        loaded = await page.value("document.querySelector('#configuration code').textContent")
        elements = await page.value("document.querySelectorAll('*').length")
        await page.value("refresh()")

        assert loaded == text.replace("\u0000", "")
        assert await page.value("document.querySelectorAll('*').length") == elements
        assert await page.value("[window.hacked, window.violated, document.querySelector('iframe, base')]") == [
            None, None, None,
        ]  # fmt: skip
        assert all(one.startswith((server.url, "data:image/svg+xml,")) for one in page.requests)


async def test_nothing_is_asked_of_anybody_else(page: Page) -> None:
    """The page, its files and its refreshes come from the daemon, the icon from the page."""
    async with showing(Shown(scenes.broken())) as server:
        await page.open(server.url)
        await page.value("refresh()")

        asked = {one.removeprefix(server.url) for one in page.requests if not one.startswith("data:")}
        assert asked == {"/", "/static/page.css", "/static/page.js", "/fragment"}


async def test_a_password_is_asked_for_once(page: Page) -> None:
    """Style, script and refreshes come with it, also when it stands in the address; a new one is said to be needed."""
    shown = Shown(scenes.usual())
    async with showing(shown, 0, Credentials("ops", Secret("first"))) as server:
        port = server.port
        await page.open(f"http://ops:first@127.0.0.1:{port}/")
        await page.value("refresh()")
        assert await page.value(f"{WARNING}.hidden")
        assert await page.value("getComputedStyle(document.querySelector('h1')).margin") == "0px"
    assert page.problems == []
    async with showing(shown, port, Credentials("ops", Secret("second"))):
        await page.value("refresh()")
        assert "asks for a password" in await page.value(f"{WARNING}.textContent")
    page.problems = [one for one in page.problems if "401" not in one]


async def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    """Tab goes through folds and links in the order of the page, each with a visible ring, and Enter opens a fold."""
    async with showing(Shown(scenes.usual())) as server:
        await page.open(server.url)
        reached: list[str] = []
        for _ in range(6):
            await page.press("Tab")
            reached.append(await page.value("document.activeElement.id || document.activeElement.textContent"))
            assert await page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert reached == [
            "legend-summary",
            "account-acme-americas-message_finder-coverage-summary",
            "account-acme-europe-message_finder-coverage-summary",
            "status as JSON",
            "metrics",
            "readiness",
        ]
        await page.value("document.getElementById('legend-summary').focus()")
        await page.press("Enter")
        assert await page.value("document.getElementById('legend').open")


@pytest.mark.parametrize("scene", [scenes.usual(), scenes.broken(), scenes.fleet(60), scenes.hostile("x" * 300)])
async def test_a_phone_shows_it_without_scrolling_sideways(page: Page, scene: StatusReport) -> None:
    """At 360 pixels nothing is wider than the window, with everything opened."""
    async with showing(Shown(scene)) as server:
        await page.look(360, 700)
        await page.open(server.url)
        await page.value("document.querySelectorAll('details').forEach((one) => { one.open = true })")

        assert await page.value("document.documentElement.scrollWidth") <= 360


async def test_a_thousand_accounts_are_no_burden(page: Page) -> None:
    """The page of a large fleet is loaded and refreshed in a moment, and short until somebody opens a fold."""
    shown = Shown(scenes.fleet(1000))
    async with showing(shown) as server:
        await page.open(server.url)
        await _refreshed(page, shown)
        took = await page.value(
            "(async () => { const t = performance.now(); await refresh(); return performance.now() - t })()"
        )

        assert await page.value("document.documentElement.scrollHeight") < 6000
        assert took < 3000  # milliseconds; a fraction of it on a machine that does nothing else
