"""Build the documentation site from the pages of the repository; a warning is an error.

Usage: python -m scripts.docs_site

The sources are laid out in build/site-source as they lie in the repository, so that a link between two pages is right
in both places. A linked directory gets a page that lists it, because a site has no directory listings.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

from mcwatch import __version__

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml")
FOLDERS = ("docs", "config", "deploy", "scripts")
"""What pages link to; whatever else they link to, the build complains about."""
_HIDDEN = shutil.ignore_patterns("__pycache__", ".*")


def lay_out(target: Path) -> None:
    """Copy the pages, and the files they link to, into ``target``, which is made anew."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in PAGES:
        shutil.copy(ROOT / name, target)
    for name in FOLDERS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=_HIDDEN)
    for directory, page in listings(target):
        (directory / "README.md").write_text(page, "utf-8")
    for path in target.rglob("*.md"):
        text = link_pages(path.read_text("utf-8"), path.parent)
        path.write_text(indented(text), "utf-8")


def listings(target: Path) -> Iterator[tuple[Path, str]]:
    """Yield the directories without a page of their own, each with a page that lists it."""
    for directory in [path for path in target.rglob("*") if path.is_dir()]:
        entries = sorted(entry.name + "/" * entry.is_dir() for entry in directory.iterdir())
        if "README.md" not in entries:
            lines = [f"* [{entry}]({entry})" for entry in entries]
            yield directory, f"# {directory.relative_to(target)}\n\n" + "\n".join(lines) + "\n"


def link_pages(text: str, directory: Path) -> str:
    """Return the page with links to directories turned into links to their pages."""
    parts = text.split("](")
    for number, part in enumerate(parts[1:], 1):
        link, bracket, rest = part.partition(")")
        if bracket and "://" not in link and link and (directory / link).is_dir():
            parts[number] = f"{link.rstrip('/')}/README.md){rest}"
    return "](".join(parts)


def indented(text: str) -> str:
    """Return the page with its lists written as the site's generator wants them.

    What belongs to an item stands as far in as the item's mark is wide in CommonMark, and four spaces in
    Python-Markdown, which also wants an empty line between a paragraph and a list.
    """
    lines = text.split("\n")
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "list_item_open" and token.map:
            width = len(f"{token.info}{token.markup} ")
            for number in range(token.map[0] + 1, token.map[1]):
                lines[number] = " " * (4 - width) + lines[number] if lines[number] else ""
        elif token.type.endswith("list_open") and token.map and token.level == 0 and token.map[0]:
            lines[token.map[0] - 1] += "\n" if lines[token.map[0] - 1] else ""
    return "\n".join(lines)


def build(source: Path, site: Path) -> int:
    """Lay out the sources and build the site of them; return the exit status."""
    lay_out(source)
    # The generator would look for another name first; told where the file is, it takes it as it is.
    command = [sys.executable, "-m", "properdocs", "build", "--strict", "--clean", "--config-file", "mkdocs.yml"]
    places = {"SITE_SOURCE": str(source), "SITE_TARGET": str(site)}
    footer = {"SITE_COPYRIGHT": f"mcwatch {__version__}, Apache-2.0"}
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **places, **footer}).returncode


if __name__ == "__main__":
    sys.exit(build(ROOT / "build/site-source", ROOT / "build/site"))
