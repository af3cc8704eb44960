"""Building HTML in which text cannot be markup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.httpserver.html import Html, join, tag


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'&amp;<b>"])
def test_text_is_escaped_in_content_and_attributes(hostile: str) -> None:
    """No angle bracket or quote of a text survives as such."""
    built = tag("p", hostile, title=hostile)

    inner = built.removeprefix('<p title="').removesuffix("</p>").replace('">', "", 1)
    assert not set(inner) & set("<>\"'")


def test_markup_is_kept_and_text_beside_it_escaped() -> None:
    """Only what was built here counts as markup."""
    assert join(tag("b", "x"), "<i>") == "<b>x</b>&lt;i&gt;"


def test_attribute_names_are_written_as_html_wants_them() -> None:
    """Python's trailing underscore goes, inner ones become hyphens."""
    assert tag("p", class_="a", aria_label="b") == '<p class="a" aria-label="b"></p>'


@given(st.text())
def test_joining_is_idempotent(text: str) -> None:
    """What was escaped once is not escaped again."""
    once = join(text)

    assert isinstance(once, Html)
    assert join(once) == once
