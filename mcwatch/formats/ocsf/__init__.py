"""Open Cybersecurity Schema Framework: Email Activity (4009), version 1.7."""

from mcwatch.formats.ocsf.format import OCSF_VERSION, OcsfFormatConfig
from mcwatch.formats.ocsf.places import PLACES

__all__ = ["OCSF_VERSION", "PLACES", "OcsfFormatConfig"]
