"""What is said about a configuration that cannot be used, in words that do not come from a library.

Every problem is one line: where it is, the key, what is wrong, the value (never a secret's), and what to do.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mcwatch.settings.document import KeyPath
from mcwatch.settings.models import Settings
from mcwatch.settings.notation import written
from mcwatch.settings.places import Place, key_names, locate

UNKNOWN_KEY = "unknown key"
_LONGEST_VALUE = 60
_LEADS = {"keep_fingerprints": ("store", "keep_fingerprints")}
"""The keys that checks of the whole configuration speak of."""
_QUOTES = "text is expected here; put the value in quotes"


def key_text(path: KeyPath) -> str:
    """Write a key path as people read it: ``destinations[0].sink.url``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def from_validation(
    error: ValidationError, data: object, model: type[BaseModel] = Settings
) -> Iterable[tuple[KeyPath, str]]:
    """Yield path and text of everything that validation as a ``model`` found in ``data``."""
    for details in error.errors(include_url=False, include_input=True):
        place = locate(model, _LEADS.get(details["type"], details["loc"]))
        index = details.get("ctx", {}).get("index") if details["type"] == "duplicate_name" else None
        path = place.path if index is None else (*place.path, index, "name")
        yield path, _text(details, place) + _value(details["type"], place, _written(data, place.path))


def _text(details: ErrorDetails, place: Place) -> str:
    kind, given = details["type"], details["input"]
    context: Mapping[str, Any] = details.get("ctx", {})
    if kind in _KEYS:
        return _KEYS[kind](details, place)
    if kind.endswith(("_type", "_parsing")) and isinstance(given, dict) and given.keys() & {"env", "file"}:
        return _misplaced_reference(given)
    if kind.endswith("_type") and given is None:
        return "nothing is written here; give a value, or remove the key to take the default"
    if kind in _TEXTS:
        return _TEXTS[kind].format_map({name: written(value, place.kind) for name, value in context.items()})
    if kind == "value_error":
        return str(context["error"])
    return details["msg"]


def _misplaced_reference(given: dict[str, object]) -> str:
    if "env" in given:
        return "a value from the environment is written {env: NAME} or {env: NAME, default: VALUE}, without other keys"
    return "only secrets can come from a file; write the value itself or {env: NAME}"


def _unknown_key(details: ErrorDetails, place: Place) -> str:
    known = list(key_names(place.model)) if place.model else []
    near = difflib.get_close_matches(str(place.path[-1]), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(known)}"
    return f"{UNKNOWN_KEY}; {hint}"


def _missing_key(details: ErrorDetails, place: Place) -> str:
    field = key_names(place.model).get(str(place.path[-1])) if place.model else None
    meaning = field.description if field and field.description else ""
    return f"this key is missing; add it{': ' + meaning if meaning else ''}".rstrip(".")


def _unknown_choice(details: ErrorDetails, place: Place) -> str:
    expected = str(details.get("ctx", {}).get("expected") or details.get("ctx", {}).get("expected_tags"))
    known = [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]
    given = details.get("ctx", {}).get("tag", details["input"])
    near = difflib.get_close_matches(str(given), known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    what = f"type {given!r} is not known" if details["type"] == "union_tag_invalid" else "not one of the choices"
    return f"{what}; {hint}choose {' or '.join(filter(None, [', '.join(known[:-1]), known[-1]]))}"


def _missing_choice(details: ErrorDetails, place: Place) -> str:
    return "this key is missing: type; add it, it says which kind is configured here"


_KEYS: dict[str, Callable[[ErrorDetails, Place], str]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing_key,
    "union_tag_invalid": _unknown_choice,
    "literal_error": _unknown_choice,
    "enum": _unknown_choice,
    "union_tag_not_found": _missing_choice,
}
_WHOLE_NUMBER = "a whole number is expected here"
_NUMBER = "a number is expected here"
_BOOLEAN = "true or false is expected here"
_MAPPING = "a mapping of options is expected here; write the keys below it, or as {{key: value}}"
_TEXTS = {
    "string_type": _QUOTES,
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": "the number is too large",
    "int_from_float": _WHOLE_NUMBER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "list_type": "a list is expected here; write - before each entry, or [a, b]",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "path_type": "a file's path is expected here; put it in quotes",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} entry; add one below it",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
}
_WITHOUT_VALUE = {"extra_forbidden", "missing", "union_tag_invalid", "union_tag_not_found"}


def _written(data: object, path: KeyPath) -> object:
    """Return what stands in the file (or the environment) under a key, before any of it was converted."""
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
        else:
            return None
    return data


def _value(kind: str, place: Place, given: object) -> str:
    """Return the value in brackets where it may be shown: single values of keys that are known and not secret."""
    if place.secret or kind in _WITHOUT_VALUE or not isinstance(given, (str, int, float)):
        return ""
    text = given if isinstance(given, str) else json.dumps(given)
    shown = text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
    return f" (value {shown!r})"
