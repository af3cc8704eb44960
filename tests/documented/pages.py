"""The pages of the documentation, read as CommonMark: code, commands, headings, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PROGRAMS = frozenset(
    "apt apt-get buildah cd chmod chown cp curl docker echo export git helm install journalctl jq kill kubectl "
    "kustomize logger make mcwatch mkdir mv openssl pg_dump pg_restore pip podman promtool psql python3 rm sed splunk "
    "sqlite3 sudo systemctl systemd-analyze systemd-creds tail tar useradd".split()
)
"""First words that make an indented block a shell's; a fenced one says itself what it is."""
_SHELLS = frozenset("sh bash shell console".split())
_ALSO = ("README.md", "CONTRIBUTING.md", "SECURITY.md")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code; ``line`` is where its text begins, from 1."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_shell(self) -> bool:
        """Whether it is meant to be typed."""
        if self.language:
            return self.language in _SHELLS
        first_words = [line.strip().removeprefix("$ ").split(" ")[0] for line in self.text.split("\n")]
        return any(Path(word).name in PROGRAMS for word in first_words)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One command of a page, continuation lines joined, the comment behind it cut off."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Link:
    """A link or picture as written."""

    page: str
    line: int
    target: str


def page_names() -> list[str]:
    """Return every page by its path from the root, in order."""
    found = [ROOT / name for name in _ALSO]
    found += (ROOT / "docs").rglob("*.md")
    found += (ROOT / "deploy").rglob("README*.md")
    return sorted(str(path.relative_to(ROOT)) for path in found)


@cache
def tokens(page: str) -> tuple[Token, ...]:
    """Return the page's tokens."""
    parser = MarkdownIt("commonmark").enable("table")
    return tuple(parser.parse((ROOT / page).read_text("utf-8")))


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of code of a page."""
    for token in tokens(page):
        if token.type in {"fence", "code_block"} and token.map:
            first = token.map[0] + (2 if token.type == "fence" else 1)
            yield Block(page, first, token.info.split(" ")[0], token.content)


def commands(page: str) -> Iterator[CommandLine]:
    """Yield the commands that a page tells the reader to type."""
    for block in blocks(page):
        if block.is_shell:
            yield from _commands(block)


def _commands(block: Block) -> Iterator[CommandLine]:
    text = re.sub(r"\\\n\s*", lambda joined: " " + "\0" * joined[0].count("\n"), block.text)
    line, here = block.line, ""
    for row in text.split("\n"):
        command = re.sub(r"(^|\s+)#(\s.*|$)", "", row.replace("\0", "")).strip().removeprefix("$ ")
        if here:
            here = "" if command == here else here
        elif command:
            yield CommandLine(block.page, line, command)
            document = re.search(r"<<-?\s*'?(\w+)'?", command)
            here = document[1] if document else ""
        line += 1 + row.count("\0")


def _inline(page: str) -> Iterator[tuple[int, Token]]:
    for token in tokens(page):
        if token.type == "inline":
            line = (token.map or [0])[0] + 1
            yield from ((line, child) for child in token.children or ())


def inline_code(page: str) -> Iterator[tuple[int, str]]:
    """Yield what stands between backticks in running text, with the line its paragraph begins at."""
    yield from ((line, child.content) for line, child in _inline(page) if child.type == "code_inline")


def links(page: str) -> Iterator[Link]:
    """Yield the links and pictures of a page."""
    for line, child in _inline(page):
        target = child.attrGet("href") if child.type == "link_open" else child.attrGet("src")
        if isinstance(target, str) and child.type in {"link_open", "image"}:
            yield Link(page, line, target)


@cache
def anchors(page: str) -> frozenset[str]:
    """Return the anchors of a page's headings, as code hosting sites make them.

    A heading repeated gets ``-1`` there and ``_1`` on our site, so a link to one is refused.
    """
    found: dict[str, int] = {}
    for opening, heading in pairwise(tokens(page)):
        if opening.type == "heading_open":
            words = "".join(child.content for child in heading.children or () if child.type in {"text", "code_inline"})
            anchor = re.sub(r"[^\w\s-]", "", words.strip().lower()).replace(" ", "-")
            found[anchor] = found.get(anchor, 0) + 1
    return frozenset(anchor for anchor, times in found.items() if times == 1 and "--" not in anchor)
