"""The generated pages of docs/ are what the code says today."""

from scripts.generate_docs import PAGES, stale


def test_pages_are_current() -> None:
    """Generating the pages again changes nothing (`make docs` writes them)."""
    assert stale() == []


def test_pages_are_stable() -> None:
    """Generating twice gives the same bytes, so that a diff means a change."""
    assert {name: render() for name, render in PAGES.items()} == {name: render() for name, render in PAGES.items()}
