"""The stdout sink on a terminal and elsewhere."""

import os
import pty

import pytest

from mcwatch.domain.errors import TransientError
from mcwatch.sinks.stdout import StdoutSink
from mcwatch.sinks.stdout.sink import Readable
from tests.contract.sink_events import numbered


@pytest.mark.parametrize(
    ("readable", "terminal", "is_json", "is_coloured"),
    [
        ("never", True, True, False),
        ("never", False, True, False),
        ("auto", True, False, True),
        ("auto", False, True, False),
        ("always", True, False, True),
        ("always", False, False, False),
    ],
)
async def test_people_get_lines_and_programs_get_json(
    readable: Readable, terminal: bool, is_json: bool, is_coloured: bool
) -> None:
    """Colours appear on a terminal only, readable lines where they were asked for."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    try:
        async with StdoutSink(readable, descriptor=writer) as sink:
            assert ("terminal" in await sink.check()) is terminal
            await sink.deliver(numbered(1))
        output = os.read(reader, 65536)
    finally:
        os.close(reader)
        os.close(writer)
    assert (output.startswith(b"{"), b"\x1b[" in output) == (is_json, is_coloured)


async def test_a_closed_descriptor_is_an_error_of_delivery() -> None:
    """Nobody to write to is a transient failure, not a crash."""
    reader, writer = os.pipe()
    sink = StdoutSink(descriptor=writer)
    os.close(reader)
    os.close(writer)
    async with sink:
        with pytest.raises(TransientError):
            await sink.deliver(numbered(1))
        with pytest.raises(TransientError):
            await sink.check()
