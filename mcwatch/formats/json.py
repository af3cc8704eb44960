"""The native format: an event exactly as it is stored (schema mcwatch.event/1)."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from mcwatch.interfaces import Format
from mcwatch.option_types import Config


class JsonFormat:
    """Hands on what the store holds, without a copy."""

    content_type = "application/json"

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        """Return the very sequence that came in: the stored line is the format."""
        return native


class JsonFormatConfig(Config):
    """The native JSON of an event, one object per event."""

    type: Literal["json"] = Field("json", description="Native JSON, described in docs/FIELDS.md.")

    def build(self) -> Format:
        """Return the format."""
        return JsonFormat()
