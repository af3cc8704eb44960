"""What the syslog transports share."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from mcwatch.domain.delivery import Batch
from mcwatch.domain.errors import FailureReason, MisconfiguredError
from mcwatch.formats import FormatConfig
from mcwatch.sinks.syslog import SyslogSinkConfig
from tests.contract.sink_events import event

_GOLDEN = Path(__file__).parents[3] / "snapshots" / "json.ndjson"
_UNSHORTENABLE = b'["' + b"x" * 3000 + b'"]'
_FORMATS = TypeAdapter[FormatConfig](FormatConfig)


def _config(**options: object) -> SyslogSinkConfig:
    return SyslogSinkConfig.model_validate(
        {"type": "syslog", "address": "127.0.0.1:1", "max_message": "2KiB"} | options
    )


def _with_long_names(line: bytes) -> bytes:
    document = json.loads(line)
    document["account"] = "a" * 63
    if document["message"].get("id"):
        document["message"]["id"] = "i" * 300
    return json.dumps(document, separators=(",", ":")).encode()


@pytest.mark.parametrize("name", ["json", "ecs", "cim", "cef", "leef", "ocsf"])
def test_every_format_fits_into_the_least_that_is_allowed(name: str) -> None:
    """No event becomes a dead letter by our own limit, with long ids and names and the longest header."""
    form = _FORMATS.validate_python({"type": name}).build()
    native = [_with_long_names(line) for line in _GOLDEN.read_bytes().splitlines()]
    encoder = _config(hostname="h" * 255, app_name="a" * 48, facility="local7", bom=True)._encoder(0)
    assert {} == encoder.encode(Batch(native, form.render(native), form.content_type)).refused


async def test_a_limit_that_nothing_fits_into_is_a_wrong_one() -> None:
    """With several events refused for their size and none left, the destination is down and gives up none."""
    batch = Batch([event(1), event(2)], [_UNSHORTENABLE] * 2)
    async with _config().build() as sink:
        with pytest.raises(MisconfiguredError, match="none of 2 events fits into") as failure:
            await sink.deliver(batch)
    assert FailureReason.TOO_LARGE is failure.value.reason
    assert "raise sink.max_message" in failure.value.remedy


async def test_a_single_event_that_does_not_fit_is_refused_by_name() -> None:
    """Of one event alone nothing more can be told."""
    async with _config().build() as sink:
        verdicts = await sink.deliver(Batch([event(1)], [_UNSHORTENABLE]))
    assert [0] == list(verdicts.refused)
