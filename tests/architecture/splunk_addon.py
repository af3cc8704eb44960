"""The Splunk add-on, read as Splunk reads it: its .conf files, and the fields an event has at search time."""

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.architecture.splunk_eval import Eval, Fields, listed

ADDON: Final = Path(__file__).parents[2] / "deploy" / "splunk" / "TA-mcwatch"
_ALIAS: Final = re.compile(r'(?:"(?P<quoted>[^"]+)"|(?P<plain>[\w.{}]+)) ASNEW (?P<new>\w+)(?: |$)')
_TERM: Final = re.compile(r'\s*(?:(?P<sign>[()])|(?P<word>OR)\b|(?P<field>\w+)="(?P<value>[^"]*)")')
Conf = dict[str, dict[str, str]]


def conf(name: str) -> Conf:
    """Return a .conf file; a stanza or key that stands twice, or a line that is neither, is an error."""
    found: Conf = {}
    stanza: dict[str, str] | None = None
    for line in (ADDON / "default" / name).read_text("utf-8").splitlines():
        if line.startswith("["):
            title = line.removeprefix("[").removesuffix("]")
            assert title not in found, f"[{title}] stands twice"
            stanza = found[title] = {}
        elif line and not line.startswith("#"):
            key, equals, value = line.partition(" = ")
            assert stanza is not None
            assert equals, line
            assert key not in stanza, line
            stanza[key] = value
    return found


def extracted(document: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the fields that KV_MODE = json makes of an object: ``a.b``, ``list{}``, null as a text."""
    fields: dict[str, list[str]] = {}
    for name, value in _scalars(document, ""):
        fields.setdefault(name, []).append(value)
    return fields


def _scalars(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _scalars(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _scalars(inner, f"{name}{{}}")
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)


class SearchTime:
    """What a stanza of props.conf does at search time, in Splunk's order: aliases, then calculations side by side."""

    def __init__(self, stanza: Mapping[str, str]) -> None:
        self.aliases = [
            (match["quoted"] or match["plain"], match["new"])
            for key, value in stanza.items()
            if key.startswith("FIELDALIAS-")
            for match in self._pairs(value)
        ]
        self.evals = {
            key.removeprefix("EVAL-"): Eval(value) for key, value in stanza.items() if key.startswith("EVAL-")
        }

    @staticmethod
    def _pairs(text: str) -> list[re.Match[str]]:
        matches = list(_ALIAS.finditer(text))
        assert "".join(match[0] for match in matches) == text, text
        return matches

    def fields(self, line: bytes) -> dict[str, list[str]]:
        """Return the fields of an event as HEC got it, indexed fields included."""
        document = json.loads(line)
        fields = extracted(document)
        for name in ("event_id", "kind", "account"):
            fields[name] = [document[name], *fields[name]]
        for old, new in self.aliases:
            if old in fields and new not in fields:
                fields[new] = fields[old]
        calculated = {name: listed(one.value(fields)) for name, one in self.evals.items()}
        return {name: values for name, values in (fields | calculated).items() if values} | {
            "sourcetype": ["mcwatch:json"]
        }


class Search:
    """The terms of an eventtype: field="value" with wildcards, side by side or with OR in brackets."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        tokens = []
        at = 0
        while at < len(text):
            match = _TERM.match(text, at)
            assert match, f"cannot be read: {text[at:]}"
            tokens.append(match)
            at = match.end()
        self._all = self._groups(tokens)

    def _groups(self, tokens: list[re.Match[str]]) -> list[list[tuple[str, str]]]:
        groups: list[list[tuple[str, str]]] = []
        inside = False
        for token in tokens:
            if token["sign"]:
                inside = token["sign"] == "("
                groups += [[]] if inside else []
            elif token["field"]:
                self.names.add(token["field"])
                term = token["field"], token["value"]
                if inside:
                    groups[-1].append(term)
                else:
                    groups.append([term])
            else:
                assert inside, "OR outside brackets"
        return groups

    def matches(self, fields: Fields) -> bool:
        """Tell whether an event is found; Splunk compares values without regard to case."""
        return all(any(_has(fields, *term) for term in group) for group in self._all)


def _has(fields: Fields, name: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(value.lower(), pattern.lower()) for value in fields.get(name, []))
