"""The status page as HTML."""

from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from mcwatch.httpserver import page
from tests.unit.httpserver.reports import quiet_report, troubled_report

STATIC = Path(page.__file__).with_name("static")
_VOID = {"meta", "link"}


class _Parsed(HTMLParser):
    """The elements, checked to be nested properly, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        return [(tag, list(values)) for tag, values in self.elements]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_what_needs_attention_comes_with_its_remedy() -> None:
    """Everything that is down is said in words, with what to do."""
    text = _Parsed(page.document(troubled_report())).text

    for words in ("the disk is full", "→ make room", "the credentials were refused", "→ renew the secret",
                  "→ look at the indexer", "the API answered 503", "polling pauses"):  # fmt: skip
        assert words in text


def test_figures_are_shown() -> None:
    """Lag, queue, quota, backlog, skew and dead letters are on the page."""
    text = _Parsed(page.fragment(troubled_report())).text

    for words in (
        "3 min ago",
        "17, oldest 1 min",
        "12 of 300 left, waits 4 s",
        "-42 s",
        "2 h 1 min",
        "2.9 MiB of 2.0 GiB",
        "Skipped 2 events recorded",
    ):
        assert words in text


def test_a_quiet_daemon_has_nothing_to_attend_to() -> None:
    """Without accounts and destinations the page still says that all is well."""
    text = _Parsed(page.document(quiet_report())).text

    assert "all is well" in text
    assert "Needs attention" not in text
    assert "none configured" in text


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</main></body>", "&lt;b&gt;", "\u202e"]
)
def test_hostile_names_and_errors_stay_text(hostile: str) -> None:
    """They add no element and no attribute, and can be read as they are."""
    tame = _Parsed(page.document(troubled_report("acme", "error")))
    parsed = _Parsed(page.document(troubled_report(hostile, hostile)))

    assert parsed.shape == tame.shape
    assert hostile in parsed.text


def test_nothing_comes_from_elsewhere_or_inline() -> None:
    """Scripts and styles are files of our own; no inline script, style or handler needs a hole in the policy."""
    parsed = _Parsed(page.document(troubled_report()))

    sources = [
        values.get("src") or values.get("href") for _, values in parsed.elements if {"src", "href"} & set(values)
    ]
    assert all(source and (source.startswith(("/", "data:,"))) for source in sources)
    assert [tag for tag, values in parsed.elements if tag == "style" or "style" in values] == []
    assert [name for _, values in parsed.elements for name in values if name.startswith("on")] == []
    assert "http" not in (STATIC / "page.css").read_text() + (STATIC / "page.js").read_text()


def test_the_page_can_be_used_without_eyes_or_mouse() -> None:
    """Language, headings, table headers with scope, an alert region; scrolling tables take the focus."""
    parsed = _Parsed(page.document(troubled_report()))

    assert ("html", {"lang": "en"}) in parsed.elements
    assert [tag for tag, _ in parsed.elements if tag == "h1"] == ["h1"]
    assert all(values.get("scope") for tag, values in parsed.elements if tag == "th")
    assert any(values.get("role") == "alert" for _, values in parsed.elements)


def test_the_report_survives_json() -> None:
    """What /status sends is what `mcwatch status` reads."""
    report = troubled_report()

    assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report
