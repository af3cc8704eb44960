"""Every native field is where its format's table says, and nowhere else."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

import pytest
from pydantic import TypeAdapter

from mcwatch.formats import FormatConfig
from scripts import fields_page
from scripts.fields_page import format_types, native_fields, places
from tests.unit.formats import native

PATHS = [field.path for field in native_fields()]
TYPES = format_types()
_COMMON = {"message.attachments"}
"""Fields whose values cannot be told from those of others."""


@cache
def _payload(name: str) -> tuple[bool, str]:
    """Render the full event; return whether it is JSON, and the text."""
    form = TypeAdapter(FormatConfig).validate_python({"type": name}).build()
    return "json" in form.content_type, form.render(native.lines(native.FULL))[0].decode()


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value of a document with its dotted path; the elements of a list have that of the list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    else:
        yield path, value


def _spellings(path: str) -> list[str]:
    """Return how the full event's value of a field may be written."""
    value = next(found for name, found in _leaves(native.FULL) if name == path or name.startswith(f"{path}."))
    if isinstance(value, bool):
        return ["true", "True", "1"]
    if isinstance(value, str) and path.endswith(("_at", "_until")):
        at = datetime.fromisoformat(value).astimezone(UTC)
        millis = round(at.timestamp() * 1000)
        return [value, str(millis), f"{millis / 1000:.3f}", f"{at:%b %d %Y %H:%M:%S}.{millis % 1000:03d}"]
    return [str(value)]


def _names(name: str, path: str) -> list[str]:
    return [place.partition(" (")[0].strip() for place in places()[name][path].split(",")]


def test_every_field_is_explained() -> None:
    """The page of fields has a meaning for each, and for none that is gone."""
    assert PATHS == list(fields_page._MEANINGS)


@pytest.mark.parametrize("name", TYPES)
def test_every_field_is_declared(name: str) -> None:
    """A format says of each native field where it goes, and of nothing else."""
    assert PATHS == list(places()[name])


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, table in places().items() for path in PATHS if table[path]]
)
def test_every_field_is_where_it_is_declared(name: str, path: str) -> None:
    """A value that no other field has is found at a declared place of the rendered event."""
    is_json, text = _payload(name)
    if is_json:
        found = [str(value) for where, value in _leaves(json.loads(text)) if _is_below(where, _names(name, path))]
    else:
        found = [value for place in places()[name][path].split(",") for value in _in_text(text, place.strip())]
    assert [value for value in found if any(spelling in value for spelling in _spellings(path))], (found, text)


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name in TYPES if _payload(name)[0] for path in PATHS if path not in _COMMON]
)
def test_every_field_is_only_where_it_is_declared(name: str, path: str) -> None:
    """In the formats that are JSON, no other place holds the value."""
    elsewhere = [
        where
        for where, value in _leaves(json.loads(_payload(name)[1]))
        if any(spelling in str(value) for spelling in _spellings(path)) and not _is_below(where, _names(name, path))
    ]
    assert [] == elsewhere


def _is_below(where: str, declared: list[str]) -> bool:
    return any(where == place or where.startswith(f"{place}.") for place in declared)


def _in_text(text: str, place: str) -> list[str]:
    """Return what stands at a place of CEF or LEEF: its header, or what is between a key and the next equals sign."""
    if place.endswith("(header)"):
        return [text.partition("=")[0]]
    return [rest.partition("=")[0] for rest in re.split(rf"[\s|]{re.escape(place)}=", text)[1:]]
