"""The native format."""

from pathlib import Path

from pydantic import TypeAdapter

from mcwatch.formats import FormatConfig
from mcwatch.formats.json import JsonFormatConfig

_GOLDEN = Path(__file__).parents[2] / "snapshots" / "json.ndjson"


def test_renders_what_is_stored() -> None:
    """The stored lines are handed on as they are, without a copy."""
    native = _GOLDEN.read_bytes().splitlines()
    assert JsonFormatConfig().build().render(native) is native


def test_is_chosen_by_its_type() -> None:
    """The union reads ``type: json`` and builds a format of JSON content."""
    config = TypeAdapter(FormatConfig).validate_python({"type": "json"})
    assert config.build().content_type == "application/json"
