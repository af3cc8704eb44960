"""The documentation as a site: built without a warning, and whole without a network."""

import re
from pathlib import Path

from markdown_it import MarkdownIt

from mcwatch import __version__
from scripts.docs_site import build
from tests.documented.pages import ROOT, page_names

_LOADED = re.compile(r"<(?:script|img|iframe)\b[^>]*\bsrc=[\"'](?:https?:)?//|<link\b[^>]*\bhref=[\"'](?:https?:)?//")
_IMPORTED = re.compile(r"url\(\s*[\"']?(?:https?:)?//|@import\s+[\"'](?:https?:)?//")


_COUNTED = ("<pre", "<li", "<td", "<h2", "<h3", "<code")


def counts(html: str) -> dict[str, int]:
    """Return how often each kind of element is there."""
    return {element: html.count(element + ">") + html.count(element + " ") for element in _COUNTED}


def test_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """The strict build passes, pages read as they do in the repository, name the version, and load nothing."""
    assert 0 == build(tmp_path / "source", tmp_path / "site")
    pages = list((tmp_path / "site").rglob("*.html"))
    assert __version__ in (tmp_path / "site/index.html").read_text("utf-8")
    assert [] == [str(page) for page in pages if _LOADED.search(page.read_text("utf-8"))]
    for page in page_names():
        site = (
            (tmp_path / "site" / page)
            .with_suffix(".html")
            .with_stem("index" if page == "README.md" else Path(page).stem)
        )
        main = site.read_text("utf-8").split('role="main"')[1].split("<footer")[0]
        whole = MarkdownIt("commonmark").enable("table").render((ROOT / page).read_text("utf-8"))
        assert counts(whole) == counts(main), page
    styles = list((tmp_path / "site").rglob("*.css"))
    assert styles
    assert [] == [str(style) for style in styles if _IMPORTED.search(style.read_text("utf-8"))]
