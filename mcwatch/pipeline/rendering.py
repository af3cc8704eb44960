"""How events look to one destination: redacted, then put into its format."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from mcwatch.domain.redaction import Redaction
from mcwatch.interfaces import Format

NATIVE = "json"
"""The name of what the store holds."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rendering:
    """A format, and what must not be shown. Renderings of the same name make the same bytes of the same event."""

    name: str
    form: Format
    redaction: Redaction | None = None

    @property
    def content_type(self) -> str:
        """What the payloads are."""
        return self.form.content_type

    @property
    def is_native(self) -> bool:
        """Whether the payloads are the stored lines themselves."""
        return self.name == NATIVE

    def render(self, natives: Sequence[bytes]) -> Sequence[bytes]:
        """Render native lines; a payload is empty where a defect made none of its event, and only there."""
        try:
            return self.exact(natives)
        except Exception:
            payloads = [self._one(native) for native in natives]
            logger.exception("render_defect", rendering=self.name, events=payloads.count(b""))
            return payloads

    def exact(self, natives: Sequence[bytes]) -> Sequence[bytes]:
        """Render native lines all together; raises whatever a defect raises."""
        return self.form.render(self.redaction.apply(natives) if self.redaction else natives)

    def _one(self, native: bytes) -> bytes:
        try:
            return self.exact([native])[0]
        except Exception:  # noqa: BLE001 - reported by render
            return b""
