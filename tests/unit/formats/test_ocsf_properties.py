"""Whatever a native event says can be read back out of its OCSF event."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from jsonschema import Draft202012Validator

from mcwatch.formats.ocsf import OcsfFormatConfig
from tests.unit.formats import native
from tests.unit.formats.ocsf_schema import class_schema
from tests.unit.formats.strategies import events

FORMAT = OcsfFormatConfig().build()
VALIDATOR = Draft202012Validator(class_schema())
_UNMAPPED = (
    "attachments", "received_at", "sent_at", "spam_score", "detection_level", "created_at", "next_attempt_at",
    "locked_until", "priority",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@settings(max_examples=25)
@given(events())
def test_round_trip(event: dict[str, Any]) -> None:
    """Texts, numbers, times and objects come back as they were; what was missing is missing."""
    activity = json.loads(FORMAT.render(native.lines(event))[0])
    message, unmapped, email = event["message"], activity.get("unmapped", {}), activity["email"]
    rest = unmapped.get("message", {})
    assert {name: message[name] for name in _UNMAPPED if name in message} == {
        name: rest[name] for name in _UNMAPPED if name in rest
    }
    assert message["id"] == activity["metadata"].get("original_event_uid")
    for name, place in (("status", "status_code"), ("info", "status_detail"), ("attempts", "attempt")):
        assert message.get(name) == activity.get(place)
    assert (message.get("subject"), message.get("size")) == (email.get("subject"), email.get("size"))
    assert message.get("sender_ip") == rest.get("sender_ip", activity.get("src_endpoint", {}).get("ip"))
    assert (message["extra"], event["previous"], event["queue"]) == (
        rest.get("extra", {}),
        unmapped.get("previous"),
        unmapped.get("queue"),
    )
    assert [to["address"] for to in message.get("to", ()) if to["address"]] == email.get("to", [])


@settings(max_examples=25)
@given(events())
def test_times_are_milliseconds(event: dict[str, Any]) -> None:
    """The times of the event are exact to the millisecond, in any year."""
    activity = json.loads(FORMAT.render(native.lines(event))[0])
    for millis, text in (
        (activity["time"], event["occurred_at"]),
        (activity["metadata"]["logged_time"], event["observed_at"]),
    ):
        late = datetime.fromisoformat(text) - _EPOCH - timedelta(milliseconds=millis)
        assert timedelta(0) <= late < timedelta(milliseconds=1)


@settings(max_examples=25)
@given(events())
def test_is_ocsf(event: dict[str, Any]) -> None:
    """Every event is valid against the published class."""
    assert [] == [error.message for error in VALIDATOR.iter_errors(json.loads(FORMAT.render(native.lines(event))[0]))]
