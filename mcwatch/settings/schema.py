"""The JSON Schema of the configuration file, for editors and for whoever generates configurations."""

from typing import Any

from mcwatch.settings.models import Settings
from mcwatch.settings.notation import written

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"$ref": "#/$defs/EnvironmentReference"}
_REFERENCE_DEFINITION = {
    "description": "The value of an environment variable, or the default where it is not set.",
    "type": "object",
    "properties": {
        "env": {"type": "string", "minLength": 1},
        "default": {"type": ["string", "number", "boolean", "null"]},
    },
    "required": ["env"],
    "additionalProperties": False,
}
_SCALARS = {"string", "integer", "number", "boolean"}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file, ``{env:}`` allowed in place of every single value."""
    generated = Settings.model_json_schema()
    definitions = {name: _rewrite(node) for name, node in generated.pop("$defs").items()}
    definitions["EnvironmentReference"] = _REFERENCE_DEFINITION
    body = _rewrite(generated)
    return {"$schema": _DIALECT, "title": "Configuration of mcwatch", **body, "$defs": definitions}


def _rewrite(node: dict[str, Any]) -> dict[str, Any]:
    """Return a model's schema without generated titles and with references allowed in its properties."""
    rewritten = {key: value for key, value in node.items() if key != "title"}
    if "properties" in node:
        rewritten["properties"] = {name: _property(name, value) for name, value in node["properties"].items()}
    return rewritten


def _property(name: str, node: dict[str, Any]) -> dict[str, Any]:
    node = {key: value for key, value in node.items() if key != "title"}
    if "$ref" in node:
        # The defaults stand at the options themselves.
        node.pop("default", None)
    if "default" in node:
        node["default"] = written(node["default"], node.get("x-kind"))
    if name == "type" and "const" in node:
        # The discriminator tells the alternatives apart, so it must stand in the file itself.
        return node
    if "items" in node:
        node["items"] = _value(node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        node["additionalProperties"] = _value(node["additionalProperties"])
    return _value(node)


def _value(node: dict[str, Any]) -> dict[str, Any]:
    if node.get("x-kind") == "secret" or not _is_scalar(node):
        return node
    about: dict[str, Any] = {key: node[key] for key in ("description", "default") if key in node}
    rest = {key: value for key, value in node.items() if key not in about}
    choices = rest["anyOf"] if rest.keys() == {"anyOf"} else [rest]
    return {**about, "anyOf": [*choices, _REFERENCE]}


def _is_scalar(node: dict[str, Any]) -> bool:
    if "anyOf" in node:
        return any(_is_scalar(member) for member in node["anyOf"])
    if "const" in node or "enum" in node:
        return True
    types = node.get("type")
    return bool({types} & _SCALARS if isinstance(types, str) else set(types or ()) & _SCALARS)
