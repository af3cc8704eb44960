"""The JSON Schema of the status report, for whoever reads ``/status`` by program."""

import json

import msgspec

from mcwatch.domain.status import StatusReport


def render() -> str:
    """Return the schema of ``/status`` and of ``mcwatch status --output json``."""
    return json.dumps(msgspec.json.schema(StatusReport), indent=2) + "\n"
