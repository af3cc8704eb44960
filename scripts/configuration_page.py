"""docs/CONFIGURATION.md out of the configuration models: a section per model, a row per key."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mcwatch.settings import Settings
from mcwatch.settings.environment import override_names
from mcwatch.settings.notation import written

_INTRODUCTION = """# Configuration

<!-- Written by `make docs` from the configuration models; changes go there. -->

mcwatch reads one YAML file: `mcwatch run --config mcwatch.yaml`. `mcwatch check --config mcwatch.yaml` tries it,
`mcwatch schema` prints its JSON Schema. Every option with its default stands in
[config/mcwatch.example.yaml](../config/mcwatch.example.yaml), shorter files for one purpose each in
[config/examples](../config/examples).

- **Durations** are written `30s`, `5m`, `1h30m`, `7d` (units `ms`, `s`, `m`, `h`, `d`, `w`), **sizes** `512KiB`,
  `1MiB`, `2GiB` (also `kB`, `MB`, `GB`).
- **Any single value** may be `{env: NAME}` or `{env: NAME, default: VALUE}`: the environment variable's value.
- **Secrets** are text, `{env: NAME}` or `{file: PATH}`. A file is read again when it changes; one line end at its end
  is cut.
- **Text** is what YAML 1.2 calls a string: only `true` and `false` are booleans, digits with leading zeros stay text.
- **Unknown keys**, keys given twice and values of the wrong kind are errors. All errors of a file are shown at once,
  each with its line; the program then ends with status 78.
"""


@dataclass(frozen=True)
class _Section:
    title: str
    node: dict[str, Any]

    @property
    def link(self) -> str:
        """The anchor a Markdown page gives to the heading."""
        kept = "".join(char for char in self.title.lower() if char.isalnum() or char in " -_")
        return f"#{kept.replace(' ', '-')}"


class _Page:
    """Collects a section per model, in the order of the file."""

    def __init__(self) -> None:
        self._root = Settings.model_json_schema()
        self._sections: dict[str, _Section] = {}
        self._visit(self._root, "")

    def render(self) -> str:
        parts = [_INTRODUCTION, self._table("Top level", self._root)]
        parts += [self._table(section.title, section.node) for section in self._sections.values()]
        return "\n".join([*parts, _overrides()])

    def _visit(self, node: dict[str, Any], path: str) -> None:
        for key, value in node.get("properties", {}).items():
            below = f"{path}.{key}" if path else key
            models = list(_models(value))
            for name, several, tag in models:
                if name not in self._sections and "properties" in self._root["$defs"][name]:
                    where = below + ("[]" if several else "") + (f" with type {tag}" if tag else "")
                    if not several and any(listed for _, listed, _ in models):
                        where += " as a mapping"
                    model = self._root["$defs"][name]
                    self._sections[name] = _Section(where, model)
                    self._visit(model, below + ("[]" if several else ""))

    def _table(self, title: str, node: dict[str, Any]) -> str:
        about = " ".join(str(node.get("description", "")).split("\n\n")[0].split())
        lines = [f"## {title}", "", about, "", "| key | value | default | what it does |", "|---|---|---|---|"]
        required = node.get("required", ())
        for key, value in node["properties"].items():
            cells = (
                f"`{key}`",
                self._type(value),
                _default(value, required=key in required),
                value.get("description", ""),
            )
            lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
        return "\n".join([*lines, ""])

    def _type(self, node: dict[str, Any]) -> str:
        if "x-kind" in node:
            return str(node["x-kind"])
        if "$ref" in node:
            name = node["$ref"].rsplit("/", 1)[1]
            if name not in self._sections:
                return self._type(self._root["$defs"][name])
            return f"[options]({self._sections[name].link})"
        if "discriminator" in node:
            members = node["discriminator"]["mapping"].items()
            return "one of " + ", ".join(f"[{tag}]({self._sections[_name(ref)].link})" for tag, ref in members)
        if "anyOf" in node:
            return " or ".join(self._type(member) for member in node["anyOf"])
        return self._plain(node)

    def _plain(self, node: dict[str, Any]) -> str:
        kind = node.get("type")
        if choices := node.get("enum") or ([node["const"]] if "const" in node else None):
            return ", ".join(f"`{choice}`" for choice in choices)
        if kind == "array":
            return f"list of {self._type(node['items'])}"
        if kind == "object":
            return f"mapping of names to {self._type(node['additionalProperties'])}"
        return {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "`null`"}.get(
            str(kind), str(node.get("format") or kind)
        )


def _name(reference: str) -> str:
    return reference.rsplit("/", 1)[1]


def _models(node: dict[str, Any], *, several: bool = False) -> Iterator[tuple[str, bool, str]]:
    """Yield the models a key refers to: name, whether it is a list of them, and the tag that selects it."""
    if "discriminator" in node:
        for tag, reference in node["discriminator"]["mapping"].items():
            yield _name(reference), several, tag
    elif "$ref" in node:
        yield _name(node["$ref"]), several, ""
    elif node.get("type") == "array":
        yield from _models(node["items"], several=True)
    for member in node.get("anyOf", ()):
        yield from _models(member, several=several)


def _default(node: dict[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    value = written(node.get("default"), _kind(node))
    if isinstance(value, dict):
        return f"`{json.dumps(value)}`" if set(value) == {"type"} else "see there"
    return "none" if value is None or value == {} else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _kind(node: dict[str, Any]) -> str | None:
    kinds = [member.get("x-kind") for member in (node, *node.get("anyOf", ())) if "x-kind" in member]
    return str(kinds[0]) if kinds else None


def _overrides() -> str:
    lines = [
        "## Environment variables",
        "",
        "Every single value outside lists can be set by the environment, which beats the file. A variable that begins",
        "with `MCWATCH_` and overrides nothing is an error, `MCWATCH_CONFIG` (the path of the file) apart.",
        "",
        "| variable | key |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | `{'.'.join(str(part) for part in path)}` |" for name, path in override_names().items()]
    return "\n".join([*lines, ""])


def render() -> str:
    """Return the page."""
    return _Page().render()
