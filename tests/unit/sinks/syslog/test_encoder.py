"""From batches to messages."""

import json

from mcwatch.domain.delivery import Batch
from mcwatch.domain.errors import FailureReason
from mcwatch.sinks.syslog.encoder import Encoder
from mcwatch.sinks.syslog.rfc5424 import UTF8_BOM, Facility, Header, Origin
from tests.contract.sink_events import batch_of, event
from tests.contract.sink_targets.syslog import message_payload

_HEADER = Header(Origin(Facility.LOCAL0, "host.example", "mcwatch", "7"), {}, 32473)


def test_what_fits_goes_as_it_is_and_the_rest_is_shortened_or_refused() -> None:
    """Verdicts are by index: one message whole, one clipped, one refused for its size."""
    unshortenable = b'["' + b"x" * 2000 + b'"]'
    batch = Batch([event(1), event(2), event(3)], [event(1), event(2, "s" * 4000), unshortenable])
    encoded = Encoder(_HEADER, 1024, bytes).encode(batch)
    assert list(encoded.messages) == [0, 1]
    assert message_payload(encoded.messages[0]) == event(1)
    assert json.loads(message_payload(encoded.messages[1]))["truncated"] is True
    assert len(encoded.messages[1]) == 1024
    assert encoded.refused[2].reason is FailureReason.TOO_LARGE
    assert encoded.clipped == 1


def test_the_byte_order_mark_counts() -> None:
    """With ``bom`` the payload starts with the mark, and the limit holds for the whole message."""
    encoded = Encoder(_HEADER, 900, bytes, bom=True).encode(batch_of(event(1), event(2, "s" * 4000)))
    assert [message_payload(message)[:3] for message in encoded.messages.values()] == [UTF8_BOM, UTF8_BOM]
    assert len(encoded.messages[1]) == 900


def test_control_characters_of_a_payload_are_spaces() -> None:
    """The sink relies on no format to keep frames whole."""
    batch = Batch([event(1)], [b"CEF:0|a\nb\r\0c\td"], "text/plain")
    (message,) = Encoder(_HEADER, 900, bytes).encode(batch).messages.values()
    assert message_payload(message) == b"CEF:0|a b  c\td"


def test_text_is_cut_and_json_is_not() -> None:
    """The batch says what its payloads are: the same long payload is cut as text and refused as broken JSON."""
    payload = b"{ is how this text begins " + b"x" * 2000
    as_text, as_json = (
        Encoder(_HEADER, 600, bytes).encode(Batch([event(1)], [payload], content_type))
        for content_type in ("text/plain", "application/json")
    )
    assert len(as_text.messages[0]) == 600
    assert as_json.refused[0].reason is FailureReason.TOO_LARGE
