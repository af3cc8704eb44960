"""Reading the YAML file into plain data that knows where each key stands.

Values are read by the rules of YAML 1.2: only ``true`` and ``false`` are booleans, ``1:30`` and ``2026-01-05`` are
text, and digits with leading zeros stay text, because keys and ids look like that.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mcwatch.domain.errors import ConfigError

KeyPath: TypeAlias = tuple[str | int, ...]
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """A loader with the scalars of YAML 1.2, so that no text turns into something else by its looks."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    ("tag:yaml.org,2002:float", r"-?(0|[1-9][0-9]*)\.[0-9]+", list("-0123456789")),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_MERGE, r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)

# The parser written in C, where PyYAML has it: a thousand accounts take a second then, not ten.
_FAST = (
    cast(
        "type[_Loader]",
        type("_FastLoader", (yaml.CSafeLoader,), {"yaml_implicit_resolvers": _Loader.yaml_implicit_resolvers}),
    )
    if yaml.__with_libyaml__
    else _Loader
)


@dataclass(frozen=True)
class Wanted:
    """What is said of a file that is not there, of one that holds nothing, and of one that holds no mapping."""

    missing: str
    empty: str
    mapping: str


_CONFIGURATION = Wanted(
    missing="there is no such file; name the right one with --config",
    empty="the file is empty; config/mcwatch.example.yaml shows what belongs in it",
    mapping="the file must be a mapping with the keys accounts and destinations, not a list or a value",
)


@dataclass(frozen=True)
class Fault:
    """Something wrong with a key's form, on a line of its own."""

    line: int
    path: KeyPath
    text: str


@dataclass
class Document:
    """A configuration file: its data, the line of every key and list entry, and what is wrong with its form."""

    file: str
    data: object = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, path: KeyPath) -> int:
        """Return the line of a key, or of the nearest key above it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(path: Path, wanted: Wanted = _CONFIGURATION) -> Document:
    """Read a file; raises ConfigError where it cannot be read as YAML at all."""
    text = _text(path, wanted)
    try:
        document = _built(path, text, _FAST, wanted)
    except (yaml.YAMLError, RecursionError):
        # What is wrong is said in the words of one parser, whichever is there.
        document = _parsed(path, text, wanted)
    if not isinstance(document.data, dict):
        raise ConfigError([f"{path}:1: {wanted.mapping}"])
    return document


def _parsed(path: Path, text: str, wanted: Wanted) -> Document:
    try:
        return _built(path, text, _Loader, wanted)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(path, error)]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([f"{path}:{line}: a control character; remove it"]) from error
    except RecursionError as error:
        raise ConfigError([f"{path}: nested too deeply to be a configuration"]) from error


def _built(path: Path, text: str, loading: type[_Loader], wanted: Wanted) -> Document:
    document = Document(str(path))
    loader = loading(text)
    root = loader.get_single_node()
    if root is None:
        raise ConfigError([f"{path}: {wanted.empty}"])
    document.data = _Builder(document, loader).build(root, ())
    return document


def _text(path: Path, wanted: Wanted) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError([f"{path}: {wanted.missing}"]) from error
    except IsADirectoryError as error:
        raise ConfigError([f"{path}: this is a directory; name the file in it"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}; check its owner and mode"]) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: not UTF-8 text; save the file as UTF-8"]) from error


def _syntax_problem(path: Path, error: yaml.MarkedYAMLError) -> str:
    """Say what YAML stumbled over without its quotation of the line, which may hold a secret."""
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    what = "; ".join(part for part in (error.context, error.problem) if part)
    return f"{where}: not valid YAML: {what}; check indentation, quotes and brackets here and on the line before"


class _Builder:
    """Turns nodes into data, noting lines, keys given twice and keys that are no text."""

    def __init__(self, document: Document, loader: _Loader) -> None:
        self._document = document
        self._loader = loader
        self._open: list[Node] = []

    def build(self, node: Node, path: KeyPath) -> object:
        """Return the data of a node that stands at ``path``."""
        if node in self._open:
            raise yaml.MarkedYAMLError(problem="an alias that contains itself", problem_mark=node.start_mark)
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            if isinstance(node, SequenceNode):
                return self._sequence(node, path)
            return self._loader.construct_object(node)
        except ValueError as error:
            raise yaml.MarkedYAMLError(
                problem="a value that does not fit its tag", problem_mark=node.start_mark
            ) from error
        finally:
            self._open.pop()

    def _sequence(self, node: SequenceNode, path: KeyPath) -> list[object]:
        items = []
        for index, child in enumerate(node.value):
            self._document.lines[*path, index] = child.start_mark.line + 1
            items.append(self.build(child, (*path, index)))
        return items

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, object]:
        data: dict[str, object] = {}
        own: dict[str, int] = {}
        for key_node, value_node, merged in self._entries(node):
            line = key_node.start_mark.line + 1
            key = self._loader.construct_object(key_node) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                self._document.faults.append(Fault(line, path, "a key below this one is no text; put it in quotes"))
            elif not merged and key in own:
                text = f"this key is on line {own[key]} already; remove one of the two"
                self._document.faults.append(Fault(line, (*path, key), text))
            elif key not in data or not merged:
                own |= {} if merged else {key: line}
                self._document.lines[*path, key] = line
                data[key] = self.build(value_node, (*path, key))
        return data

    def _entries(self, node: MappingNode) -> Iterator[tuple[Node, Node, bool]]:
        """Yield the entries, and after them those merged in by ``<<``, which give way to the mapping's own."""
        merges = []
        for key, value in node.value:
            if key.tag == _MERGE:
                merges.append(value)
            else:
                yield key, value, False
        for value in merges:
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if not isinstance(source, MappingNode):
                    raise yaml.MarkedYAMLError(problem="`<<` takes a mapping", problem_mark=source.start_mark)
                for key, inner, _ in self._entries(source):
                    yield key, inner, True
