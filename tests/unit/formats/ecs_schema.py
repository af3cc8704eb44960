"""What the published ECS says of a document (tests/schemas/ecs): names, types, lists, allowed values."""

import json
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

SCHEMA: Final[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "schemas/ecs/fields.json").read_text("utf-8"))
OWN: Final = "mimecast"
"""The field set that is not of ECS."""
_TYPES: Final[dict[str, tuple[type, ...]]] = {"string": (str,), "number": (int, float), "object": (dict,)}


def problems(document: dict[str, Any]) -> list[str]:
    """Return what in a document is not as ECS has it."""
    found = [f"{path}: a dotted key" for path in _dotted_keys(document)]
    for path, value in _leaves({name: inner for name, inner in document.items() if name != OWN}):
        field = SCHEMA["fields"].get(path)
        found += [f"{path}: not a field of ECS"] if field is None else _misfits(path, field, value)
    missing = [name for name in ("@timestamp", "ecs") if name not in document]
    return found + [f"{name}: missing" for name in missing]


def _misfits(path: str, field: dict[str, Any], value: object) -> Iterator[str]:
    if isinstance(value, list) != bool(field.get("array")):
        yield f"{path}: a list where there is to be none, or none where there is to be one"
    values = value if isinstance(value, list) else [value]
    if not values:
        yield f"{path}: an empty list"
    for entry in values:
        if not isinstance(entry, _TYPES[field["type"]]):
            yield f"{path}: {entry!r} is no {field['type']}"
        elif not _reads_as(field.get("format"), str(entry)):
            yield f"{path}: {entry!r} is no {field['format']}"
        if entry not in SCHEMA["allowed"].get(path, [entry]):
            yield f"{path}: {entry!r} is not among the values allowed"


def _reads_as(form: str | None, text: str) -> bool:
    try:
        if form == "date":
            datetime.fromisoformat(text)
        elif form == "ip":
            ip_address(text)
    except ValueError:
        return False
    return True


def _leaves(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _dotted_keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (key for key in value if "." in key)
        for inner in value.values():
            yield from _dotted_keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _dotted_keys(inner)
