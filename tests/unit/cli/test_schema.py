"""``mcwatch schema``."""

import json

from mcwatch.settings import schema
from tests.unit.cli.programs import Program


def test_prints_the_schema(program: Program) -> None:
    """As JSON that an editor can use."""
    assert json.loads(program.run("schema").out) == schema()
