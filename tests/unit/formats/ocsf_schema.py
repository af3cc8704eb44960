"""The published OCSF class Email Activity as JSON Schema, made from the schema's own files (tests/schemas/ocsf).

As strict as the schema: attributes that it does not name, and objects that are not in the trimmed data, are refused.
Two things are as in OCSF's own export to JSON Schema: addresses are any text (their published pattern knows neither
quoted nor international ones, nor what redaction leaves), and so are the values of ``unmapped``.
"""

import json
from pathlib import Path
from typing import Any, Final

DATA: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "schemas/ocsf/email_activity.json").read_text("utf-8")
)
_CLASS: Final = "email_activity"
_JSON_TYPES: Final = {
    "string_t": "string",
    "integer_t": "integer",
    "long_t": "integer",
    "float_t": "number",
    "boolean_t": "boolean",
}


def class_schema() -> dict[str, Any]:
    """Return the JSON Schema of the class."""
    attributes = _merged(DATA["events"]["base_event"]["attributes"], DATA["events"][_CLASS]["attributes"])
    attributes = _merged(attributes, DATA["profiles"]["security_control"]["attributes"])
    category = DATA["category"]["uid"]
    class_uid = category * 1000 + DATA["events"][_CLASS]["uid"]
    attributes["category_uid"]["enum"] = {str(category): {}}
    attributes["class_uid"]["enum"] = {str(class_uid): {}}
    attributes["type_uid"]["enum"] = {str(class_uid * 100 + int(n)): {} for n in attributes["activity_id"]["enum"]}
    return _object(attributes, None)


def captions(attribute: str) -> dict[int, str]:
    """Return the captions of an attribute's values."""
    own = DATA["events"][_CLASS]["attributes"].get(attribute, {})
    enum = own.get("enum") or DATA["dictionary"][attribute]["enum"]
    return {int(number): value["caption"] for number, value in enum.items()}


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = {name: dict(attribute) for name, attribute in below.items()}
    for name, attribute in above.items():
        enum = {**merged.get(name, {}).get("enum", {}), **attribute.get("enum", {})}
        merged[name] = {**merged.get(name, {}), **attribute, **({"enum": enum} if enum else {})}
    return merged


def _object(attributes: dict[str, Any], constraints: dict[str, Any] | None) -> dict[str, Any]:
    properties = {name: _attribute(name, attribute) for name, attribute in attributes.items()}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: node for name, node in properties.items() if node is not None},
        "required": [name for name, attribute in attributes.items() if attribute.get("requirement") == "required"],
        "additionalProperties": not attributes,
    }
    if constraints and "at_least_one" in constraints:
        schema["anyOf"] = [{"required": [name]} for name in constraints["at_least_one"]]
    return schema


def _attribute(name: str, attribute: dict[str, Any]) -> dict[str, Any] | None:
    """Return an attribute's schema, None where it holds an object that is not in the data."""
    defined = {**DATA["dictionary"][name], **attribute}
    node = _value(defined["type"])
    if node is not None and "enum" in attribute:
        node = {**node, "enum": [int(number) for number in attribute["enum"]]}
    elif node is not None and "enum" in defined:
        node = {**node, "enum": [int(number) for number in defined["enum"]]}
    return {"type": "array", "items": node} if node is not None and defined.get("is_array") else node


def _value(kind: str) -> dict[str, Any] | None:
    if kind in DATA["objects"]:
        return _object(*_inherited(kind))
    if kind not in DATA["types"]:
        return None
    if kind == "json_t":
        return {}
    node = {"type": _JSON_TYPES[DATA["types"][kind].get("type", kind)]}
    return node if kind == "email_t" or "regex" not in DATA["types"][kind] else _with_pattern(node, kind)


def _with_pattern(node: dict[str, Any], kind: str) -> dict[str, Any]:
    return {**node, "pattern": DATA["types"][kind]["regex"], "maxLength": DATA["types"][kind].get("max_len", 2**31)}


def _inherited(name: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    own = DATA["objects"][name]
    if "extends" not in own:
        return own["attributes"], own.get("constraints")
    attributes, constraints = _inherited(own["extends"])
    return _merged(attributes, own["attributes"]), own.get("constraints", constraints)
