"""What the documentation shows is what the program is: configurations, commands, names, links, the site's contents."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from mcwatch import __version__
from mcwatch.domain.errors import ConfigError
from mcwatch.settings import load
from scripts.generate_docs import PAGES
from tests.documented import commands, configurations, pages
from tests.documented.pages import ROOT, Block

FOREIGN_NAMES = {
    "create_index": "a privilege of OpenSearch",
    "date_detection": "a setting of Elasticsearch's mappings",
    "archive_mode": "a setting of PostgreSQL",
    "max_connections": "a setting of PostgreSQL",
    "synchronous_standby_names": "a setting of PostgreSQL",
    "target_session_attrs": "an option of libpq's URLs",
}
"""Names in backticks that are not ours, with whose they are."""
_VERSION = re.compile(r"(?:\bmcwatch:|VERSION=|\bmcwatch-|\bmcwatch, .*newTag: )(\d+\.\d+\.\d+)")
PAGE_NAMES = pages.page_names()
YAML_BLOCKS = [block for page in PAGE_NAMES for block in pages.blocks(page) if block.language in {"yaml", "yml"}]


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=str)
def test_configurations_load(block: Block, tmp_path: Path) -> None:
    """Every YAML block is a configuration that loads, a part of one, or another program's for a reason given."""
    config = configurations.whole(block.text)
    if config is None:
        assert all(document is not None for document in yaml.safe_load_all(block.text))
        return
    path, environ = configurations.with_made_up_secrets(config, tmp_path)
    assert load(path, environ).accounts


@pytest.mark.parametrize("text", ["colour: red", "http: {lisen: ':1'}", "destinations: [{name: a, sink: {type: fax}}]"])
def test_wrong_configurations_are_found(text: str, tmp_path: Path) -> None:
    """YAML that nobody knows, and options that do not exist, are no configurations."""
    with pytest.raises((ValueError, ConfigError)):
        load(*configurations.with_made_up_secrets(configurations.whole(text) or {}, tmp_path))


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_json_is_json(page: str) -> None:
    """Every JSON block parses."""
    for block in pages.blocks(page):
        if block.language == "json":
            assert json.loads(block.text), block


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_commands_are_known(page: str) -> None:
    """The program itself takes every mcwatch command shown; for any other command somebody said who runs it."""
    faults: list[str] = []
    for line in pages.commands(page):
        for command in commands.simple_commands(line.text):
            faults += [f"{line}: {fault}" for fault in _faults(command)]
    assert "" == "\n".join(faults)


@pytest.mark.parametrize(
    "command", ["frobnicate --all", "mcwatch check --fast", "mcwatch observe", "make sense", "cp deploy/nothing /etc"]
)
def test_wrong_commands_are_found(command: str) -> None:
    """A command that nobody answers for, an option, a target or a file that does not exist is a fault."""
    assert list(_faults(command))


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_commands_in_sentences_exist(page: str) -> None:
    """Commands and options named in running text are the program's; what a sentence leaves out may be missing."""
    faults: list[str] = []
    for line, code in pages.inline_code(page):
        for arguments in commands.mcwatch_arguments(code.replace("\n", " ")) if "mcwatch " in code else ():
            fault = commands.wrong_usage([word for word in arguments if word != "…"])
            faults += [f"{page}:{line}: `{code}`: {fault}"] if (fault or "").startswith("No such") else []
    assert "" == "\n".join(faults)


