"""What the bytes are: one file per payload, each with its configuration and a pure render."""

from typing import Annotated

from pydantic import Field

from mcwatch.formats.json import JsonFormatConfig

FormatConfig = Annotated[JsonFormatConfig, Field(description="What the bytes of an event look like.")]

__all__ = ["FormatConfig"]
