"""What the bytes are: one module per payload, each with its configuration and a pure render."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from mcwatch.formats.cef import CefFormatConfig
from mcwatch.formats.cim import CimFormatConfig
from mcwatch.formats.ecs import EcsFormatConfig
from mcwatch.formats.json import JsonFormatConfig
from mcwatch.formats.leef import LeefFormatConfig
from mcwatch.formats.ocsf import OcsfFormatConfig


def _default_to_json(value: object) -> object:
    # `format: {}` has meant json since there was no other.
    return {"type": "json"} if value == {} else value


FormatConfig = Annotated[
    JsonFormatConfig | EcsFormatConfig | CimFormatConfig | CefFormatConfig | LeefFormatConfig | OcsfFormatConfig,
    Field(discriminator="type", description="What the bytes of an event look like."),
    BeforeValidator(_default_to_json),
]

__all__ = ["FormatConfig"]
