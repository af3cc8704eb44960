"""What goes first when a native event is too long."""

import json

import msgspec

from mcwatch.sinks.syslog.clipping import clip_json
from tests.contract.sink_events import event, event_document


def test_extra_goes_before_the_subject() -> None:
    """Unknown fields are dropped while everything else stays whole."""
    document = event_document(1)
    document["message"]["extra"] = {"x": "y" * 500}
    clipped = clip_json(msgspec.json.encode(document), 800)
    assert clipped is not None
    del document["message"]["extra"]
    assert json.loads(clipped) == document | {"truncated": True}


def test_a_long_subject_is_shortened_by_what_is_too_much() -> None:
    """The rest of the event stays, and the limit is used to the byte where the subject is plain."""
    clipped = clip_json(event(1, "s" * 4000), 2000)
    assert clipped is not None
    assert len(clipped) == 2000
    assert json.loads(clipped)["message"]["to"] == [{"address": "amy@corp.example"}]


def test_of_many_recipients_the_first_stay() -> None:
    """A thousand recipients become as many as fit."""
    document = event_document(1)
    document["message"] |= {"subject": None, "to": [{"address": f"{number}@corp.example"} for number in range(1000)]}
    clipped = clip_json(msgspec.json.encode(document), 2000)
    assert clipped is not None
    kept = json.loads(clipped)["message"]["to"]
    assert kept == document["message"]["to"][: len(kept)]
    assert len(clipped) > 1900


def test_an_event_whose_ids_alone_are_too_long_is_none() -> None:
    """It is for the dead letters."""
    assert clip_json(event(1), 150) is None
