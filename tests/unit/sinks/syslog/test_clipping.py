"""What goes first when an event is too long."""

import json

import msgspec
import pytest

from mcwatch.sinks.syslog.clipping import clip
from tests.contract.sink_events import event, event_document


def test_extra_goes_before_the_subject() -> None:
    """Unknown fields are dropped while everything else stays whole."""
    document = event_document(1)
    document["message"]["extra"] = {"x": "y" * 500}
    clipped = clip(msgspec.json.encode(document), 800)
    assert clipped is not None
    del document["message"]["extra"]
    assert json.loads(clipped) == document | {"truncated": True}


def test_a_long_subject_is_shortened_by_what_is_too_much() -> None:
    """The rest of the event stays, and the limit is used to the byte where the subject is plain."""
    clipped = clip(event(1, "s" * 4000), 2000)
    assert clipped is not None
    assert len(clipped) == 2000
    assert json.loads(clipped)["message"]["to"] == [{"address": "amy@corp.example"}]


def test_of_many_recipients_the_first_stay() -> None:
    """A thousand recipients become as many as fit."""
    document = event_document(1)
    document["message"] |= {"subject": None, "to": [{"address": f"{number}@corp.example"} for number in range(1000)]}
    clipped = clip(msgspec.json.encode(document), 2000)
    assert clipped is not None
    kept = json.loads(clipped)["message"]["to"]
    assert kept == document["message"]["to"][: len(kept)]
    assert len(clipped) > 1900


@pytest.mark.parametrize(
    "payload", [b'{"a":"xx' + b"x" * 800 + b'"}', b'{"event_id": ' + b"1" * 900, b"[" * 900, event(1)]
)
def test_what_cannot_be_shortened_sensibly_is_none(payload: bytes) -> None:
    """JSON of another shape, broken JSON, and an event whose ids alone are too long are for the dead letters."""
    assert clip(payload, 150) is None