def _faults(command: str) -> Iterator[str]:
    named = [word for word in command.split() if re.match(r"(config|deploy|docs|requirements|scripts)/[^<*]+$", word)]
    yield from (f"there is no {word}" for word in named if not (ROOT / word).exists())
    found = list(commands.mcwatch_arguments(command))
    for arguments in found:
        if fault := commands.wrong_usage(arguments):
            yield fault
    if command.startswith("make "):
        makefile = (ROOT / "Makefile").read_text("utf-8")
        targets = [word for word in command.split()[1:] if "=" not in word]
        yield from (f"no target {name}" for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE))
    elif not (found or commands.is_own_page(command) or commands.why_left(command)):
        yield "nobody runs it: see tests/documented/commands.py"


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link names a file of the repository, and a heading of it where it names one."""
    faults: list[str] = []
    for link in pages.links(page):
        if re.match(r"[a-z]+:", link.target):
            continue
        path, _, anchor = link.target.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists():
            faults.append(f"{page}:{link.line}: {link.target}: no such file")
        elif anchor and anchor not in pages.anchors(str(target.resolve().relative_to(ROOT))):
            faults.append(f"{page}:{link.line}: {link.target}: no such heading, or one that occurs twice")
    assert "" == "\n".join(faults)


@cache
def _source_words() -> frozenset[str]:
    """Return every name that stands in the program or in what is shipped beside it."""
    texts = [path.read_text("utf-8") for path in (ROOT / "mcwatch").rglob("*.py")]
    texts += [path.read_text("utf-8") for path in (ROOT / "mcwatch").rglob("*.sql")]
    texts += [path.read_text("utf-8") for path in (ROOT / "tests/benchmarks").rglob("*.py")]
    texts += [(ROOT / name).read_text("utf-8") for name in PAGES]
    for path in (ROOT / "deploy").rglob("*"):
        if path.is_file() and path.suffix not in {".md", ".png"}:
            texts.append(path.read_text("utf-8"))
    return frozenset(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", "\n".join(texts))) | FOREIGN_NAMES.keys()


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_names_exist(page: str) -> None:
    """What stands in backticks and looks like an option, a section's key or a metric is one."""
    options = configurations.option_names()
    faults: list[str] = []
    for line, code in pages.inline_code(page):
        section = re.fullmatch(r"(?:[a-z_]+(?:\[\])?\.)*([a-z_]+)(?:: .+)?", code)
        head = re.match(r"([a-z_]+)(?:\[\])?\.", code)
        if section and head and head[1] in configurations.SECTIONS and section[1] not in options:
            faults.append(f"{page}:{line}: no option `{code}`")
        elif re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", code) and not {code, _metric(code)} & _source_words():
            faults.append(f"{page}:{line}: nothing is named `{code}`")
        elif re.fullmatch(r"[a-z_]+: [a-z0-9_]+", code) and code.split(":")[0] not in options | _source_words():
            faults.append(f"{page}:{line}: no option `{code}`")
    assert "" == "\n".join(faults)


def _metric(name: str) -> str:
    """Return the metric that a series belongs to; a metric may be named without the prefix."""
    return "mcwatch_" + re.sub(r"_(bucket|sum|count|created)$", "", name).removeprefix("mcwatch_")


def test_versions_are_this_one() -> None:
    """Image tags, build arguments and files of a release name the version that mcwatch/__init__.py has."""
    deployed = [
        path for path in (ROOT / "deploy").rglob("*") if path.name == ".env" or path.suffix in {".yaml", ".yml"}
    ]
    named = {
        (str(path.relative_to(ROOT)), found)
        for path in [*(ROOT / page for page in PAGE_NAMES), *deployed]
        for found in _VERSION.findall(path.read_text("utf-8"))
    }
    assert named
    assert [] == sorted((path, found) for path, found in named if found != __version__)


def test_site_shows_every_page() -> None:
    """Each page of docs/ stands in the site's navigation or is linked from one that does; each entry is a page."""
    text = re.sub(r"!ENV \[.*?\]", "''", (ROOT / "mkdocs.yml").read_text("utf-8"))
    shown = set(_leaves(yaml.safe_load(text)["nav"])) - {"docs/adr/README.md"}
    listed = {page for page in PAGE_NAMES if not page.startswith(("docs/adr/", "deploy/"))}
    assert sorted(listed - shown) == []
    assert sorted(name for name in shown if not (ROOT / name).is_file()) == []


def _leaves(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        yield from (leaf for child in node.values() for leaf in _leaves(child))
    elif isinstance(node, list):
        yield from (leaf for child in node for leaf in _leaves(child))
