"""The files of deploy/elastic, read strictly: mappings flat by dotted name, the pipeline, Kibana's objects."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ELASTIC: Final = Path(__file__).parents[2] / "deploy" / "elastic"


def document(name: str) -> dict[str, Any]:
    """Return a JSON file of deploy/elastic; a key that stands twice is an error."""
    found: dict[str, Any] = json.loads((ELASTIC / name).read_text("utf-8"), object_pairs_hook=_unique)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), f"a key stands twice: {[key for key, _ in pairs]}"
    return dict(pairs)


def mapped(mappings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted name, type) of every field of a mapping, without multi-fields."""
    for name, field in mappings.get("properties", {}).items():
        if "type" in field:
            yield f"{prefix}{name}", field["type"]
        yield from mapped(field, f"{prefix}{name}.")


def multi_fields(mappings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted name, type) of every multi-field."""
    for name, field in mappings.get("properties", {}).items():
        for other, inner in field.get("fields", {}).items():
            yield f"{prefix}{name}.{other}", inner["type"]
        yield from multi_fields(field, f"{prefix}{name}.")


def leaves(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted name, value) of every value of a document as Elasticsearch sees it: lists are their entries."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, prefix)
    elif value is not None:
        yield prefix, value


def kibana_objects() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the saved objects by type and id."""
    lines = (ELASTIC / "kibana.ndjson").read_text("utf-8").splitlines()
    objects = [json.loads(line, object_pairs_hook=_unique) for line in lines]
    return {(one["type"], one["id"]): one for one in objects}
